"""Writes an answer as a stream of events, with pings in its pauses."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from antiphon.server.http.exchange import Exchange
from antiphon.service.answer import Generate
from antiphon.service.background import cancelled_once
from antiphon.wire.events import MessageStart, Ping, StreamEvent
from antiphon.wire.sse import EventEncoder

# The waiting events of a slow reader after which the engine has to wait.
MOST_WAITING = 256
# A timer of the event loop may ring so much too early, as its clock has whole milliseconds.
EARLY_S = 0.001


class Feed:
    """A bounded queue of events between the generating task and the writing task.

    The writer takes all waiting events at once, so that a fast engine costs one write for many
    events. When `MOST_WAITING` events wait, the generating task waits too. Leaving the context
    cancels the generating task.
    """

    def __init__(self, generate: Generate) -> None:
        self._generate = generate
        self._waiting: deque[StreamEvent] = deque()
        # What the writer waits for, while it does, and until when.
        self._news: asyncio.Future[None] | None = None
        self._due = 0.0
        # A timer that rings too early is set again then: a new one for each token costs more.
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = 0.0
        self._room = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._generate(self._add))
        self._task.add_done_callback(lambda _: self._tell())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if not self._task.done():
            # The engine has to stop before the code behind this context continues.
            await cancelled_once(self._task)
        if not self._task.cancelled():
            self._task.exception()

    def _add(self, group: list[StreamEvent]) -> Awaitable[object] | None:
        """Add events; return what to wait for if they are many."""
        waiting = self._waiting
        waiting.extend(group)
        if self._news is not None:
            self._tell()
        if len(waiting) < MOST_WAITING:
            return None
        self._room.clear()
        return self._room.wait()

    async def opening(self, patience_s: float) -> list[StreamEvent]:
        """Return the first events: more than `message_start`, or all that came in `patience_s`.

        Raises the error of the engine if the stream failed before its first event.
        """
        await self._wait_for_more_than(1, patience_s)
        if len(self._waiting) <= 1 and self._task.done():
            self._task.result()
        return self._take()

    async def following(self, patience_s: float) -> list[StreamEvent] | None:
        """Return the next events, an empty list after `patience_s`, `None` at the end.

        Raises the error of the engine after all events before it were taken.
        """
        await self._wait_for_more_than(0, patience_s)
        if self._waiting or not self._task.done():
            return self._take()
        self._task.result()
        return None

    @property
    def over(self) -> bool:
        """Whether the engine has ended without an error, and all events were taken."""
        task = self._task
        return (
            not self._waiting and task.done() and not task.cancelled() and task.exception() is None
        )

    async def _wait_for_more_than(self, count: int, patience_s: float) -> None:
        """Wait until more than `count` events wait, until the end, or for `patience_s`."""
        if len(self._waiting) > count or self._task.done():
            return
        loop = self._loop
        self._due = due = loop.time() + patience_s
        if self._timer is None or due < self._rings_at:
            self._set_timer(due)
        over = False
        while len(self._waiting) <= count and not self._task.done() and not over:
            self._news = loop.create_future()
            await self._news
            over = loop.time() > due - EARLY_S

    def _set_timer(self, moment: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._rings_at = moment
        self._timer = self._loop.call_at(moment, self._ring)

    def _ring(self) -> None:
        """Wake the writer if it has waited long enough."""
        self._timer = None
        if self._news is None:
            return
        if self._loop.time() > self._due - EARLY_S:
            self._tell()
        else:
            self._set_timer(self._due)

    def _tell(self) -> None:
        """Wake the writer, if it waits."""
        news, self._news = self._news, None
        if news is not None and not news.done():
            news.set_result(None)

    def _take(self) -> list[StreamEvent]:
        taken = list(self._waiting)
        self._waiting.clear()
        self._room.set()
        return taken


async def write_stream(
    exchange: Exchange,
    generate: Generate,
    encoder: EventEncoder,
    ping_interval_s: float,
    before_head: Callable[[], None],
) -> None:
    """Write a stream to its caller. `before_head` may add headers, as late as possible.

    The status line waits for the first event of the engine, so that an early failure is still an
    ordinary HTTP error, but at most `ping_interval_s`: then the stream is open, and no pause in it
    is longer than that.
    """
    async with Feed(generate) as feed:
        events = await feed.opening(ping_interval_s)
        before_head()
        _note_first(exchange, events)
        # The end is written with the last events, as nearly all engines end with them.
        last = feed.over
        await exchange.start_stream(_frames(events, encoder), more=not last)
        while not last and (taken := await feed.following(ping_interval_s)) is not None:
            _note_first(exchange, taken)
            last = feed.over
            await exchange.write(_frames(taken, encoder), more=not last)
    if not last:
        await exchange.write(b"", more=False)


def _note_first(exchange: Exchange, events: list[StreamEvent]) -> None:
    """Note the time of the first output in the log line."""
    if "ttft_ms" not in exchange.fields and not _only_begins(events):
        exchange.fields["ttft_ms"] = exchange.age_ms()


def _only_begins(events: list[StreamEvent]) -> bool:
    """Return whether the engine has no output yet: no events, or `message_start` alone."""
    return not events or (len(events) == 1 and isinstance(events[0], MessageStart))


def _frames(events: list[StreamEvent], encoder: EventEncoder) -> bytes:
    """Return the bytes of one write: a ping for no events, and a ping after `message_start`."""
    if not events:
        return encoder.encode(Ping())
    if isinstance(events[0], MessageStart):
        events.insert(1, Ping())
    return encoder.encode_all(events)
