"""Connections that block: what a program without an event loop sends with."""

import os
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Self

from antiphon.transport import texts
from antiphon.transport.answer import Head
from antiphon.transport.base import ConnectionLost, HttpRequest
from antiphon.transport.channel import Channel, connect
from antiphon.transport.idle import IdleConnections
from antiphon.transport.requests import IDEMPOTENT
from antiphon.transport.ways import Limits, ProxyChoice, Verify, Way, Ways

if TYPE_CHECKING:
    from types import TracebackType


class Connections:
    """A `Transport` on sockets that block; any number of threads may share one.

    `verify` and `proxy` are explained where `ways.py` defines them, `limits` too. A connection that
    its server has closed is noticed before it is used. One that is lost after that, before a byte
    of the answer, costs one more try on a new connection if the method may be repeated; for `POST`
    it is an error (`ConnectionLost.kept`), because the server may have read it.
    """

    def __init__(
        self,
        *,
        verify: Verify = True,
        proxy: ProxyChoice = None,
        limits: Limits | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = limits or Limits()
        self._ways = Ways(verify, proxy)
        self._now = now
        # It can be taken twice: the end of an answer that is forgotten may come at any time.
        self._lock = threading.RLock()
        self._free = threading.Condition(self._lock)
        self._waiting = 0
        self._idle: IdleConnections[Channel] = IdleConnections()
        self._busy: set[Channel] = set()
        self._connecting: set[int] = set()
        self._closed = False
        self._process = os.getpid()
        self._births: dict[int, threading.Lock] = {}

    def open(
        self, request: HttpRequest, *, connect_timeout: float | None, timeout: float | None
    ) -> "Answer":
        """As in `Transport`. Raises `ValueError` for a request that cannot be written."""
        way, head = self._ways.of(request)
        # An interrupt may come anywhere. Whatever was taken until then stands here.
        taken: list[Channel] = []
        try:
            channel = self._channel(way, connect_timeout, taken)
            if not _is_read(channel, head, request, timeout):
                self.end(channel)
                channel = self._channel(way, connect_timeout, taken, kept=False)
                channel.ask(head, request.method, request.body, timeout)
            return Answer(self, channel)
        except BaseException:
            self._give_up(taken)
            raise

    def close(self) -> None:
        """Close every connection. What is open ends with `ConnectionLost`."""
        self._notice_fork()
        with self._lock:
            self._closed = True
            idle, busy = self._idle.clear(), list(self._busy)
            self._free.notify_all()
        for channel in idle:
            channel.close()
        for channel in busy:
            channel.interrupt()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: "TracebackType | None",
    ) -> None:
        self.close()

    # Connections that are taken, given back and ended.

    @property
    def _count(self) -> int:
        """How many connections there are. Nothing has to be counted down, or is when it should."""
        return len(self._idle) + len(self._busy) + len(self._connecting)

    def _channel(
        self, way: Way, timeout: float | None, taken: list[Channel], *, kept: bool = True
    ) -> Channel:
        """Return a connection that was `kept`, if one may be used, or a new one; `taken` has it."""
        if self._process != os.getpid():
            self._notice_fork()
        with self._lock:
            if self._closed:
                raise texts.already_closed()
            begun = self._now()
            while (channel := self._idle.expired(begun)) is not None:
                channel.close()
            deadline = None if timeout is None else begun + timeout
            while True:
                while kept and (channel := self._idle.take(way.origin)) is not None:
                    taken.append(channel)
                    if channel.alive():
                        self._busy.add(channel)
                        return channel
                    taken.pop().close()
                if self._count < self._limits.max_connections:
                    break
                if (other := self._idle.oldest()) is not None:
                    other.close()
                else:
                    self._wait(deadline, timeout)
            self._connecting.add(id(taken))
        channel = connect(way, self._ways, timeout, deadline, self._now)
        with self._lock:
            taken.append(channel)
            self._busy.add(channel)
            self._connecting.discard(id(taken))
            if self._closed:
                raise texts.already_closed()
            return channel

    def _give_up(self, taken: list[Channel]) -> None:
        """Close what a request has taken that ends without an answer."""
        self._notice_fork()
        with self._lock:
            self._connecting.discard(id(taken))
            self._busy.difference_update(taken)
            for channel in taken:
                self._idle.discard(channel)
            self._notify()
        for channel in taken:
            channel.close()

    def _notice_fork(self) -> None:
        """Begin anew in a process that was forked: the connections are the parent's, who uses them.

        They are closed without a word to the server. The lock may be held by a thread that there
        is only in the parent, so it is another one from here on.
        """
        process = os.getpid()
        if self._process == process:
            return
        with self._births.setdefault(process, threading.Lock()):
            if self._process == process:
                return  # another thread of this process was first
            inherited = (*self._idle.clear(), *self._busy)
            self._busy.clear()
            self._connecting = set()
            self._lock = threading.RLock()
            self._free = threading.Condition(self._lock)
            self._waiting = 0
            self._ways.notice_fork()
            self._process = process
        for channel in inherited:
            channel.close()  # its descriptor here; the parent's stays open

    def _wait(self, deadline: float | None, timeout: float | None) -> None:
        """Wait until a connection is given back, or ends."""
        left = None if deadline is None else deadline - self._now()
        self._waiting += 1
        try:
            if (left is not None and left <= 0) or not self._free.wait(left):
                raise texts.all_in_use(self._limits.max_connections, timeout)
        finally:
            self._waiting -= 1
        if self._closed:
            raise texts.already_closed()

    def _notify(self) -> None:
        # An interrupt may leave one that waits too many, which costs a look, and never one less.
        if self._waiting:
            self._free.notify()

    def give_back(self, channel: Channel) -> None:
        """Take a connection back whose answer has been read to its end."""
        if not channel.reusable:
            self.end(channel)
            return
        if self._process != os.getpid():
            self._notice_fork()
        with self._lock:
            if channel not in self._busy:
                channel.close()
                return
            self._busy.discard(channel)
            if self._closed:
                self._notify()
                channel.close()
                return
            kept = self._idle.put(channel.origin, channel, self._now() + self._limits.idle_s)
            if kept > self._limits.max_idle and (other := self._idle.oldest()) is not None:
                other.close()
            if self._waiting:
                self._free.notify()

    def end(self, channel: Channel) -> None:
        """Close a connection."""
        self._notice_fork()
        with self._lock:
            if channel in self._busy:
                self._busy.discard(channel)
                self._notify()
            else:
                self._idle.discard(channel)
        channel.close()

    @property
    def largest_answer(self) -> int:
        return self._limits.largest_answer


