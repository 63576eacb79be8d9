"""Connections that threads, processes and loops share, and reads that are given up."""

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import uvloop

from antiphon.transport import AsyncConnections, Connections, Limits
from antiphon.transport.base import ConnectionLost, HttpRequest, ProtocolError, TransportError
from support.raw_server import Peer, answering, raw_server
from support.senders import KINDS, PATIENCE_S, sender

TEXT = b"all of the body"
OK = b"HTTP/1.1 200 OK\r\n"
SIZED = b"%bcontent-length: %d\r\n\r\n%b" % (OK, len(TEXT), TEXT)
STREAM = OK + b"transfer-encoding: chunked\r\n\r\n2\r\nab\r\n"


def silent(peer: Peer) -> None:
    peer.request()
    peer.send(STREAM)
    peer.gone()


def get(connections: Connections, url: str) -> bytes:
    request = HttpRequest(method="GET", url=url)
    with_time = connections.open(request, connect_timeout=PATIENCE_S, timeout=PATIENCE_S)
    return with_time.read(PATIENCE_S)


async def aget(connections: AsyncConnections, url: str) -> bytes:
    request = HttpRequest(method="GET", url=url)
    answer = await connections.open(request, connect_timeout=PATIENCE_S, timeout=PATIENCE_S)
    return await answer.read(PATIENCE_S)


def test_threads_share_few_connections() -> None:
    limits = Limits(max_connections=3)
    with (
        raw_server(answering(SIZED)) as server,
        Connections(limits=limits) as connections,
        ThreadPoolExecutor(12) as threads,
    ):
        found = list(threads.map(lambda _: get(connections, server.url), range(300)))
        assert found == [TEXT] * 300
        assert server.connections <= 3
        assert not connections._busy
        assert len(connections._idle) == connections._count


def test_close_ends_what_another_thread_waits_for() -> None:
    with raw_server(silent) as server, Connections() as connections:
        request = HttpRequest(method="GET", url=server.url)
        answer = connections.open(request, connect_timeout=None, timeout=None)
        assert answer.read_chunk(None) == b"ab"
        waits = threading.Event()

        def wait() -> None:
            waits.set()
            with pytest.raises(ConnectionLost):
                answer.read(None)

        with ThreadPoolExecutor(1) as threads:
            waiting = threads.submit(wait)
            assert waits.wait(10)
            connections.close()
            waiting.result(10)
        assert connections._count == 0


def test_child_of_a_fork_uses_none_of_its_parents_connections() -> None:
    with raw_server(answering(SIZED)) as server, Connections() as connections:
        assert get(connections, server.url) == TEXT
        if not (child := os.fork()):
            same = get(connections, server.url) == TEXT
            os._exit(0 if same and server.connections == 1 else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert get(connections, server.url) == TEXT
        assert server.connections == 2


def test_child_of_a_fork_that_closes_leaves_its_parents_answer_alone() -> None:
    def in_two(peer: Peer) -> None:
        peer.request()
        peer.send(SIZED[:-5])
        forked.wait(10)
        peer.send(SIZED[-5:])

    forked = threading.Event()
    with raw_server(in_two) as server, Connections() as connections:
        request = HttpRequest(method="GET", url=server.url)
        answer = connections.open(request, connect_timeout=PATIENCE_S, timeout=PATIENCE_S)
        if not (child := os.fork()):
            connections.close()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        forked.set()
        assert answer.read(PATIENCE_S) == TEXT


def test_child_of_a_fork_waits_for_no_thread_of_its_parent() -> None:
    with raw_server(answering(SIZED)) as server, Connections() as connections:
        # Another thread is in the middle of something.
        held, go_on = threading.Event(), threading.Event()

        def hold() -> None:
            with connections._free, connections._ways._lock:
                held.set()
                go_on.wait(10)

        thread = threading.Thread(target=hold)
        thread.start()
        held.wait(10)
        if not (child := os.fork()):
            signal.alarm(10)
            same = get(connections, server.url) == TEXT
            connections._ways.context()
            os._exit(0 if same else 1)
        assert os.waitpid(child, 0)[1] == 0
        go_on.set()
        thread.join()


@pytest.mark.parametrize("factory", [None, uvloop.new_event_loop])
def test_loops_one_after_the_other_share_no_connection(factory: None) -> None:
    with raw_server(answering(SIZED)) as server:
        connections = AsyncConnections()
        for number in range(1, 4):
            with asyncio.Runner(loop_factory=factory) as runner:
                assert runner.run(aget(connections, server.url)) == TEXT
                assert runner.run(aget(connections, server.url)) == TEXT
            assert server.ended.wait(10)  # the loop closed them
            server.ended.clear()
            assert server.connections == number
            assert len(connections._pools) == 1
        connections.close()
        gc.collect()


def test_loops_beside_each_other_share_no_connection() -> None:
    with raw_server(answering(SIZED)) as server:
        connections = AsyncConnections()
        together = threading.Barrier(3)

        async def several() -> None:
            together.wait(10)
            for _ in range(20):
                assert await aget(connections, server.url) == TEXT

        with ThreadPoolExecutor(3) as threads:
            for done in [threads.submit(uvloop.run, several()) for _ in range(3)]:
                done.result(10)
        assert server.connections == 3


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_close_from_another_thread_ends_what_is_awaited(kind: str) -> None:
    with raw_server(silent) as server, sender(kind) as sends:
        reply = sends.open(server.url)
        assert reply.read_chunk() == b"ab"
        threading.Timer(0.05, sends.connections.close).start()
        with pytest.raises(ConnectionLost):
            reply.read(None)
        with pytest.raises(TransportError, match="closed"):
            sends.open(server.url)


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
@pytest.mark.parametrize("begun", [False, True])
def test_cancelled_wait_closes_the_connection(kind: str, begun: bool) -> None:
    gone = threading.Event()
    asked = threading.Event()

    def script(peer: Peer) -> None:
        peer.request()
        if begun:
            peer.send(STREAM)
        asked.set()
        if peer.gone():
            gone.set()

    async def give_up() -> None:
        request = HttpRequest(method="GET", url=server.url)
        connections = sends.connections

        async def ask() -> None:
            answer = await connections.open(request, connect_timeout=None, timeout=None)
            await answer.read(None)

        task = asyncio.create_task(ask())
        await asyncio.to_thread(asked.wait, 10)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with raw_server(script) as server, sender(kind) as sends:
        sends.run(give_up())
        assert gone.wait(10)
        (pool,) = sends.connections._pools.values()
        assert pool._count == 0


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_second_reader_of_an_answer_is_refused(kind: str) -> None:
    async def both() -> None:
        request = HttpRequest(method="GET", url=server.url)
        answer = await sends.connections.open(request, connect_timeout=None, timeout=None)
        assert await answer.read_chunk(None) == b"ab"
        first = asyncio.create_task(answer.read(None))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="two tasks"):
            await answer.read(None)
        with pytest.raises(ConnectionLost):
            await first

    with raw_server(silent) as server, sender(kind) as sends:
        sends.run(both())


