"""Sockets: their options, and the addresses of a name."""

import select
import socket
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, TypeAlias

Address: TypeAlias = tuple[socket.AddressFamily, Any]

_KEEP_ALIVE: Final = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 60), ("TCP_KEEPCNT", 5))
"""A peer that is gone without a word is noticed after six minutes, also where no time is set."""


def addresses(host: str, port: int) -> list[Address]:
    """Return the addresses of a host, its families in turn. Raises `OSError`; may take long."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return in_turn([(family, address) for family, _, _, _, address in found])


def in_turn(found: Sequence[Address]) -> list[Address]:
    """Order addresses so that one family is not tried to its end before the other (RFC 8305)."""
    first = [one for one in found if one[0] == found[0][0]]
    other = [one for one in found if one[0] != found[0][0]]
    ordered: list[Address] = []
    while first or other:
        ordered += first[:1] + other[:1]
        first, other = first[1:], other[1:]
    return ordered


def new_socket(family: socket.AddressFamily) -> socket.socket:
    """Return a socket that sends at once, and that notices a peer that is gone."""
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEP_ALIVE:
        if (option := getattr(socket, name, None)) is not None:
            made.setsockopt(socket.IPPROTO_TCP, option, value)
    return made


class Watch:
    """Looks at one socket without reading from it.

    `news` returns what there is to read, which may be the end; nothing is an empty list.
    """

    def __init__(self, number: int) -> None:
        self._number = number
        # Windows has no `poll`.
        self._poll = select.poll() if hasattr(select, "poll") else None
        self.news: Callable[[], Sequence[object]]
        if self._poll is None:
            self.news = self._selected
        else:
            self._poll.register(number, select.POLLIN)
            self.news = partial(self._poll.poll, 0)

    def _selected(self) -> Sequence[object]:
        return select.select([self._number], [], [], 0)[0]

    def wait(self, timeout: float | None) -> tuple[bool, bool]:
        """Wait until the socket can be read or written; return which. Both are false in the end."""
        if self._poll is None:
            one = [self._number]
            readable, writable, _ = select.select(one, one, [], timeout)
            return bool(readable), bool(writable)
        self._poll.modify(self._number, select.POLLIN | select.POLLOUT)
        try:
            found = self._poll.poll(None if timeout is None else max(timeout, 0) * 1000)
        finally:
            self._poll.modify(self._number, select.POLLIN)
        events = found[0][1] if found else 0
        return bool(events & ~select.POLLOUT), bool(events & select.POLLOUT)
