import asyncio
from collections.abc import AsyncGenerator

import pytest

from antiphon.core.errors import OverloadedError
from antiphon.server.http.responses import MOST_WAITING, Feed
from antiphon.wire.events import Ping, StreamEvent

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
        """Yield so many events, raise an error, or end (`None`)."""
        self._groups.put_nowait(count)

    async def events(self) -> AsyncGenerator[list[StreamEvent], None]:
        try:
            while (count := await self._groups.get()) is not None:
                if isinstance(count, Exception):
                    raise count
                yield [Ping()] * count
        finally:
            self.closed = True


async def test_writer_gets_the_event_that_it_waits_for() -> None:
    script = Script()
    async with Feed(script.events()) as feed:
        waiting = asyncio.create_task(feed.following(LONG_S))
        await asyncio.sleep(0)
        script.say(3)
        assert await waiting == [Ping()] * 3


async def test_writer_is_woken_after_a_pause_that_was_too_long() -> None:
    script = Script()
    async with Feed(script.events()) as feed:
        assert await feed.following(SHORT_S) == []
        waiting = asyncio.create_task(feed.following(LONG_S))
        await asyncio.sleep(0)
        script.say(1)
        assert await waiting == [Ping()]


async def test_opening_waits_for_more_than_the_first_event() -> None:
    script = Script()
    async with Feed(script.events()) as feed:
        waiting = asyncio.create_task(feed.opening(LONG_S))
        script.say(1)
        done, _ = await asyncio.wait([waiting], timeout=SHORT_S)
        assert not done
        script.say(1)
        assert await waiting == [Ping()] * 2


async def test_opening_returns_a_single_event_after_its_patience() -> None:
    script = Script()
    script.say(1)
    async with Feed(script.events()) as feed:
        assert await feed.opening(SHORT_S) == [Ping()]


async def test_end_wakes_the_writer() -> None:
    script = Script()
    async with Feed(script.events()) as feed:
        waiting = asyncio.create_task(feed.following(LONG_S))
        await asyncio.sleep(0)
        script.say(None)
        assert await waiting is None


async def test_error_comes_after_the_events_before_it() -> None:
    script = Script()
    script.say(2)
    script.say(OverloadedError())
    async with Feed(script.events()) as feed:
        assert await feed.following(LONG_S) == [Ping()] * 2
        with pytest.raises(OverloadedError):
            await feed.following(LONG_S)


async def test_engine_waits_for_a_writer_that_is_behind() -> None:
    script = Script()
    for count in (MOST_WAITING, 1, None):
        script.say(count)
    async with Feed(script.events()) as feed:
        assert len(await feed.opening(LONG_S)) == MOST_WAITING
        assert await feed.following(LONG_S) == [Ping()]
        assert await feed.following(LONG_S) is None


async def test_leaving_stops_the_engine() -> None:
    script = Script()
    async with Feed(script.events()) as feed:
        assert await feed.following(SHORT_S) == []
    assert script.closed