class Answer(Head):
    """A `ResponseStream`. One that is forgotten before its end costs its connection."""

    __slots__ = ("_channel", "_connections", "_rest")

    def __init__(self, connections: Connections, channel: Channel) -> None:
        self._connections = connections
        self._rest: bytes | None = b""
        self._channel: Channel | None = channel
        reader = channel.reader
        super().__init__(reader)
        if reader.complete and not reader.compressed:
            # All has come in one read: the connection need not wait for whoever reads it.
            self._rest = reader.take()
            self._done(channel)

    def read_chunk(self, timeout: float | None) -> bytes:
        channel = self._channel
        if channel is None:
            return self._left()
        try:
            data = channel.next_piece(timeout)
        except BaseException:
            self.close()
            raise
        if channel.reader.ended:
            self._done(channel)
        return data

    def read(self, timeout: float | None) -> bytes:
        channel = self._channel
        if channel is None:
            return self._left()
        try:
            data = channel.all_pieces(timeout, self._connections.largest_answer)
        except BaseException:
            self.close()
            raise
        self._done(channel)
        return data

    def close(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            self._rest = None
            self._connections.end(channel)

    def _left(self) -> bytes:
        """Return what is left of an answer that came whole; one that was ended has no end."""
        data, self._rest = self._rest, b""
        if data is None:
            self._rest = None
            raise texts.was_closed()
        return data

    def _done(self, channel: Channel) -> None:
        # In this order: whoever is interrupted between them still has what is to be closed.
        self._connections.give_back(channel)
        self._channel = None

    def __del__(self) -> None:
        if getattr(self, "_channel", None) is not None:  # its making may have been interrupted
            self.close()


def _is_read(channel: Channel, head: bytes, request: HttpRequest, timeout: float | None) -> bool:
    """Send a request; return whether it has an answer, and not to be sent on a new connection."""
    try:
        channel.ask(head, request.method, request.body, timeout)
    except ConnectionLost as lost:
        if not lost.kept or request.method not in IDEMPOTENT:
            raise
        return False
    return True
