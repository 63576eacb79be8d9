"""Forced calls on servers that keep to a JSON schema but not to `tool_choice`.

The prompt describes the tools in words, and the whole answer must be a call as JSON. So forced
calls work with any model, even if its template has no tools.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import replace

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
from antiphon.engines.upstream.chat_completions.answer import ChatAnswer
from antiphon.engines.upstream.chat_completions.options import ChatOptions
from antiphon.engines.upstream.halves import whole_json
from antiphon.engines.upstream.http import decode
from antiphon.wire.partial_json import completed
from antiphon.wire.sse import Frame

DEFS: Final = "$defs"
INSTRUCTIONS: Final = """\
You call tools. These are the tools, one a line, each with the JSON schema of its input:
{tools}
Your whole answer is one JSON object, and nothing else: {form}"""


def is_forced(prompt: Prompt, options: ChatOptions) -> bool:
    """Return whether a schema enforces a call as the answer to a prompt."""
    return options.force_with == "schema" and prompt.tool_choice.mode in {"any", "tool"}


def call_instructions(prompt: Prompt) -> str:
    """Return the text that describes the tools and the form of a call to the model."""
    tools = _tools(prompt)
    lines = [msgspec.json.encode(tool).decode() for tool in tools]
    form = f"the input of `{tools[0].name}`."
    if len(tools) > 1:
        form = '{"name": the name of the tool, "input": its input}.'
    return INSTRUCTIONS.format(tools="\n".join(lines), form=form)


def schema_of(prompt: Prompt) -> dict[str, Any]:
    """Return the schema of the answer: the input of the one tool, or the name and input of any."""
    tools = _tools(prompt)
    if len(tools) == 1:
        return tools[0].input_schema
    defs: dict[str, Any] = {}
    calls = []
    for index, tool in enumerate(tools):
        schema = _hoisted(tool.input_schema, index)
        defs |= {f"{index}_{name}": one for name, one in schema.pop(DEFS, {}).items()}
        calls.append(
            {
                "type": "object",
                "properties": {"name": {"const": tool.name}, "input": schema},
                "required": ["name", "input"],
                "additionalProperties": False,
            }
        )
    return {"anyOf": calls, **({DEFS: defs} if defs else {})}


class _Call(msgspec.Struct, frozen=True):
    """A call as the model writes it; it may be incomplete."""

    name: str | None = None
    input: msgspec.Raw = msgspec.Raw(b"{}")


class ForcedAnswer:
    """One answer that is a call: its text is the call's JSON. Used as `ChatAnswer` is."""

    def __init__(self, answer: ChatAnswer, prompt: Prompt) -> None:
        self._answer = answer
        self._names = [tool.name for tool in _tools(prompt)]
        self._text: list[str] = []
        self._tokens = 0

    @property
    def done(self) -> bool:
        return self._answer.done

    def feed_all(self, frames: Sequence[Frame]) -> Iterator[EngineEvent]:
        """Yield the events of the next frames: thinking; the call is held back until the end."""
        for event in self._answer.feed_all(frames):
            yield from self._kept([event])

    @property
    def begun(self) -> bool:
        return self._answer.begun

    def end(self) -> list[EngineEvent]:
        """Return the call and the end. A call that was cut has its certain part."""
        *events, end = self._kept(self._answer.end())
        whole = isinstance(end, Finished) and end.reason is FinishReason.END_TURN
        call = self._call(whole_json("".join(self._text)), whole=whole)
        if not call:
            end = replace(end, tokens=end.tokens + self._tokens)
        return [*events, *call, end]

    def _kept(self, events: list[EngineEvent]) -> list[EngineEvent]:
        texts = [event for event in events if isinstance(event, TextChunk)]
        self._text += [event.text for event in texts]
        self._tokens += sum(event.tokens for event in texts)
        return [event for event in events if not isinstance(event, TextChunk)]

    def _call(self, text: str, *, whole: bool) -> list[EngineEvent]:
        if not text.strip():
            return []
        if len(self._names) == 1:
            return [ToolCallStart(self._names[0], self._tokens), ToolCallJson(text, 0)]
        call = decode(text if whole else completed(text), _Call)
        if call.name is None:
            return []
        return [ToolCallStart(call.name, self._tokens), ToolCallJson(bytes(call.input).decode(), 0)]


def _tools(prompt: Prompt) -> list[Tool]:
    name = prompt.tool_choice.name
    return [tool for tool in prompt.tools if name in {None, tool.name}]


def _hoisted(value: Any, index: int) -> Any:
    """Return a copy of a schema whose references lead to its hoisted definitions."""
    if isinstance(value, list):
        return [_hoisted(one, index) for one in value]
    if not isinstance(value, dict):
        return value
    copy = {key: _hoisted(one, index) for key, one in value.items()}
    ref = copy.get("$ref")
    if isinstance(ref, str) and ref.startswith(f"#/{DEFS}/"):
        copy["$ref"] = f"#/{DEFS}/{index}_{ref.removeprefix(f'#/{DEFS}/')}"
    return copy
