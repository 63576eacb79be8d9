"""One connection that blocks."""

import contextlib
import socket
from collections.abc import Callable, Iterator
from math import ceil
from typing import TYPE_CHECKING, Final, TypeAlias

from antiphon.transport import texts
from antiphon.transport.answer import AnswerReader, tunnel_fault
from antiphon.transport.base import Body, ConnectionLost, Pieces, ProtocolError
from antiphon.transport.requests import write_connect
from antiphon.transport.sockets import Watch, addresses, new_socket
from antiphon.transport.targets import Origin
from antiphon.transport.ways import Way, Ways

if TYPE_CHECKING:
    import ssl

AT_ONCE: Final = 64 * 1024
"""How much is read in one call, and up to which size a body is written with its head."""

Clock: TypeAlias = Callable[[], float]


class Channel:
    """A socket and the reader of its answers. Errors leave it to be closed by whoever has it."""

    def __init__(self, link: socket.socket, origin: Origin, now: Clock) -> None:
        self.origin = origin
        self.reader = AnswerReader()
        self._socket = link
        self._now = now
        self._watch = Watch(link.fileno())
        self._secure = type(link) is not socket.socket
        self._again = _again(secure=self._secure)
        self._timeout = link.gettimeout()
        self._kept = self._used = False
        self._written = True

    @property
    def reusable(self) -> bool:
        return self._written and self.reader.reusable

    def alive(self) -> bool:
        """Return whether nothing came while no request was open: neither bytes nor the end."""
        if not self._watch.news():
            return True
        if not self._secure:
            return False
        self._wait_at_most(0)
        try:  # a message of TLS itself is no news
            self._socket.recv(1)
        except self._again:
            return True
        except OSError:
            pass
        return False

    def ask(self, head: bytes, method: str, body: Body, timeout: float | None) -> None:
        """Send a request and wait until the head of its answer has come.

        Raises `OSError` for a body that cannot be read.
        """
        self._kept, self._used = self._used, True
        reader = self.reader
        reader.begin(method)
        deadline = None if timeout is None else self._now() + timeout
        try:
            if timeout is not None and timeout <= 0:
                raise TimeoutError
            self._wait_at_most(timeout)
            self._send(head, body, deadline)
            if self._timeout != 0:  # all was written at once
                self._read()
            while not reader.head_ready:
                self._wait_until(deadline)
                self._read()
        except OSError as error:
            if texts.ran_out(error):
                raise texts.no_answer(self.origin, timeout) from None
            raise self._lost(error) from error
        except _UnreadableError as error:
            raise error.reason from None

    def next_piece(self, timeout: float | None) -> bytes:
        """Return bytes of the body, or `b""` at its end."""
        reader = self.reader
        if (piece := reader.take()) or reader.ended:
            return piece
        deadline = None if timeout is None else self._now() + timeout
        try:
            if timeout is not None and timeout <= 0:
                raise TimeoutError
            self._wait_at_most(timeout)
            self._read()
            while not (piece := reader.take()) and not reader.ended:
                self._wait_until(deadline)
                self._read()
        except OSError as error:
            if texts.ran_out(error):
                raise texts.no_more(self.origin, timeout) from None
            raise self._lost(error) from error
        return piece

    def all_pieces(self, timeout: float | None, most: int) -> bytes:
        """Return all of the body that is left, if it has at most so many bytes."""
        reader = self.reader
        deadline = None if timeout is None else self._now() + timeout
        pieces: list[bytes] = []
        size = 0
        try:
            while not reader.ended:
                if piece := reader.take():
                    pieces.append(piece)
                    size += len(piece)
                    if size > most:
                        raise texts.too_long(self.origin, most)
                elif not reader.ended:
                    self._wait_until(deadline)
                    self._read()
        except OSError as error:
            if texts.ran_out(error):
                raise texts.not_whole(self.origin, timeout) from None
            raise self._lost(error) from error
        return b"".join(pieces)

    def interrupt(self) -> None:
        """End the connection under a thread that waits for it."""
        with contextlib.suppress(OSError):
            # That of a secure socket would take its secrets away from the other thread first.
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def close(self) -> None:
        self._socket.close()

    def _read(self) -> None:
        data = self._socket.recv(AT_ONCE)
        try:
            if data:
                self.reader.feed(data)
            elif not self.reader.finish():
                raise self._lost(None)
        except ProtocolError as error:
            raise texts.broken(self.origin, error) from None

    def _send(self, head: bytes, body: Body, deadline: float | None) -> None:
        small = isinstance(body, bytes) and len(body) <= AT_ONCE
        data = head + body if small and isinstance(body, bytes) else head
        try:
            sent = self._socket.send(data)
            if sent == len(data) and small:
                return
            self._wait_at_most(0)
            if self._send_rest(memoryview(data)[sent:], deadline) and not small:
                for piece in (body,) if isinstance(body, bytes) else _read(body):
                    if not self._send_rest(memoryview(piece), deadline):
                        return
        except ConnectionError:
            # What the server said before it closed the connection may still be there.
            self._written = False

    def _send_rest(self, view: memoryview, deadline: float | None) -> bool:
        """Write bytes, until the server answers and reads no more. Return whether all are written.

        A server that refuses a long body says so and stops to read; to go on with writing alone
        would be to wait for each other.
        """
        while view:
            with contextlib.suppress(*self._again):
                view = view[self._socket.send(view[:AT_ONCE]) :]
                continue
            left = None if deadline is None else deadline - self._now()
            readable, writable = self._watch.wait(left)
            if readable:
                with contextlib.suppress(*self._again):
                    self._read()
                if self.reader.head_ready:
                    self._written = False
                    return False
            elif not writable:
                raise TimeoutError
        return True

    def _wait_at_most(self, timeout: float | None) -> None:
        if timeout is not None:
            timeout = ceil(timeout * 1000) / 1000  # as the system counts: less is no difference
        if timeout != self._timeout:  # it costs a system call
            self._socket.settimeout(timeout)
            self._timeout = timeout

    def _wait_until(self, deadline: float | None) -> None:
        if deadline is None:
            self._wait_at_most(None)
            return
        left = deadline - self._now()
        if left <= 0:
            raise TimeoutError
        self._wait_at_most(left)

    def _lost(self, error: OSError | None) -> ConnectionLost:
        begun = self.reader.begun
        return texts.lost(self.origin, error, begun=begun, kept=self._kept and not begun)


