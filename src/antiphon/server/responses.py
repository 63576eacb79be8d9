"""How an answer leaves: as a stream of events with pings in its silences, or folded to JSON."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from types import TracebackType
from typing import Self

import anyio

from antiphon.server.exchange import Exchange
from antiphon.wire.events import Fold, MessageStart, Ping, StreamEvent
from antiphon.wire.messages import Message
from antiphon.wire.sse import EventEncoder

# An answer that is ready sooner never starts a task to watch for a hang-up.
WATCH_AFTER_S = 0.05
# Events that a slow reader may leave waiting before the engine is made to wait.
MOST_WAITING = 256


class UntilHangUp:
    """Cancels its block when the caller hangs up, and leaves it quietly; sets `exchange.gone`.

    A class, because every request passes here: a generator with `contextmanager` costs twice.
    """

    __slots__ = ("_exchange", "_scope", "_start", "_watching")

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._scope = anyio.CancelScope()
        self._watching: asyncio.Task[None] | None = None

    def __enter__(self) -> None:
        self._start = asyncio.get_running_loop().call_later(WATCH_AFTER_S, self._begin)
        self._scope.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        self._start.cancel()
        if self._watching is not None:
            self._watching.cancel()
        return self._scope.__exit__(kind, error, trace)

    def _begin(self) -> None:
        self._watching = asyncio.get_running_loop().create_task(self._watch())

    async def _watch(self) -> None:
        await self._exchange.disconnected()
        self._scope.cancel()


async def folded(events: AsyncGenerator[StreamEvent, None]) -> Message:
    """Return the message that a stream carries."""
    fold = Fold()
    async with aclosing(events):
        async for event in events:
            fold.add(event)
    return fold.message()


class Feed:
    """Events between the task that generates them and the one that writes them.

    The writer takes all that wait at once, so that a fast engine costs one write for many events;
    the generating task waits when too many do. Leaving the context stops the generating.
    """

    def __init__(self, events: AsyncGenerator[StreamEvent, None]) -> None:
        self._events = events
        self._waiting: deque[StreamEvent] = deque()
        self._news = asyncio.Event()
        self._room = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._task = asyncio.get_running_loop().create_task(self._generate())
        self._task.add_done_callback(lambda _: self._news.set())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._task.cancel()
        # The engine must have been told before anybody goes on.
        with anyio.CancelScope(shield=True):
            await asyncio.wait([self._task])
        if not self._task.cancelled():
            self._task.exception()

    async def _generate(self) -> None:
        async with aclosing(self._events) as events:
            async for event in events:
                self._waiting.append(event)
                self._news.set()
                if len(self._waiting) >= MOST_WAITING:
                    self._room.clear()
                    await self._room.wait()

    async def opening(self, patience_s: float) -> list[StreamEvent]:
        """Return the first events: more than `message_start`, unless that takes too long.

        Raises what broke the stream, if nothing came before it.
        """
        try:
            async with asyncio.timeout(patience_s):
                while len(self._waiting) <= 1 and not self._task.done():
                    await self._wait()
        except TimeoutError:
            pass
        if len(self._waiting) <= 1 and self._task.done():
            self._task.result()
        return self._take()

    async def following(self, patience_s: float) -> list[StreamEvent] | None:
        """Return the events that came meanwhile, none after `patience_s`, `None` at the end.

        What broke the stream is raised after everything before it was taken.
        """
        try:
            async with asyncio.timeout(patience_s):
                while not self._waiting and not self._task.done():
                    await self._wait()
        except TimeoutError:
            return []
        if self._waiting:
            return self._take()
        self._task.result()
        return None

    async def _wait(self) -> None:
        self._news.clear()
        await self._news.wait()

    def _take(self) -> list[StreamEvent]:
        taken = list(self._waiting)
        self._waiting.clear()
        self._room.set()
        return taken


async def write_stream(
    exchange: Exchange,
    events: AsyncGenerator[StreamEvent, None],
    encoder: EventEncoder,
    ping_interval_s: float,
) -> None:
    """Write a stream to its caller.

    The status line is held back until the engine has said something, so that an early failure is
    still an ordinary HTTP error, but no longer than `ping_interval_s`: from then on the stream
    is open, and no silence in it is longer than that.
    """
    async with Feed(events) as feed:
        taken: list[StreamEvent] | None = await feed.opening(ping_interval_s)
        await exchange.start_stream()
        while taken is not None:
            await exchange.write(_frames(taken, encoder))
            taken = await feed.following(ping_interval_s)
    await exchange.write(b"", more=False)


def _frames(events: list[StreamEvent], encoder: EventEncoder) -> bytes:
    """Encode what goes out in one write: a ping if there is nothing, and one at the start."""
    if not events:
        return encoder.encode(Ping())
    frames = [encoder.encode(event) for event in events]
    if isinstance(events[0], MessageStart):
        frames.insert(1, encoder.encode(Ping()))
    return b"".join(frames)
