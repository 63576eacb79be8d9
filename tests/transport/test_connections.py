"""Both kinds of connections, on real sockets."""

import threading
from collections.abc import Iterator

import pytest

from antiphon.transport import Limits
from antiphon.transport.base import ConnectError, ConnectionLost, TransportError, TransportTimeout
from support.raw_server import Peer, RawServer, answering, nobody, raw_server
from support.senders import KINDS, Sender, sender

TEXT = b"all of the body"
OK = b"HTTP/1.1 200 OK\r\n"
SIZED = b"%bcontent-length: %d\r\n\r\n%b" % (OK, len(TEXT), TEXT)
LAST = b"%bconnection: close\r\ncontent-length: %d\r\n\r\n%b" % (OK, len(TEXT), TEXT)
STREAM = OK + b"transfer-encoding: chunked\r\n\r\n"
SHORT_S = 0.05


def never(peer: Peer) -> None:
    peer.gone()


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def sends(kind: str) -> Iterator[Sender]:
    with sender(kind) as opened:
        yield opened


@pytest.fixture
def server() -> Iterator[RawServer]:
    with raw_server(answering(SIZED)) as opened:
        yield opened


def test_request_is_written_and_its_answer_read(sends: Sender) -> None:
    seen: list[bytes] = []

    def script(peer: Peer) -> None:
        seen.append(peer.request())
        peer.send(SIZED)

    with raw_server(script) as server:
        reply = sends.open(f"{server.url}/v1?a=b", body=b"{}", headers=(("x-one", "two"),))
        assert reply.status == 200
        assert reply.headers["content-length"] == str(len(TEXT))
        assert reply.answer.http_version == "1.1"
        assert reply.read() == TEXT
        assert reply.read() == reply.read_chunk() == b""
        assert seen == [
            b"POST /v1?a=b HTTP/1.1\r\nhost: 127.0.0.1:%d\r\nx-one: two\r\ncontent-length: 2"
            b"\r\n\r\n{}" % server.port
        ]


def test_one_connection_carries_many_requests(sends: Sender, server: RawServer) -> None:
    for _ in range(5):
        assert sends.get(server.url) == (200, TEXT)
    assert server.connections == 1


def test_answer_that_nobody_reads_gives_its_connection_back(
    sends: Sender, server: RawServer
) -> None:
    for _ in range(3):
        reply = sends.open(server.url)
    reply.close()
    assert sends.get(server.url) == (200, TEXT)
    assert server.connections == 1


def test_server_that_ends_its_connections_gets_new_ones(sends: Sender) -> None:
    with raw_server(answering(LAST)) as server:
        for _ in range(3):
            assert sends.get(server.url) == (200, TEXT)
        assert server.connections == 3


def test_stream_is_handed_over_as_it_comes(sends: Sender) -> None:
    step = threading.Semaphore(0)

    def script(peer: Peer) -> None:
        while peer.request():
            peer.send(STREAM)
            for _ in range(3):
                step.acquire()
                peer.send(b"2\r\nab\r\n")
            peer.send(b"0\r\n\r\n")

    with raw_server(script) as server:
        for _ in range(2):
            reply = sends.open(server.url)
            for _ in range(3):
                step.release()
                assert reply.read_chunk() == b"ab"
            assert reply.read_chunk() == b""
            assert reply.read_chunk() == b""
        assert server.connections == 1


def test_rest_of_a_stream_is_read_at_once(sends: Sender) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(STREAM + b"2\r\nab\r\n")
        peer.send(*[b"400\r\n%b\r\n" % (b"c" * 1024)] * 2000, b"0\r\n\r\n")

    with raw_server(script) as server:
        reply = sends.open(server.url)
        first = reply.read_chunk()
        assert first + reply.read() == b"ab" + b"c" * 1024 * 2000


def test_stream_that_is_closed_early_costs_its_connection(sends: Sender) -> None:
    gone = threading.Event()

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(STREAM + b"2\r\nab\r\n")
        if peer.gone():
            gone.set()

    with raw_server(script) as server:
        reply = sends.open(server.url)
        assert reply.read_chunk() == b"ab"
        reply.close()
        assert gone.wait(10)
        reply.close()
        with pytest.raises(ConnectionLost, match="closed before its end"):
            reply.read_chunk()
        with pytest.raises(ConnectionLost):
            reply.read()


def test_stream_that_is_forgotten_costs_its_connection(sends: Sender) -> None:
    gone = threading.Event()

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(STREAM + b"2\r\nab\r\n")
        if peer.gone():
            gone.set()

    with raw_server(script) as server:
        reply = sends.open(server.url)
        del reply
        sends.run(None)
        assert gone.wait(10)


