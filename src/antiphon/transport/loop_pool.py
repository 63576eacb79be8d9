"""The connections of one event loop."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator

from antiphon.transport.idle import IdleConnections
from antiphon.transport.link import Link
from antiphon.transport.reaching import reach
from antiphon.transport.targets import Origin
from antiphon.transport.texts import all_in_use, already_closed
from antiphon.transport.ways import Limits, Way, Ways


class LoopPool:
    """Connections that are kept and used on one loop, and nowhere else."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ways: Ways, limits: Limits) -> None:
        self.limits = limits
        self._loop = loop
        self._ways = ways
        self._idle: IdleConnections[Link] = IdleConnections()
        self._busy: set[Link] = set()
        self._count = 0
        self._waiters: deque[asyncio.Future[None]] = deque()
        self.closed = False
        self._until_end = _until_end(self)

    async def begin(self) -> None:
        """Have the loop close the connections when it ends."""
        await anext(self._until_end)

    async def take(
        self,
        way: Way,
        timeout: float | None,  # noqa: ASYNC109 - as in `AsyncTransport`
        *,
        kept: bool = True,
    ) -> Link:
        """Return a connection that was `kept`, if one may be used, or a new one.

        The time bounds the wait for a free one, too.
        """
        if not self._waiters and kept and (link := self._kept(way.origin)) is not None:
            return link
        if self._waiters or self._count >= self.limits.max_connections:
            began = self._loop.time()
            if (link := await self._one_free(way, timeout, kept=kept)) is not None:
                return link
            if timeout is not None:
                timeout = max(timeout - (self._loop.time() - began), 0.0)
        if self.closed:
            raise already_closed()
        self._count += 1
        try:
            link = await reach(way, self._ways, timeout, lambda: self._link(way))
        except BaseException:
            self._leave()
            raise
        self._busy.add(link)
        if self.closed:
            self.end(link)
            raise already_closed()
        return link

    def give_back(self, link: Link) -> None:
        """Take a connection back whose answer has been read to its end."""
        if self.closed or not link.reusable or link not in self._busy:
            self.end(link)
            return
        self._busy.discard(link)
        until = self._loop.time() + self.limits.idle_s
        kept = self._idle.put(link.origin, link, until)
        link.keep(until)
        if kept > self.limits.max_idle and (other := self._idle.oldest()) is not None:
            self._drop(other)
        elif self._waiters:
            self._wake_one()

    def end(self, link: Link) -> None:
        """Close a connection."""
        if link in self._busy:
            self._busy.discard(link)
            self._leave()
        link.end()

    def forget(self, link: Link) -> None:
        """End a connection whose answer nobody has any more, from whatever thread."""
        with contextlib.suppress(RuntimeError):  # the loop has ended, and its connections with it
            self._loop.call_soon_threadsafe(self.end, link)

    def close(self) -> None:
        """Close all of them; what is open ends with `ConnectionLost`."""
        self.closed = True
        for link in self._idle.clear():
            self._drop(link)
        for link in list(self._busy):
            link.end()
        while self._waiters:
            self._wake_one()

    def _link(self, way: Way) -> Link:
        return Link(self._loop, way.origin, self._let_go)

    def _let_go(self, link: Link) -> None:
        """End an idle connection whose time is over, or whose server has closed it."""
        if self._idle.discard(link):
            self._drop(link)

    def _drop(self, link: Link) -> None:
        """End a connection that has been idle, and is in nobody's hands."""
        link.idle_until = None
        link.end()
        self._leave()

    def _leave(self) -> None:
        self._count -= 1
        if self._waiters:
            self._wake_one()

    def _wake_one(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def _kept(self, origin: Origin) -> Link | None:
        while (link := self._idle.take(origin)) is not None:
            if link.alive():
                self._busy.add(link)
                return link
            self._drop(link)
        return None

    async def _one_free(
        self,
        way: Way,
        timeout: float | None,  # noqa: ASYNC109 - as in `take`
        *,
        kept: bool,
    ) -> Link | None:
        """Return a connection that was given back, or `None` when there may be one more."""
        try:
            async with asyncio.timeout(timeout):
                await self._in_turn(first=False)
                while not self.closed:
                    if kept and (link := self._kept(way.origin)) is not None:
                        return link
                    if self._count < self.limits.max_connections:
                        return None
                    if (other := self._idle.oldest()) is not None:
                        self._drop(other)  # it makes way
                    else:
                        await self._in_turn(first=True)
        except TimeoutError:
            raise all_in_use(self.limits.max_connections, timeout) from None
        return None

    async def _in_turn(self, *, first: bool) -> None:
        """Wait behind those who wait, or, `first`, before them."""
        if not self._waiters and not first:
            return
        waiter = self._loop.create_future()
        self._waiters.insert(0 if first else len(self._waiters), waiter)
        try:
            await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled():
                self._wake_one()  # what it was woken for is another's now
            raise


async def _until_end(pool: LoopPool) -> AsyncGenerator[None, None]:
    """Close the connections of a pool when its loop ends.

    A loop that is about to end closes the generators that were begun on it: the one moment at
    which the connections can be closed, and nobody else is told of it.
    """
    try:
        yield
    finally:
        pool.close()
