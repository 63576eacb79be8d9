"""Prompts and answers in few words, for the tests of engines."""

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
    """Return what an engine says, without how long the prompt is."""
    return [event for event in await whole(engine, prompt) if not isinstance(event, Started)]


async def whole(engine: Engine, prompt: Prompt) -> list[EngineEvent]:
    """Return what an engine says."""
    async with aclosing(engine.generate(prompt)) as events:
        return [event async for event in events]


async def first_piece(events: AsyncGenerator[EngineEvent, None]) -> EngineEvent:
    """Return the first event behind how long the prompt is: the model has begun to answer."""
    assert isinstance(await anext(events), Started)
    return await anext(events)


def text_of(events: list[EngineEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextChunk))


def tokens_in(events: list[EngineEvent]) -> int:
    return sum(event.tokens for event in events)


def calls_in(events: list[EngineEvent]) -> list[tuple[str, str]]:
    """Name the calls of an answer and their inputs, as JSON text."""
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
        assert time.monotonic() < deadline, "it did not come true in time"
        await asyncio.sleep(0.02)