def test_slow_reader_holds_the_server_back(sends: Sender) -> None:
    sent = [0]
    full = threading.Event()

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(STREAM)
        peer.link.settimeout(0.3)
        try:
            while True:
                sent[0] += peer.link.send(b"10000\r\n%b\r\n" % (b"x" * 65536))
        except TimeoutError:
            full.set()

    with raw_server(script) as server:
        reply = sends.open(server.url)
        while not full.is_set():
            sends.run(None)  # the loop goes on, the reader does not
        assert sent[0] < 32 * 1024 * 1024
        assert reply.read_chunk()
        reply.close()


def test_connection_that_the_server_closed_is_noticed(sends: Sender) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(SIZED)

    with raw_server(script) as server:
        for number in range(1, 4):
            assert sends.open(server.url).read() == TEXT
            assert server.ended.wait(10)
            server.ended.clear()
            assert server.connections == number


def test_bytes_that_nobody_asked_for_cost_the_connection(sends: Sender) -> None:
    said = threading.Event()

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(SIZED)
        if peer.number == 1:
            peer.send(SIZED.replace(TEXT, b"of another call"))
            said.set()
        peer.request()
        peer.send(SIZED)

    with raw_server(script) as server:
        assert sends.open(server.url).read() == TEXT
        assert said.wait(10)
        assert sends.open(server.url).read() == TEXT
        assert server.connections == 2


@pytest.mark.parametrize(("method", "tries"), [("GET", 3), ("POST", 2)])
def test_request_on_a_kept_connection_is_repeated_if_it_may_be(
    sends: Sender, method: str, tries: int
) -> None:
    seen: list[int] = []

    def script(peer: Peer) -> None:
        while peer.request():
            seen.append(peer.number)
            if peer.number == 1 and len(seen) > 1:
                return  # read, and not answered
            peer.send(SIZED)

    with raw_server(script) as server:
        assert sends.open(server.url, method).read() == TEXT
        if method == "GET":
            assert sends.open(server.url, method).read() == TEXT
        else:
            with pytest.raises(ConnectionLost, match="kept from an earlier request") as caught:
                sends.open(server.url, method)
            assert caught.value.kept
        assert len(seen) == tries


def test_new_connection_that_is_lost_is_not_tried_again(sends: Sender) -> None:
    def script(peer: Peer) -> None:
        peer.request()

    with raw_server(script) as server:
        with pytest.raises(ConnectionLost, match="without an answer") as caught:
            sends.open(server.url, "GET")
        assert not caught.value.kept
        assert str(caught.value).startswith(server.url)
        assert server.connections == 1


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("before", [OK[:-2], SIZED[:-1], STREAM + b"2\r\nab\r\n"])
def test_answer_that_breaks_off_is_lost(sends: Sender, before: bytes, reset: bool) -> None:
    go = threading.Event()

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(before)
        go.wait(10)
        if reset:
            peer.reset()

    with raw_server(script) as server:
        if before.startswith(OK[:-2]) and b"\r\n\r\n" in before:
            reply = sends.open(server.url)
            first = reply.read_chunk()
            go.set()
            with pytest.raises(ConnectionLost, match="in the middle"):
                reply.read()
            assert first in (TEXT[:-1], b"ab")
            with pytest.raises(ConnectionLost):
                reply.read_chunk()
            return
        go.set()
        with pytest.raises(ConnectionLost, match="in the middle"):
            sends.open(server.url)


def test_body_without_a_length_ends_with_the_connection(sends: Sender) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(OK + b"\r\n", TEXT, TEXT)

    with raw_server(script) as server:
        assert sends.open(server.url).read() == TEXT + TEXT
        assert sends.open(server.url).read() == TEXT + TEXT


def test_nobody_listens(sends: Sender) -> None:
    with (
        nobody() as url,
        pytest.raises(ConnectError, match=f"no connection to {url}: .*refused"),
    ):
        sends.open(url)


def test_name_that_is_not_known(sends: Sender) -> None:
    with pytest.raises(ConnectError, match=r"no connection to http://nobody.invalid: "):
        sends.open("http://nobody.invalid/")


def test_every_address_of_a_name_is_tried(sends: Sender, server: RawServer) -> None:
    # `localhost` is `::1` too, where nobody listens.
    assert sends.get(f"http://localhost:{server.port}/") == (200, TEXT)


def test_server_that_never_answers(sends: Sender) -> None:
    with raw_server(never) as server:
        with pytest.raises(TransportTimeout) as caught:
            sends.open(server.url, timeout=SHORT_S)
        assert str(caught.value) == f"no answer from {server.url} in 0.05 s"


