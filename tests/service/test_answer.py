"""One answer and its bill, without a server in front of it."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from decimal import Decimal
from itertools import count
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from antiphon.core.errors import ApiError, InternalError
from antiphon.engines.base import (
    EngineConfig,
    EngineEvent,
    Finished,
    FinishReason,
    Prompt,
    Started,
    TextChunk,
)
from antiphon.engines.registry import open_engine
from antiphon.engines.scripted import ScriptedEngine, ScriptedOptions
from antiphon.service.access import RequestContext
from antiphon.service.answer import Answer
from antiphon.service.models import Open
from antiphon.service.platform import Platform
from antiphon.settings import PriceSettings
from antiphon.store.database.tables import ledger
from antiphon.wire.events import StreamEvent
from antiphon.wire.fold import Fold
from antiphon.wire.messages import CreateMessageParams
from support.asgi import HELLO, KEY
from support.organization import StartPlatform

pytestmark = pytest.mark.anyio

PRICE = PriceSettings(input=Decimal(3), output=Decimal(15))
FAILS = [{"when": "fail", "text": "one two three", "error": "overloaded", "after": 2}]


class HungUpError(Exception):
    """The reader of an answer takes no more of it."""


class PlatformCaller:
    """A caller of one platform, and the ledger's entries of its requests."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._ids = (f"req_{number}" for number in count(1))

    @asynccontextmanager
    async def answer(self, text: str = "Hi", **fields: Any) -> AsyncGenerator[Answer]:
        caller = await self._platform.access.authenticate(KEY, None, None)
        body = {**HELLO, "messages": [{"role": "user", "content": text}], **fields}
        params = msgspec.convert(body, CreateMessageParams)
        context = RequestContext(caller, next(self._ids), "2023-06-01")
        async with self._platform.messages.answer(params, context) as answer:
            yield answer

    async def bills(self) -> list[tuple[str, int, int]]:
        """Return the outcome and the input and output tokens of each request."""
        await self._platform.ledger.flush()
        async with self._platform.database.read() as connection:
            rows = (await connection.execute(select(ledger).order_by(ledger.c.id))).mappings().all()
        return [(row["outcome"], row["input_tokens"], row["output_tokens"]) for row in rows]


@pytest.fixture
def start_caller(platform: StartPlatform) -> Any:
    async def start(open_: Open = open_engine, **options: Any) -> PlatformCaller:
        settings = {"limits": {"concurrent_requests": 1}}
        options = {"text": "one two three", "replies": FAILS, **options}
        return PlatformCaller(await platform(settings, price=PRICE, open_engine=open_, **options))

    return start


async def read(answer: Answer, groups: int) -> None:
    """Take a few groups of an answer's events, and then stop the engine."""
    left = groups

    async def hang_up() -> None:
        raise HungUpError

    def take(_: list[StreamEvent]) -> Coroutine[Any, Any, None] | None:
        nonlocal left
        left -= 1
        return None if left else hang_up()

    with pytest.raises(HungUpError):
        await answer.generate(take)


async def test_message_is_the_fold_of_the_events(start_caller: Any) -> None:
    caller, fold = await start_caller(), Fold()
    async with caller.answer() as answer:
        message = await answer.message()
        assert (answer.input_tokens, answer.output_tokens) == (5, 4)
        assert answer.model == "scripted"
        assert answer.headers["anthropic-ratelimit-requests-limit"]
    async with caller.answer(stream=True) as answer:
        await answer.generate(fold.extend)
    streamed = fold.message()
    assert msgspec.structs.replace(streamed, id=message.id) == message
    assert await caller.bills() == [("completed", 5, 4), ("completed", 5, 4)]


async def test_answer_that_is_broken_off_before_anything_is_due_is_free(start_caller: Any) -> None:
    caller = await start_caller()
    async with caller.answer():
        pass
    async with caller.answer(stream=True) as answer:
        await read(answer, 3)
    assert await caller.bills() == [("failed", 0, 0), ("failed", 0, 0)]


async def test_answer_that_is_broken_off_once_it_is_due_has_used_what_was_produced(
    start_caller: Any,
) -> None:
    caller = await start_caller()
    async with caller.answer() as answer:
        answer.mark_due()
    async with caller.answer(stream=True) as answer:
        await read(answer, 3)
        answer.mark_due()
    assert await caller.bills() == [("interrupted", 5, 0), ("interrupted", 5, 2)]


async def test_engine_waits_for_what_takes_its_events(start_caller: Any) -> None:
    caller = await start_caller()
    steps: list[str] = []

    async def write() -> None:
        steps.append("begins")
        await asyncio.sleep(0)
        steps.append("ends")

    def take(_: list[StreamEvent]) -> Coroutine[Any, Any, None]:
        steps.append("comes")
        return write()

    async with caller.answer(stream=True) as answer:
        await answer.generate(take)
    # message_start, three deltas (the first with the start of the block), and the end.
    assert steps == ["comes", "begins", "ends"] * 5


@pytest.mark.parametrize("due", [False, True])
async def test_error_is_free_unless_a_part_of_the_answer_is_due(
    start_caller: Any, due: bool
) -> None:
    caller = await start_caller()

    async def ask() -> None:
        async with caller.answer("fail") as answer:
            if due:
                answer.mark_due()
            await answer.message()

    with pytest.raises(ApiError) as caught:
        await ask()
    assert caught.value.type == "overloaded_error"
    assert await caller.bills() == [("interrupted", 5, 2) if due else ("failed", 0, 0)]


class Silent(ScriptedEngine):
    """Breaks the rules of an engine: its answers are these events, and nothing else."""

    events: tuple[EngineEvent, ...] = ()

    async def generate(self, prompt: Prompt) -> AsyncGenerator[EngineEvent, None]:
        del prompt
        for event in self.events:
            yield event


@pytest.mark.parametrize(
    ("events", "fault"),
    [
        ([], "did not say how long"),
        ([TextChunk("Hi", 1)], "did not say how long"),
        ([Started(input_tokens=5), TextChunk("Hi", 1)], "has no end"),
    ],
)
async def test_engine_that_breaks_the_order_of_events_fails(
    start_caller: Any, events: list[EngineEvent], fault: str
) -> None:
    async def open_silent(_name: str, _config: EngineConfig) -> Silent:
        engine = Silent(ScriptedOptions())
        engine.events = tuple(events)
        return engine

    caller = await start_caller(open_silent)

    async def ask() -> None:
        async with caller.answer() as answer:
            await answer.message()

    # The first request lets the second one begin, although it failed.
    for _ in range(2):
        with pytest.raises(InternalError) as caught:
            await ask()
        assert fault in str(caught.value.__cause__)
    assert await caller.bills() == [("failed", 0, 0)] * 2


@pytest.mark.parametrize("tokens", [1, -3])
async def test_bill_has_the_counts_of_the_last_event(start_caller: Any, tokens: int) -> None:
    async def open_correcting(_name: str, _config: EngineConfig) -> Silent:
        engine = Silent(ScriptedOptions())
        engine.events = (
            Started(input_tokens=5),
            TextChunk("Hi", 4),
            Finished(FinishReason.END_TURN, tokens, prompt=Started(input_tokens=33)),
        )
        return engine

    caller = await start_caller(open_correcting)
    async with caller.answer() as answer:
        message = await answer.message()
        assert (answer.input_tokens, answer.output_tokens) == (33, 4 + tokens)
    assert (message.usage.input_tokens, message.usage.output_tokens) == (33, 4 + tokens)
    assert await caller.bills() == [("completed", 33, 4 + tokens)]