class _UnreadableError(Exception):
    """A body could not be read. The socket has nothing to do with it."""

    def __init__(self, reason: OSError) -> None:
        super().__init__(str(reason))
        self.reason = reason


def _read(body: Pieces) -> Iterator[bytes]:
    try:
        yield from body
    except OSError as error:
        raise _UnreadableError(error) from error


def connect(
    way: Way, ways: Ways, timeout: float | None, deadline: float | None, now: Clock
) -> Channel:
    """Connect to where a way leads, until the deadline; names are looked up without one.

    Raises `ConnectError`.
    """

    def left() -> float | None:
        if deadline is None:
            return None
        if (seconds := deadline - now()) <= 0:
            raise TimeoutError
        return seconds

    try:
        link = _reach(way.server, left)
        try:
            if way.tunnelled:
                _tunnel(link, way, left)
            if way.origin.secure:
                link.settimeout(left())
                link = _secured(link, way.origin, ways.context())
        except BaseException:
            link.close()
            raise
    except OSError as error:
        if texts.ran_out(error):
            raise texts.connect_timeout(way, timeout) from None
        raise texts.unreachable(way, error) from error
    return Channel(link, way.origin, now)


def _reach(server: Origin, left: Callable[[], float | None]) -> socket.socket:
    """Connect to the first address that answers; each gets its share of the time."""
    found = addresses(server.host, server.port)
    for place, (family, address) in enumerate(found):
        seconds = left()
        link = new_socket(family)
        try:
            link.settimeout(None if seconds is None else seconds / (len(found) - place))
            link.connect(address)
        except OSError:
            link.close()
            if place == len(found) - 1:
                raise
        except BaseException:
            link.close()
            raise
        else:
            return link
    raise OSError("it has no address")


def _tunnel(link: socket.socket, way: Way, left: Callable[[], float | None]) -> None:
    """Have the proxy open a tunnel. The client speaks first in it: nothing follows."""
    headers = () if way.proxy is None else way.proxy.headers
    link.settimeout(left())
    link.sendall(write_connect(way.origin.authority, headers))
    reader = AnswerReader()
    reader.begin("CONNECT")
    while not reader.head_ready:
        link.settimeout(left())
        data = link.recv(AT_ONCE)
        if not data:
            raise texts.no_tunnel(way, "it ended the connection")
        try:
            reader.feed(data)
        except ProtocolError as error:
            raise texts.no_tunnel(way, str(error)) from None
    if (what := tunnel_fault(reader)) is not None:
        raise texts.no_tunnel(way, what)


def _secured(link: socket.socket, origin: Origin, context: "ssl.SSLContext") -> socket.socket:
    import ssl  # noqa: PLC0415 - only for https

    try:
        # An end without TLS's own word for it may have been made by anybody.
        return context.wrap_socket(link, server_hostname=origin.host, suppress_ragged_eofs=False)
    except ssl.SSLError as error:
        raise texts.insecure(origin, error) from error


def _again(*, secure: bool) -> tuple[type[OSError], ...]:
    """Return what a socket raises that would have to wait and may not."""
    if not secure:
        return (BlockingIOError,)
    import ssl  # noqa: PLC0415 - only for https

    return (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