def test_time_that_is_over_is_no_time(sends: Sender, server: RawServer) -> None:
    for connect_timeout, timeout in ((10, 0.0), (0.0, 10)):
        with pytest.raises(TransportTimeout, match="in 0 s"):
            sends.open(server.url, timeout=timeout, connect_timeout=connect_timeout)


def test_server_that_falls_silent(sends: Sender) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(STREAM + b"2\r\nab\r\n")
        peer.gone()

    with raw_server(script) as server:
        reply = sends.open(server.url)
        assert reply.read_chunk() == b"ab"
        with pytest.raises(TransportTimeout) as caught:
            reply.read_chunk(SHORT_S)
        assert str(caught.value) == f"nothing more of the answer came from {server.url} in 0.05 s"
        reply = sends.open(server.url)
        with pytest.raises(TransportTimeout, match=r"was not whole in 0\.05 s"):
            reply.read(SHORT_S)


def test_server_that_sends_byte_by_byte_does_not_stretch_a_time(sends: Sender) -> None:
    stop = threading.Event()

    def script(peer: Peer) -> None:
        peer.request()
        head = OK + b"x-slow: " if peer.number == 1 else STREAM + b"1;"
        for at in range(10_000):
            peer.send(head[at : at + 1] or b"a")
            if stop.wait(0.01):
                return

    with raw_server(script) as server:
        with pytest.raises(TransportTimeout, match="no answer"):
            sends.open(server.url, timeout=0.2)
        reply = sends.open(server.url)
        with pytest.raises(TransportTimeout, match="nothing more"):
            reply.read_chunk(0.2)
        stop.set()


def test_all_connections_in_use(kind: str) -> None:
    with (
        raw_server(answering(STREAM)) as server,
        sender(kind, limits=Limits(max_connections=2)) as sends,
    ):
        replies = [sends.open(server.url) for _ in range(2)]
        with pytest.raises(ConnectError, match="all 2 connections are in use") as caught:
            sends.open(server.url, connect_timeout=SHORT_S)
        assert isinstance(caught.value, TransportTimeout)
        replies.pop().close()
        assert sends.open(server.url).status == 200
        replies.pop().close()


def test_idle_connection_of_another_server_makes_way(kind: str, server: RawServer) -> None:
    with raw_server(answering(SIZED)) as other, sender(kind, limits=Limits(max_connections=1)) as s:
        for _ in range(2):
            assert s.get(server.url) == (200, TEXT)
            assert s.get(other.url) == (200, TEXT)
        assert (server.connections, other.connections) == (2, 2)


def test_idle_connections_have_a_number_and_a_time(kind: str) -> None:
    gone = threading.Semaphore(0)

    def script(peer: Peer) -> None:
        while peer.request():
            peer.send(STREAM)
            peer.send(b"0\r\n\r\n")
        gone.release()

    limits = Limits(max_idle=2, idle_s=0.0)
    with raw_server(script) as server, sender(kind, limits=limits) as sends:
        assert sends.get(server.url)[0] == 200
        assert sends.get(server.url)[0] == 200
        assert gone.acquire(timeout=10)
        assert server.connections == 2


def test_closed_connections_open_nothing(sends: Sender, server: RawServer) -> None:
    assert sends.get(server.url) == (200, TEXT)
    sends.connections.close()
    with pytest.raises(TransportError, match="closed"):
        sends.open(server.url)


def test_early_answer_to_a_long_body_is_read(sends: Sender) -> None:
    done = threading.Event()
    refusal = b"HTTP/1.1 413 Too Large\r\ncontent-length: 4\r\n\r\nlong"

    def script(peer: Peer) -> None:
        peer.link.recv(1000)
        peer.send(refusal)
        done.wait(10)  # and reads no more

    with raw_server(script) as server:
        reply = sends.open(server.url, body=b"x" * 30_000_000)
        assert (reply.status, reply.read()) == (413, b"long")
        reply = sends.open(server.url)
        assert (reply.status, server.connections) == (413, 2)
        done.set()


def test_long_body_arrives(sends: Sender) -> None:
    got: list[int] = []

    def script(peer: Peer) -> None:
        while request := peer.request():
            got.append(len(request.partition(b"\r\n\r\n")[2]))
            peer.send(SIZED)

    with raw_server(script) as server:
        for size in (65_536, 65_537, 20_000_000):
            assert sends.open(server.url, body=b"x" * size).read() == TEXT
        assert got == [65_536, 65_537, 20_000_000]
        assert server.connections == 1
