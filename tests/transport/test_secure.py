"""TLS and proxies, with real ones on loopback."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from antiphon.transport.base import ConnectError, ConnectionLost, TlsError, TransportTimeout
from support.certificates import server_context
from support.raw_server import PATIENCE_S, Peer, RawServer, Script, answering, nobody, raw_server
from support.senders import KINDS, sender

TEXT = b"all of the body"
OK = b"HTTP/1.1 200 OK\r\n"
SIZED = b"%bcontent-length: %d\r\n\r\n%b" % (OK, len(TEXT), TEXT)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, str]:
    return server_context(tmp_path_factory.mktemp("certificates"))


Secure = tuple[ssl.SSLContext, str]


def farewell(peer: Peer) -> None:
    """Say TLS's word for the end, and wait for no answer to it."""
    assert isinstance(peer.link, ssl.SSLSocket)
    peer.link.settimeout(0)
    with contextlib.suppress(OSError):
        peer.link.unwrap()


@pytest.mark.parametrize("how", ["file", "context", "nobody"])
def test_secure_connection_is_kept(kind: str, secure: Secure, how: str) -> None:
    context, trusted = secure
    verify: Any = {
        "file": trusted,
        "context": ssl.create_default_context(cafile=trusted),
        "nobody": False,
    }[how]
    with raw_server(answering(SIZED), context) as server, sender(kind, verify=verify) as sends:
        for size in (0, 3_000_000, 0):
            assert sends.open(server.url, body=b"x" * size).read() == TEXT
        assert server.connections == 1


def test_server_that_nobody_vouches_for_is_refused(kind: str, secure: Secure) -> None:
    with raw_server(answering(SIZED), secure[0]) as server, sender(kind) as sends:
        with pytest.raises(TlsError, match="self-signed") as caught:
            sends.open(server.url)
        assert str(caught.value).startswith(f"no secure connection to {server.url}: ")


def test_server_of_another_name_is_refused(kind: str, secure: Secure) -> None:
    with (
        raw_server(answering(SIZED), secure[0]) as server,
        sender(kind, verify=secure[1]) as sends,
        pytest.raises(TlsError, match=r"localhost.*not valid|mismatch"),
    ):
        sends.open(server.url.replace("127.0.0.1", "localhost"))


def test_server_without_tls_is_refused(kind: str, secure: Secure) -> None:
    with raw_server(answering(SIZED)) as server, sender(kind, verify=secure[1]) as sends:

        def script(peer: Peer) -> None:
            peer.link.recv(10)
            peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        server.script = script
        with pytest.raises(ConnectError, match=f"connection to https://127.0.0.1:{server.port}"):
            sends.open(server.url.replace("http:", "https:"))


def test_server_that_does_not_finish_the_handshake(kind: str) -> None:
    def script(peer: Peer) -> None:
        peer.gone()

    with raw_server(script) as server, sender(kind) as sends:
        with pytest.raises(ConnectError, match=r"in 0\.05 s") as caught:
            sends.open(server.url.replace("http:", "https:"), connect_timeout=0.05)
        assert isinstance(caught.value, TransportTimeout)


def test_secure_connection_that_the_server_closed_is_noticed(kind: str, secure: Secure) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(SIZED)
        farewell(peer)

    with raw_server(script, secure[0]) as server, sender(kind, verify=secure[1]) as sends:
        for _ in range(2):
            assert sends.open(server.url).read() == TEXT
            assert server.ended.wait(10)
            server.ended.clear()
            sends.run(None)
        assert server.connections == 2


def test_secure_body_without_a_length_that_anybody_may_have_cut_is_lost(
    kind: str, secure: Secure
) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(OK + b"\r\nfirst half")
        if peer.number > 1:
            farewell(peer)

    with raw_server(script, secure[0]) as server, sender(kind, verify=secure[1]) as sends:
        if kind == "blocking":  # asyncio does not tell the two ends apart
            with pytest.raises(ConnectionLost):
                sends.open(server.url).read()
        else:
            sends.open(server.url).close()
        assert sends.open(server.url).read() == b"first half"


def relaying(seen: list[bytes], status: bytes = b"200 OK") -> Script:
    """Return the script of a proxy that opens tunnels."""

    def script(peer: Peer) -> None:
        asked = peer.request()
        seen.append(asked)
        if not status.startswith(b"200"):
            peer.send(b"HTTP/1.1 %b\r\ncontent-length: 0\r\n\r\n" % status)
            return
        host, _, port = asked.split(b" ")[1].decode().rpartition(":")
        with socket.create_connection((host, int(port)), PATIENCE_S) as other:
            peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=pump, args=(other, peer.link))
            back.start()
            pump(peer.link, other)
            back.join(PATIENCE_S)

    return script


def pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


@contextmanager
def proxy(script: Script) -> Iterator[RawServer]:
    with raw_server(script) as server:
        yield server


def test_secure_server_is_reached_through_a_tunnel(kind: str, secure: Secure) -> None:
    seen: list[bytes] = []
    with (
        raw_server(answering(SIZED), secure[0]) as server,
        proxy(relaying(seen)) as between,
        sender(kind, verify=secure[1], proxy=between.url.replace("//", "//me:secret@")) as sends,
    ):
        for _ in range(2):
            assert sends.get(server.url) == (200, TEXT)
    place = b"127.0.0.1:%d" % server.port
    assert seen == [
        b"CONNECT %b HTTP/1.1\r\nhost: %b\r\nproxy-authorization: Basic bWU6c2VjcmV0\r\n\r\n"
        % (place, place)
    ]


def test_plain_server_is_asked_of_the_proxy(kind: str) -> None:
    seen: list[bytes] = []

    def script(peer: Peer) -> None:
        while asked := peer.request():
            seen.append(asked)
            peer.send(SIZED)

    with proxy(script) as between, sender(kind, proxy={"http_proxy": between.url}) as sends:
        for _ in range(2):
            assert sends.get("http://a.example/b?c") == (200, TEXT)
        assert between.connections == 1
    assert seen == [b"GET http://a.example/b?c HTTP/1.1\r\nhost: a.example\r\n\r\n"] * 2


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 407 Who\r\ncontent-length: 0\r\n\r\n", "it answers with the status 407"),
        (b"HTTP/1.1 200 OK\r\n\r\nmore", "it sends more than its answer"),
        (b"SSH-2.0\r\n", "not HTTP/1.1"),
        (b"", "it ended the connection"),
    ],
)
def test_proxy_that_opens_no_tunnel_is_named(kind: str, answer: bytes, said: str) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(answer)

    with proxy(script) as between, sender(kind, proxy=between.url) as sends:
        with pytest.raises(ConnectError, match=said) as caught:
            sends.get("https://a.example/")
        told = f"the proxy {between.url} opens no tunnel to https://a.example: "
        assert str(caught.value).startswith(told)


def test_proxy_that_is_away_is_named(kind: str) -> None:
    with (
        nobody() as url,
        sender(kind, proxy=url) as sends,
        pytest.raises(ConnectError, match=f"no connection to the proxy {url}: .*refused"),
    ):
        sends.get("http://a.example/")


def test_proxy_that_falls_silent_is_named(kind: str) -> None:
    def script(peer: Peer) -> None:
        peer.gone()

    with (
        proxy(script) as between,
        sender(kind, proxy=between.url) as sends,
        pytest.raises(ConnectError, match=f"the proxy {between.url} in 0.05 s"),
    ):
        sends.open("https://a.example/", connect_timeout=0.05)
