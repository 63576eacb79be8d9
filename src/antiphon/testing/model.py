"""The model of a server for tests: the scripted engine, which is told by the script what to say."""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar

import msgspec

from antiphon.core.errors import ApiError, InternalError
from antiphon.engines.base import Engine, EngineConfig, FinishReason, Prompt, Refusal
from antiphon.engines.registry import open_engine
from antiphon.engines.scripted import (
    ChosenReply,
    ScriptedCall,
    ScriptedEngine,
    ScriptedOptions,
    ScriptedReply,
)
from antiphon.testing.answers import Answer
from antiphon.testing.failures import ApiFailure, ConnectionLoss, Failure, RawFailure
from antiphon.testing.requests import RecordedRequest
from antiphon.testing.script import MESSAGES, Script, Turn

# More tokens than any text of a test has.
_ALL = 2**31


TURN: ContextVar[Turn | None] = ContextVar("turn", default=None)
"""The request that a task works on; `None` in that of a batch."""


class Model:
    """Opens the engine of a server, which says what `script` says, and else repeats the user."""

    def __init__(self, script: Script, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._script = script
        self._sleep = sleep

    async def open(self, name: str, config: EngineConfig) -> Engine:
        """Open an engine by its name. Raises `EngineStartError`."""
        if name != "scripted":
            return await open_engine(name, config)
        options = msgspec.convert({"echo": True, **config.options}, ScriptedOptions, strict=False)
        return ScriptedEngine(
            options,
            self._sleep,
            cache_minimum_tokens=config.cache_minimum_tokens,
            choose=self._choose,
        )

    def _choose(self, prompt: Prompt) -> ChosenReply | None:
        turn = TURN.get()
        if turn is None:
            turn = self._script.take(_request_of(prompt))
        elif turn.asked:
            # The server has run a tool of its own, and asks again.
            turn.asked += 1
            turn = self._script.take(turn.request)
        turn.asked += 1
        return None if turn.deed is None else reply_of(turn.deed)


def reply_of(deed: Answer | Failure) -> ChosenReply:
    """Return a deed in the words of the scripted engine."""
    match deed:
        case Answer():
            calls = tuple(ScriptedCall(name=one.name, input=one.input) for one in deed.tool_calls)
            refused = deed.stop_reason == "refusal"
            return ChosenReply(
                reply=ScriptedReply(
                    text=deed.text, thinking=deed.thinking, tool_calls=calls, delay_s=deed.delay
                ),
                tokens_per_second=deed.tokens_per_second,
                reason=FinishReason(deed.stop_reason),
                refusal=Refusal(deed.category, deed.explanation) if refused else None,
            )
        case ApiFailure():
            said = ScriptedReply(text=deed.after or "", after=_ALL, delay_s=deed.delay)
            return ChosenReply(reply=said, failure=as_error(deed))
        case ConnectionLoss(after=str() as text):
            return ChosenReply(reply=ScriptedReply(text=text, delay_s=deed.delay))
        case ConnectionLoss() | RawFailure():
            # In a batch nobody has a connection.
            return ChosenReply(reply=ScriptedReply(text="", after=_ALL), failure=InternalError())


def as_error(failure: ApiFailure) -> ApiError:
    """Return a scripted error as the error boundary knows errors."""
    kind = type("ScriptedError", (ApiError,), {"status": failure.status, "type": failure.type})
    error: ApiError = kind(failure.message, headers=failure.headers)
    return error


def _request_of(prompt: Prompt) -> RecordedRequest:
    """Return a request of a batch, as far as the model gets it."""
    turns = [{"role": turn.role, "content": turn.content} for turn in prompt.turns]
    body = {"max_tokens": prompt.max_tokens, "messages": turns}
    if prompt.tools:
        body["tools"] = [
            {"name": tool.name, "description": tool.description, "input_schema": tool.input_schema}
            for tool in prompt.tools
        ]
    return RecordedRequest("POST", MESSAGES, "", {}, msgspec.json.encode(body))