def test_answer_that_is_forgotten_in_the_middle_of_anything_is_ended() -> None:
    with raw_server(silent) as server, Connections() as connections:
        request = HttpRequest(method="GET", url=server.url)
        answer = connections.open(request, connect_timeout=None, timeout=None)
        with connections._free:  # as when garbage is collected inside of it
            del answer
        assert connections._count == 0


def fewest_queues(numbers: list[int]) -> int:
    """Return into how many rising sequences numbers can be parted, at the least."""
    ends: list[int] = []
    for number in numbers:
        behind = max((end for end in ends if end < number), default=None)
        if behind is not None:
            ends.remove(behind)
        ends.append(number)
    return len(ends)


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_waiters_for_a_connection_are_served_in_turn(kind: str) -> None:
    limits = Limits(max_connections=2)

    async def ask(url: str, number: int, done: list[int]) -> None:
        assert await aget(sends.connections, url) == TEXT
        done.append(number)

    async def several(url: str) -> list[int]:
        done: list[int] = []
        await asyncio.gather(*(ask(url, number, done) for number in range(40)))
        return done

    with raw_server(answering(SIZED)) as server, sender(kind, limits=limits) as sends:
        done = sends.run(several(server.url))
        assert sorted(done) == list(range(40))
        # Each connection takes the first who waits, so each has done its own in their order. How
        # quick it is beside the other one is not said.
        assert fewest_queues(done) <= 2
        assert server.connections == 2


@pytest.mark.parametrize("kind", KINDS)
def test_body_that_is_longer_than_its_bound_is_refused(kind: str) -> None:
    limits = Limits(largest_answer=1000)
    answer = b"%bcontent-length: 1001\r\n\r\n%b" % (OK, b"x" * 500)

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(answer)
        go.wait(10)
        peer.send(b"x" * 501)

    go = threading.Event()
    with raw_server(script) as server, sender(kind, limits=limits) as sends:
        reply = sends.open(server.url)
        go.set()
        with pytest.raises(ProtocolError, match=f"from {server.url} has more than 1000 bytes"):
            reply.read()


LIGHT = """
import sys
import antiphon.transport
print(*sys.modules)
from antiphon.transport import Connections
Connections()
print(*sys.modules)
"""


def test_connections_that_block_import_neither_asyncio_nor_ssl(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIGHT], check=True, capture_output=True, text=True, cwd=tmp_path
    )
    package, connections = done.stdout.splitlines()
    assert not {"httptools", "socket"} & set(package.split())
    assert not {"asyncio", "ssl", "urllib.parse", "zlib"} & set(connections.split())
