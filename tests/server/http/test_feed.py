import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import pytest

from antiphon.core.errors import OverloadedError
from antiphon.server.http.responses import EARLY_S, MOST_WAITING, Feed
from antiphon.service.answer import TakeGroup
from antiphon.wire.events import Ping

pytestmark = pytest.mark.anyio

# Longer than a test takes, and shorter than one may hang.
LONG_S = 10.0
SHORT_S = 0.01


class Script:
    """Groups of events, one for each call of `say`; without a call it waits."""

    def __init__(self) -> None:
        self._groups: asyncio.Queue[int | Exception | None] = asyncio.Queue()
        self.closed = False

    def say(self, count: int | Exception | None) -> None:
        """Pass on so many events, raise an error, or end (`None`)."""
        self._groups.put_nowait(count)

    async def generate(self, take: TakeGroup) -> None:
        try:
            while (count := await self._groups.get()) is not None:
                if isinstance(count, Exception):
                    raise count
                if (full := take([Ping()] * count)) is not None:
                    await full
        finally:
            self.closed = True


async def test_writer_gets_the_event_that_it_waits_for() -> None:
    script = Script()
    async with Feed(script.generate) as feed:
        waiting = asyncio.create_task(feed.following(LONG_S))
        await asyncio.sleep(0)
        script.say(3)
        assert await waiting == [Ping()] * 3


async def test_writer_is_woken_after_a_pause_that_was_too_long() -> None:
    script = Script()
    async with Feed(script.generate) as feed:
        assert await feed.following(SHORT_S) == []
        waiting = asyncio.create_task(feed.following(LONG_S))
        await asyncio.sleep(0)
        script.say(1)
        assert await waiting == [Ping()]


async def test_opening_waits_for_more_than_the_first_event() -> None:
    script = Script()
    async with Feed(script.generate) as feed:
        waiting = asyncio.create_task(feed.opening(LONG_S))
        script.say(1)
        done, _ = await asyncio.wait([waiting], timeout=SHORT_S)
        assert not done
        script.say(1)
        assert await waiting == [Ping()] * 2


async def test_opening_returns_a_single_event_after_its_patience() -> None:
    script = Script()
    script.say(1)
    async with Feed(script.generate) as feed:
        assert await feed.opening(SHORT_S) == [Ping()]


async def test_end_wakes_the_writer() -> None:
    script = Script()
    async with Feed(script.generate) as feed:
        waiting = asyncio.create_task(feed.following(LONG_S))
        await asyncio.sleep(0)
        script.say(None)
        assert await waiting is None


async def test_error_comes_after_the_events_before_it() -> None:
    script = Script()
    script.say(2)
    script.say(OverloadedError())
    async with Feed(script.generate) as feed:
        assert await feed.following(LONG_S) == [Ping()] * 2
        with pytest.raises(OverloadedError):
            await feed.following(LONG_S)


async def test_engine_waits_for_a_writer_that_is_behind() -> None:
    script = Script()
    for count in (MOST_WAITING, 1, None):
        script.say(count)
    async with Feed(script.generate) as feed:
        assert len(await feed.opening(LONG_S)) == MOST_WAITING
        assert await feed.following(LONG_S) == [Ping()]
        assert await feed.following(LONG_S) is None


async def test_leaving_stops_the_engine() -> None:
    script = Script()
    async with Feed(script.generate) as feed:
        assert await feed.following(SHORT_S) == []
    assert script.closed


class Timer:
    """A timer of `HandSet`."""

    def __init__(self, at: float, call: Callable[[], None]) -> None:
        self.at = at
        self.call = call
        self.over = False

    def cancel(self) -> None:
        self.over = True


class HandSet:
    """The running loop with a clock that is set by hand, and a list of all timers."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.now = 100.0
        self.timers: list[Timer] = []
        self.create_future = self._loop.create_future

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, call: Callable[[], None]) -> Timer:
        self.timers.append(Timer(when, call))
        return self.timers[-1]

    async def advance(self, seconds: float) -> None:
        """Let time pass, and ring the timers that are due."""
        self.now += seconds
        for timer in [one for one in self.timers if not one.over and one.at <= self.now]:
            timer.over = True
            timer.call()
        await a_turn()


async def a_turn() -> None:
    """Let all tasks go on that can."""
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
async def clock() -> HandSet:
    return HandSet()


@asynccontextmanager
async def timed(script: Script, clock: HandSet) -> AsyncGenerator[Feed]:
    async with Feed(script.generate) as feed:
        feed._loop = clock  # type: ignore[assignment]
        yield feed


async def test_patience_begins_anew_with_each_wait(clock: HandSet) -> None:
    """The timer of the first wait rings during a later one, and ends nothing."""
    script = Script()
    async with timed(script, clock) as feed:
        for _ in range(3):
            waiting = asyncio.create_task(feed.following(5))
            await a_turn()
            await clock.advance(3)
            script.say(1)
            assert await waiting == [Ping()]
        waiting = asyncio.create_task(feed.following(5))
        await a_turn()
        await clock.advance(4.9)
        assert not waiting.done()
        await clock.advance(0.1)
        assert await waiting == []


async def test_shorter_patience_than_the_timers_is_kept(clock: HandSet) -> None:
    script = Script()
    async with timed(script, clock) as feed:
        for patience_s in (10, 1):
            waiting = asyncio.create_task(feed.following(patience_s))
            await a_turn()
            if patience_s > 1:
                script.say(1)
                assert await waiting == [Ping()]
        await clock.advance(1)
        assert waiting.done()
        assert await waiting == []


async def test_timer_that_rings_a_little_early_ends_the_wait(clock: HandSet) -> None:
    script = Script()
    async with timed(script, clock) as feed:
        waiting = asyncio.create_task(feed.following(5))
        await a_turn()
        clock.now += 5 - EARLY_S / 2
        clock.timers[0].call()
        await a_turn()
        assert await waiting == []


async def test_no_patience_lets_the_engine_work_in_each_wait() -> None:
    script = Script()
    async with Feed(script.generate) as feed:
        script.say(1)
        found = [await feed.following(0) for _ in range(5)]
    assert [event for events in found for event in events or ()] == [Ping()]


async def test_waits_share_one_timer_that_ends_with_the_feed(clock: HandSet) -> None:
    script = Script()
    async with timed(script, clock) as feed:
        for _ in range(20):
            waiting = asyncio.create_task(feed.following(LONG_S))
            await a_turn()
            script.say(1)
            assert await waiting == [Ping()]
        assert [timer.over for timer in clock.timers] == [False]
    assert [timer.over for timer in clock.timers] == [True]
