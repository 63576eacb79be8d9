"""Several that accept from one queue: each takes a few connections, and leaves some to others."""

import asyncio
import errno
import os
import socket
from collections.abc import Awaitable, Callable
from itertools import chain

import uvloop

from antiphon.server.acceptor import AT_ONCE, Acceptor
from antiphon.server.run import bind

CALLERS = 32


class Kept(asyncio.Protocol):
    """A connection that notes itself."""

    def __init__(self, kept: list[asyncio.BaseTransport]) -> None:
        self._kept = kept

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._kept.append(transport)


class Full(socket.socket):
    """A listener that cannot accept: too many files are open."""

    tries = 0

    def accept(self) -> tuple[socket.socket, object]:
        self.tries += 1
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def played(scene: Callable[[socket.socket], Awaitable[None]]) -> None:
    async def play() -> None:
        with bind("127.0.0.1", 0) as listener:
            async with asyncio.timeout(20):
                await scene(listener)

    uvloop.run(play())


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.001)


def test_burst_is_spread_over_all_that_accept() -> None:
    async def scene(listener: socket.socket) -> None:
        callers = [socket.create_connection(listener.getsockname()) for _ in range(CALLERS)]
        each: list[list[asyncio.BaseTransport]] = [[], [], []]
        listeners = [listener.dup() for _ in each]
        acceptors = [
            Acceptor(one, lambda own=own: Kept(own), lambda own=own: len(own))
            for one, own in zip(listeners, each, strict=True)
        ]
        await until(lambda: sum(map(len, each)) == CALLERS)
        assert all(AT_ONCE < len(own) <= 2 * CALLERS / len(each) for own in each)
        for one in (*chain(*each), *acceptors, *callers, *listeners):
            one.close()

    played(scene)


def test_connection_goes_to_the_one_that_has_fewer() -> None:
    """Whoever is awake, and whoever came last to the queue."""

    async def scene(listener: socket.socket) -> None:
        each: list[list[asyncio.BaseTransport]] = [[], []]
        duplicate = listener.dup()
        has = [2, 0]
        acceptors = [
            Acceptor(one, lambda n=n: Kept(each[n]), lambda n=n: has[n])
            for n, one in enumerate((listener, duplicate))
        ]
        callers = []
        for few, many in ((1, 0), (0, 1)):
            has[few], has[many] = 0, 2
            callers.append(socket.create_connection(listener.getsockname()))
            await until(lambda few=few: len(each[few]) == 1)
            # Longer than the pause of the one that has accepted.
            await asyncio.sleep(0.02)
        for one in (*chain(*each), *acceptors, *callers, duplicate):
            one.close()

    played(scene)


def test_closed_one_leaves_what_waits_to_others() -> None:
    async def scene(listener: socket.socket) -> None:
        kept: list[asyncio.BaseTransport] = []
        with listener.dup() as duplicate:
            closed = Acceptor(duplicate, lambda: Kept(kept), lambda: 0)
            closed.close()
            closed.close()
        caller = socket.create_connection(listener.getsockname())
        await asyncio.sleep(0.02)
        assert kept == []
        other = Acceptor(listener, lambda: Kept(kept), lambda: 0)
        await until(lambda: len(kept) == 1)
        kept[0].close()
        other.close()
        caller.close()

    played(scene)


def test_full_process_tries_again_later() -> None:
    async def scene(listener: socket.socket) -> None:
        full = Full(fileno=os.dup(listener.fileno()))
        acceptor = Acceptor(full, lambda: Kept([]), lambda: 0)
        caller = socket.create_connection(listener.getsockname())
        await until(lambda: full.tries == 1)
        await asyncio.sleep(0.05)
        assert full.tries == 1
        acceptor.close()
        caller.close()
        full.close()

    played(scene)
