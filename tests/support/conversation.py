"""Short prompts, and the parts of answers, for tests of engines."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from antiphon.engines.base import (
    Engine,
    EngineEvent,
    Finished,
    FinishReason,
    Prompt,
    Started,
    TextChunk,
    ToolCallJson,
    ToolCallStart,
    Turn,
)
from antiphon.wire.content import TextParam


def turn(role: str, *texts: str) -> Turn:
    return Turn(role, tuple(TextParam(text=text) for text in texts))


def ask(*texts: str, max_tokens: int = 16, temperature: float = 0.0) -> Prompt:
    roles = ("user", "assistant")
    turns = tuple(turn(roles[place % 2], text) for place, text in enumerate(texts))
    return Prompt(turns, max_tokens, temperature)


async def answer(engine: Engine, prompt: Prompt) -> list[EngineEvent]:
    """Return the events of an answer without `Started`."""
    return [event for event in await all_events(engine, prompt) if not isinstance(event, Started)]


async def all_events(engine: Engine, prompt: Prompt) -> list[EngineEvent]:
    """Return all events of an answer."""
    async with aclosing(engine.generate(prompt)) as events:
        return [event async for event in events]


async def first_piece(events: AsyncGenerator[EngineEvent, None]) -> EngineEvent:
    """Return the first event behind `Started`."""
    assert isinstance(await anext(events), Started)
    return await anext(events)


def text_of(events: list[EngineEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextChunk))


def tokens_in(events: list[EngineEvent]) -> int:
    return sum(event.tokens for event in events)


def calls_in(events: list[EngineEvent]) -> list[tuple[str, str]]:
    """Return the tool name and the JSON text of the input of each call."""
    calls: list[tuple[str, str]] = []
    for event in events:
        if isinstance(event, ToolCallStart):
            calls.append((event.name, ""))
        elif isinstance(event, ToolCallJson):
            name, text = calls[-1]
            calls[-1] = (name, text + event.text)
    return calls


def reason_of(events: list[EngineEvent]) -> FinishReason:
    ends = [event for event in events if isinstance(event, Finished)]
    assert ends == events[-1:]
    return ends[0].reason


async def eventually(condition: Callable[[], object], within_s: float = 20.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        await asyncio.sleep(0.02)
