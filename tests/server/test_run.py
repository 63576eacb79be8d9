"""How the server shares one event loop and one interpreter among connections and large requests."""

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import uvloop
from starlette.types import Receive, Scope, Send

from antiphon.server.run import (
    ACCEPTED_AT_ONCE,
    SWITCH_S,
    THREADS,
    Server,
    bind,
    http_config,
    several,
    share_interpreter,
)
from antiphon.service.process_place import ALONE

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


async def never_called(scope: Scope, receive: Receive, send: Send) -> None:
    del scope, receive, send
    raise AssertionError


@pytest.mark.parametrize("connected", [False, True], ids=["no connection", "an idle connection"])
def test_server_without_requests_ends_without_a_pause(connected: bool) -> None:
    """A pause of a millisecond has more turns of the event loop."""

    async def turns_to_end() -> int:
        server = Server(
            http_config(never_called, 30),
            SimpleNamespace(draining=False, stopping=asyncio.Event(), process=ALONE),
            print,
        )
        with bind("127.0.0.1", 0) as listener, socket.socket() as caller:
            serving = asyncio.create_task(server.serve([listener]))
            while not server.started:  # noqa: ASYNC110 - uvicorn tells nobody
                await asyncio.sleep(0)
            if connected:
                caller.connect(listener.getsockname())
                while not server.server_state.connections:  # noqa: ASYNC110 - the same
                    await asyncio.sleep(0)
            server.end()
            turns = 0
            while not serving.done():
                await asyncio.sleep(0)
                turns += 1
            await serving
            return turns

    assert uvloop.run(turns_to_end()) < 20


GROWTH = """
import sys
from pathlib import Path
from antiphon.server.run import return_freed_memory

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1])

if sys.argv[1] == "returned":
    return_freed_memory()
# Once a large block was freed, glibc takes the next ones from its heap. What stands behind them
# there, and is still used, keeps it from shrinking.
bytearray(30_000_000)
before = resident()
kept = []
for _ in range(50):
    large = bytearray(b"x") * 1_000_000
    kept.append((large, bytearray(1000)))
kept = [small for _, small in kept]
print((resident() - before) * 4096 // 1_000_000)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a call of glibc")
def test_freed_memory_goes_back_to_the_system() -> None:
    megabytes = {
        mode: int(
            subprocess.run(
                [sys.executable, "-c", GROWTH, mode], check=True, capture_output=True, text=True
            ).stdout
        )
        for mode in ("returned", "kept")
    }
    assert megabytes["returned"] < 3
    # Otherwise the call would be of no use.
    assert megabytes["kept"] > 20


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
