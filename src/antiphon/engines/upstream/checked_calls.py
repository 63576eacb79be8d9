"""Checks the calls of another server's model: each is complete and valid before it is sent.

A call is held back until its input is complete, because a sent part cannot be taken back. With
`eager_input_streaming` on a tool, the caller gets the pieces as they come.
"""

import msgspec

from antiphon.engines.base import (
    EngineEvent,
    Finished,
    FinishReason,
    Prompt,
    TextChunk,
    Tool,
    ToolCallJson,
    ToolCallStart,
)
from antiphon.engines.upstream.http import failed
from antiphon.schemas.check import fits
from antiphon.schemas.steps import TooComplexError
from antiphon.wire.partial_json import completed

CUT = frozenset({FinishReason.MAX_TOKENS, FinishReason.CONTEXT_WINDOW})


class CheckedCalls:
    """The calls of one answer. `closed` is true once a second call began where one is allowed.

    While `passes_text`, text need not be fed: it would be returned as it is.
    """

    def __init__(self, prompt: Prompt) -> None:
        self._tools = {tool.name: tool for tool in prompt.callable_tools}
        self._choice = prompt.tool_choice
        self._held: list[EngineEvent] = []
        self._input: list[str] = []
        self._tool: Tool | None = None
        self._called = False
        self.closed = False
        self.passes_text = True

    def feed(self, event: EngineEvent) -> list[EngineEvent]:
        """Take the next event, and return the events that may be sent; raises `EngineError`."""
        if self.passes_text and isinstance(event, TextChunk):
            return [event]
        if isinstance(event, ToolCallJson):
            return self._piece(event)
        whole = self._end(cut=isinstance(event, Finished) and event.reason in CUT)
        if isinstance(event, ToolCallStart):
            return whole + self._begin(event)
        if isinstance(event, Finished) and event.reason is FinishReason.END_TURN:
            self._check_choice()
        return [*whole, event]

    def _begin(self, event: ToolCallStart) -> list[EngineEvent]:
        if self._called and not self._choice.parallel:
            self.closed = True
            return [Finished(FinishReason.END_TURN)]
        self._called = True
        self._tool = self._tools.get(event.name)
        offered = self._choice.mode != "none" and self._choice.name in {None, event.name}
        if self._tool is None or not offered:
            raise failed("a call of a tool that was not on offer")
        self.passes_text = False
        return self._pass(event)

    def _piece(self, event: ToolCallJson) -> list[EngineEvent]:
        self._input.append(event.text)
        return self._pass(event)

    def _pass(self, event: EngineEvent) -> list[EngineEvent]:
        if self._tool is not None and self._tool.eager_input_streaming:
            return [event]
        self._held.append(event)
        return []

    def _end(self, *, cut: bool) -> list[EngineEvent]:
        """Return the events of the call that ends here, if there is one; raises for a wrong one."""
        if self._tool is None:
            return []
        text, tool = "".join(self._input), self._tool
        held, self._held, self._input, self._tool = self._held, [], [], None
        self.passes_text = True
        value = _decoded(completed(text) if cut else text)
        if not isinstance(value, dict):
            raise failed("the input of a call is no JSON object")
        if tool.strict and not cut and not _fits(value, tool):
            raise failed("the input of a call does not fit the tool's schema")
        return held

    def _check_choice(self) -> None:
        if self._choice.mode in {"any", "tool"} and not self._called:
            raise failed("no tool was called, where one had to be")


def _fits(value: object, tool: Tool) -> bool:
    """Return whether an input fits a tool; false if the check would take too long."""
    try:
        return fits(value, tool.input_schema)
    except TooComplexError:
        return False


def _decoded(text: str) -> object:
    try:
        return msgspec.json.decode(text) if text.strip() else {}
    except (msgspec.DecodeError, RecursionError):
        return None
