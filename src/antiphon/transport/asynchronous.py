"""Connections for asyncio."""

import asyncio
import contextlib
from typing import TYPE_CHECKING, Self

from antiphon.transport import texts
from antiphon.transport.answer import Head
from antiphon.transport.base import ConnectionLost, HttpRequest
from antiphon.transport.link import Link
from antiphon.transport.loop_pool import LoopPool
from antiphon.transport.requests import IDEMPOTENT
from antiphon.transport.ways import Limits, ProxyChoice, Verify, Ways

if TYPE_CHECKING:
    from types import TracebackType


class AsyncConnections:
    """An `AsyncTransport`; all loops may share one, each with connections of its own.

    It is told the same as `Connections`, and keeps the same rules. A loop that ends closes its
    connections, so a program may run several one after the other. `close` may be called from any
    thread.
    """

    def __init__(
        self, *, verify: Verify = True, proxy: ProxyChoice = None, limits: Limits | None = None
    ) -> None:
        self._limits = limits or Limits()
        self._ways = Ways(verify, proxy)
        self._pools: dict[asyncio.AbstractEventLoop, LoopPool] = {}
        self._closed = False

    async def open(
        self,
        request: HttpRequest,
        *,
        connect_timeout: float | None,
        timeout: float | None,  # noqa: ASYNC109 - as in `AsyncTransport`
    ) -> "AsyncAnswer":
        """As in `AsyncTransport`. Raises `ValueError` for a request that cannot be written."""
        way, head = self._ways.of(request)
        pool = self._pools.get(asyncio.get_running_loop())
        if pool is None or pool.closed:
            pool = await self._new_pool()
        link = await pool.take(way, connect_timeout)
        try:
            await _ask(pool, link, head, request, timeout)
        except ConnectionLost as lost:
            if not lost.kept or request.method not in IDEMPOTENT:
                raise
            link = await pool.take(way, connect_timeout, kept=False)
            await _ask(pool, link, head, request, timeout)
        return AsyncAnswer(pool, link)

    def close(self) -> None:
        """Close every connection of every loop. Waits for nothing."""
        self._closed = True
        running = asyncio._get_running_loop()  # noqa: SLF001 - documented, and raises nothing
        for loop, pool in list(self._pools.items()):
            if loop.is_closed():
                continue
            if loop is running or not loop.is_running():
                pool.close()
            else:
                with contextlib.suppress(RuntimeError):  # it has ended now
                    loop.call_soon_threadsafe(pool.close)
        self._pools.clear()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: "TracebackType | None",
    ) -> None:
        self.close()

    async def _new_pool(self) -> LoopPool:
        if self._closed:
            raise texts.already_closed()
        for old in [loop for loop in self._pools if loop.is_closed()]:
            self._pools.pop(old, None)
        loop = asyncio.get_running_loop()
        pool = self._pools[loop] = LoopPool(loop, self._ways, self._limits)
        await pool.begin()
        return pool


async def _ask(
    pool: LoopPool,
    link: Link,
    head: bytes,
    request: HttpRequest,
    timeout: float | None,  # noqa: ASYNC109
) -> None:
    try:
        await link.ask(head, request.method, request.body, timeout)
    except BaseException:
        pool.end(link)
        raise


class AsyncAnswer(Head):
    """An `AsyncResponseStream`. One that is forgotten before its end costs its connection."""

    __slots__ = ("_link", "_pool", "_rest")

    def __init__(self, pool: LoopPool, link: Link) -> None:
        reader = link.reader
        super().__init__(reader)
        self._pool = pool
        self._link: Link | None = link
        self._rest: bytes | None = b""
        if reader.complete and not reader.compressed:
            # All has come in one read: the connection need not wait for whoever reads it.
            self._rest = reader.take()
            self._done(link)

    async def read_chunk(self, timeout: float | None) -> bytes:  # noqa: ASYNC109
        link = self._link
        if link is None:
            return self._left()
        try:
            data = await link.next_piece(timeout)
        except BaseException:
            self.close()
            raise
        if link.reader.ended:
            self._done(link)
        return data

    async def read(self, timeout: float | None) -> bytes:  # noqa: ASYNC109
        link = self._link
        if link is None:
            return self._left()
        try:
            data = await link.all_pieces(timeout, self._pool.limits.largest_answer)
        except BaseException:
            self.close()
            raise
        self._done(link)
        return data

    def close(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            self._rest = None
            self._pool.end(link)

    def _left(self) -> bytes:
        """Return what is left of an answer that came whole; one that was ended has no end."""
        data, self._rest = self._rest, b""
        if data is None:
            self._rest = None
            raise texts.was_closed()
        return data

    def _done(self, link: Link) -> None:
        self._link = None
        self._pool.give_back(link)

    def __del__(self) -> None:
        link = getattr(self, "_link", None)  # its making may have been interrupted
        if link is not None:
            self._link = None
            self._pool.forget(link)
