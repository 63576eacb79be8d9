"""What a connection that blocks costs its system."""

import socket

import pytest

from antiphon.transport.channel import Channel
from antiphon.transport.targets import Origin
from support.raw_server import answering, raw_server

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


def test_times_that_differ_by_less_than_the_system_counts_are_set_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[float | None] = []
    plain = socket.socket.settimeout

    def settimeout(of: socket.socket, value: float | None) -> None:
        if of is link:  # the server has sockets as well
            told.append(value)
        plain(of, value)

    with raw_server(answering(ANSWER)) as server:
        link = socket.create_connection(("127.0.0.1", server.port))
        monkeypatch.setattr(socket.socket, "settimeout", settimeout)
        channel = Channel(link, Origin("http", "127.0.0.1", server.port), lambda: 0.0)
        # What is left of a time after as much as it takes to make a request.
        for seconds in (10.0, 9.99998, 9.99997, 9.9991, 9.0):
            channel.ask(b"GET / HTTP/1.1\r\n\r\n", "GET", b"", seconds)
            assert channel.reusable
        channel.close()
    assert told == [10.0, 9.0]
