"""What a connection on an event loop costs that loop."""

import asyncio
import socket
import threading
from typing import Any

import pytest

from antiphon.transport import AsyncConnections
from antiphon.transport.base import HttpRequest
from support.raw_server import Peer, answering, raw_server

PIECES = 300
HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


def test_stream_of_many_pieces_costs_few_timers() -> None:
    made = 0

    async def read(url: str) -> int:
        nonlocal made
        loop = asyncio.get_running_loop()
        plain = loop.call_at

        def counted(*given: Any, **more: Any) -> asyncio.TimerHandle:
            nonlocal made
            made += 1
            return plain(*given, **more)

        async with AsyncConnections() as connections:
            request = HttpRequest(method="GET", url=url)
            answer = await connections.open(request, connect_timeout=10, timeout=600)
            loop.call_at = counted  # type: ignore[assignment, method-assign]
            pieces = 0
            while await answer.read_chunk(60):
                pieces += 1
                asked.release()
        return pieces

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(HEAD)
        for _ in range(PIECES):
            peer.send(b"2\r\nab\r\n")
            asked.acquire()
        peer.send(b"0\r\n\r\n")

    asked = threading.Semaphore(0)
    with raw_server(script) as server:
        assert asyncio.run(read(server.url)) == PIECES
    # One for the silence, one for the time of a connection that is kept.
    assert made <= 2


def test_address_is_not_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def look_up(*asked: object, **_: object) -> None:
        raise AssertionError(asked)

    async def ask(url: str) -> int:
        async with AsyncConnections() as connections:
            request = HttpRequest(method="GET", url=url)
            return (await connections.open(request, connect_timeout=10, timeout=10)).status

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with raw_server(answering(b"HTTP/1.1 204 No Content\r\n\r\n")) as server:
        assert asyncio.run(ask(server.url)) == 204
