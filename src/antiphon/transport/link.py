"""One connection on an event loop."""

import asyncio
from collections.abc import Callable
from enum import Enum
from typing import Any, Final

from antiphon.transport import texts
from antiphon.transport.answer import AnswerReader
from antiphon.transport.base import Body, ConnectionLost, Pieces, ProtocolError
from antiphon.transport.sockets import Watch
from antiphon.transport.targets import Origin

AT_ONCE: Final = 64 * 1024
"""Up to which size a body is written with its head."""
MOST_KEPT: Final = 256 * 1024
"""How much of a body is kept before the socket is read no further."""


class _Want(Enum):
    """What a reader waits for."""

    HEAD = 0
    SOME = 1
    ALL = 2
    ROOM = 3
    """To write more of a body."""


class Link(asyncio.Protocol):
    """A connection and the reader of its answers. It belongs to one loop.

    Waits share one timer, which is armed anew only for an earlier end: a stream of a thousand
    tokens costs one. Errors leave the link to be ended by whoever has it.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, origin: Origin, let_go: Callable[["Link"], None]
    ) -> None:
        self.origin = origin
        self.reader = AnswerReader()
        self.idle_until: float | None = None
        self._loop = loop
        self._let_go = let_go
        self._transport: Any = None
        self._watch: Watch | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._want = _Want.HEAD
        self._deadline: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._armed = 0.0
        self._fault: ProtocolError | None = None
        self._error: Exception | None = None
        self._over = self._paused = self._long = False
        self._full = self._unsent = False
        self._kept = self._used = False

    @property
    def reusable(self) -> bool:
        return (
            self.reader.reusable
            and not self._over
            and not self._unsent
            # A long body may still be on its way when the answer is complete.
            and not (self._long and self._transport.get_write_buffer_size())
        )

    def alive(self) -> bool:
        """Return whether nothing has come since the last answer, not even to the socket."""
        if self._over or self._transport.is_closing():
            return False
        return self._watch is None or not self._watch.news()

    async def ask(self, head: bytes, method: str, body: Body, timeout: float | None) -> None:  # noqa: ASYNC109
        """Send a request and wait until the head of its answer has come.

        Raises `OSError` for a body that cannot be read.
        """
        self._kept, self._used, self.idle_until = self._used, True, None
        if timeout is not None and timeout <= 0:
            raise texts.no_answer(self.origin, timeout)
        reader = self.reader
        reader.begin(method)
        deadline = None if timeout is None else self._loop.time() + timeout
        self._long = len(body) > AT_ONCE
        try:
            if not isinstance(body, bytes):
                self._transport.write(head)
                await self._write_pieces(body, deadline)
            elif self._long:
                self._transport.write(head)
                self._transport.write(body)
            else:
                self._transport.write(head + body)
            while not reader.head_ready:
                await self._more(_Want.HEAD, deadline)
        except TimeoutError:
            raise texts.no_answer(self.origin, timeout) from None

    async def _write_pieces(self, body: Pieces, deadline: float | None) -> None:
        """Write a body as it is read, until the server answers, and no further than it reads."""
        pieces = iter(body)
        self._long = self._unsent = True
        # What is read may be on a disk that takes its time.
        while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
            while self._full and not self.reader.head_ready:
                await self._more(_Want.ROOM, deadline)
            if self._over or self.reader.head_ready:
                return
            self._transport.write(piece)
        self._unsent = False

    async def next_piece(self, timeout: float | None) -> bytes:  # noqa: ASYNC109
        """Return bytes of the body, or `b""` at its end."""
        if (piece := self._taken()) or self.reader.ended:
            return piece
        deadline = None if timeout is None else self._loop.time() + timeout
        try:
            while not (piece := self._taken()) and not self.reader.ended:
                await self._more(_Want.SOME, deadline)
        except TimeoutError:
            raise texts.no_more(self.origin, timeout) from None
        return piece

    async def all_pieces(self, timeout: float | None, most: int) -> bytes:  # noqa: ASYNC109
        """Return all of the body that is left, if it has at most so many bytes."""
        deadline = None if timeout is None else self._loop.time() + timeout
        pieces: list[bytes] = []
        size = 0
        try:
            while not self.reader.ended:
                if piece := self._taken():
                    pieces.append(piece)
                    size += len(piece)
                    if size > most:
                        raise texts.too_long(self.origin, most)
                elif not self.reader.ended:
                    await self._more(_Want.ALL, deadline)
        except TimeoutError:
            raise texts.not_whole(self.origin, timeout) from None
        return b"".join(pieces)

    def keep(self, until: float) -> None:
        """Keep the connection without a request until a time of the loop's clock."""
        self.idle_until = until
        self._arm(until)

    def end(self) -> None:
        """Close the connection. What waits for it is told that it is lost."""
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None and not self._loop.is_closed():
            self._transport.abort()
        self._wake()

    # What asyncio calls.

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        if self._want is _Want.ROOM:
            self._wake()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        if transport.get_extra_info("sslcontext") is None:
            self._watch = Watch(transport.get_extra_info("socket").fileno())

    def data_received(self, data: bytes) -> None:
        reader = self.reader
        if self._fault is not None:
            return
        try:
            reader.feed(data)
        except ProtocolError as error:
            self._fault = texts.broken(self.origin, error)
            self._transport.abort()
            self._wake()
            return
        if reader.size > MOST_KEPT and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        if self._waiter is not None:
            if self._has_wanted():
                self._wake()
        elif reader.excess and self.idle_until is not None:
            self._let_go(self)

    def eof_received(self) -> None:
        self._finish(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._finish(exc)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _finish(self, error: Exception | None) -> None:
        if self._over:
            return
        self._over = True
        self._error = error
        if error is None:
            self.reader.finish()
        if self.idle_until is not None:
            self._let_go(self)
        self._wake()

    # Waiting.

    def _taken(self) -> bytes:
        try:
            piece = self.reader.take()
        except ProtocolError as error:
            raise texts.broken(self.origin, error) from None
        if self._paused and self.reader.size <= MOST_KEPT:
            self._paused = False
            if not self._over:
                self._transport.resume_reading()
        return piece

    def _has_wanted(self) -> bool:
        reader = self.reader
        if reader.complete or self._paused:
            return True
        if self._want in {_Want.HEAD, _Want.ROOM}:
            return reader.head_ready
        return self._want is _Want.SOME and reader.size > 0

    async def _more(self, want: _Want, deadline: float | None) -> None:
        """Wait until there is what is wanted, or raise the reason why there will not be."""
        if self._fault is not None:
            raise self._fault
        if self._over:
            raise self._lost() from self._error
        if self._waiter is not None:
            raise RuntimeError("two tasks read one answer")
        self._want = want
        self._waiter = self._loop.create_future()
        self._deadline = deadline
        if deadline is not None:
            self._arm(deadline)
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _arm(self, deadline: float) -> None:
        if self._timer is not None:
            if self._armed <= deadline:
                return
            self._timer.cancel()
        self._armed = deadline
        self._timer = self._loop.call_at(deadline, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        deadline = self.idle_until if self._waiter is None else self._deadline
        if deadline is None:
            return
        if self._loop.time() < deadline:
            self._arm(deadline)
        elif self._waiter is None:
            self._let_go(self)
        elif not self._waiter.done():
            self._waiter.set_exception(TimeoutError())

    def _lost(self) -> ConnectionLost:
        begun = self.reader.begun
        return texts.lost(self.origin, self._error, begun=begun, kept=self._kept and not begun)
