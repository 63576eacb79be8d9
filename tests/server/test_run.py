"""How the server shares one event loop and one interpreter among connections and large requests."""

import asyncio
import socket
import sys
import threading
from collections.abc import Iterator

import pytest
import uvloop

from antiphon.server.run import (
    ACCEPTED_AT_ONCE,
    SWITCH_S,
    THREADS,
    bind,
    several,
    share_interpreter,
)

CALLERS = 200


@pytest.fixture
def switch_interval() -> Iterator[None]:
    before = sys.getswitchinterval()
    yield
    sys.setswitchinterval(before)


async def turns_to_accept(listeners: list[socket.socket], address: tuple[str, int]) -> int:
    loop = asyncio.get_running_loop()
    accepted: list[asyncio.BaseTransport] = []

    class Accepted(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            accepted.append(transport)

    callers = [socket.create_connection(address) for _ in range(CALLERS)]
    servers = [await loop.create_server(Accepted, sock=one) for one in listeners]
    turns = 0
    while len(accepted) < CALLERS:
        turns += 1
        await asyncio.sleep(0)
    for transport in accepted:
        transport.close()
    for server in servers:
        server.close()
    for caller in callers:
        caller.close()
    return turns


def test_waiting_connections_are_accepted_many_in_a_turn() -> None:
    with bind("127.0.0.1", 0) as listener, several(listener) as listeners:
        turns = uvloop.run(turns_to_accept(listeners, listener.getsockname()))
    assert turns <= CALLERS / ACCEPTED_AT_ONCE + 3


def test_duplicates_of_a_listener_are_closed() -> None:
    with bind("127.0.0.1", 0) as listener:
        with several(listener) as listeners:
            assert {one.getsockname() for one in listeners} == {listener.getsockname()}
        assert [one.fileno() for one in listeners[1:]] == [-1] * (ACCEPTED_AT_ONCE - 1)
        assert listener.fileno() != -1


def test_large_requests_share_few_threads_that_give_way_soon(switch_interval: None) -> None:
    del switch_interval

    async def most_at_once() -> int:
        share_interpreter(asyncio.get_running_loop())
        met = threading.Barrier(THREADS)
        # All of them wait for one another, so there are no fewer threads.
        async with asyncio.timeout(10):
            await asyncio.gather(*(asyncio.to_thread(met.wait) for _ in range(3 * THREADS)))
        return len([one for one in threading.enumerate() if "antiphon-large" in one.name])

    assert asyncio.run(most_at_once()) == THREADS
    assert sys.getswitchinterval() == pytest.approx(SWITCH_S)
