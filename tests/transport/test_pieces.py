"""Bodies that are read while they are sent, by both kinds of connections."""

from collections.abc import Iterator

import pytest

from antiphon.transport import Limits
from antiphon.transport.base import TransportTimeout, whole
from support.raw_server import Peer, answering, raw_server
from support.senders import KINDS, Sender, sender

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
REFUSED = b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n"
PIECE = b"p" * 100_000


class Counted:
    """A body of `count` pieces, the last of which may not be there to be read."""

    def __init__(self, count: int, *, fault: OSError | None = None) -> None:
        self._count, self._fault = count, fault
        self.read = 0

    def __len__(self) -> int:
        return self._count * len(PIECE)

    def __iter__(self) -> Iterator[bytes]:
        for number in range(self._count):
            if self._fault is not None and number == self._count - 1:
                raise self._fault
            self.read += 1
            yield PIECE


@pytest.fixture(params=KINDS)
def sends(request: pytest.FixtureRequest) -> Iterator[Sender]:
    with sender(str(request.param), limits=Limits(max_connections=1)) as opened:
        yield opened


def test_body_is_read_while_it_is_sent_and_can_be_sent_again(sends: Sender) -> None:
    seen: list[bytes] = []

    def script(peer: Peer) -> None:
        while request := peer.request():
            seen.append(request.partition(b"\r\n\r\n")[2])
            peer.send(OK)

    body = Counted(30)
    with raw_server(script) as server:
        for _ in range(2):
            assert sends.open(server.url, body=body).status == 200
        assert server.connections == 1
    assert seen == [PIECE * 30] * 2 == [whole(body)] * 2


def test_answer_that_comes_early_ends_the_body(sends: Sender) -> None:
    def script(peer: Peer) -> None:
        peer.link.recv(1000)
        peer.send(REFUSED)
        peer.gone()

    with raw_server(script) as server:
        body = Counted(1000)
        for _ in range(2):
            assert sends.open(server.url, body=body).status == 413
        # What was sent of a body belongs to no other request.
        assert server.connections == 2
        assert body.read < 1000


def test_no_more_is_read_than_the_server_takes(sends: Sender) -> None:
    def script(peer: Peer) -> None:
        while not body_is_given_up:
            peer.link.recv(1)

    body_is_given_up: list[bool] = []
    body = Counted(1000)
    with raw_server(script) as server:
        with pytest.raises(TransportTimeout, match="no answer"):
            sends.open(server.url, body=body, timeout=0.1)
        body_is_given_up.append(True)
    # The buffers of both sockets hold some megabytes.
    assert body.read < 200


def test_body_that_cannot_be_read_is_told_and_frees_the_connection(sends: Sender) -> None:
    fault = PermissionError("not yours")
    with raw_server(answering(OK)) as server:
        for _ in range(2):
            with pytest.raises(PermissionError) as caught:
                sends.open(server.url, body=Counted(3, fault=fault))
            assert caught.value is fault
        assert sends.open(server.url).status == 200
