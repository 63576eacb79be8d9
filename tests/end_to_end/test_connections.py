"""Requests as bytes on a connection: heads, lengths, pieces, and what comes slowly or never."""

import gzip
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.asgi import HELLO
from support.processes import KEY, Program, serving
from support.servers import configure, environ

PATIENCE_S = 20.0
BODY = json.dumps(HELLO).encode()
HEAD = (
    "POST /v1/messages HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
    f"x-api-key: {KEY}\r\nanthropic-version: 2023-06-01\r\n"
)


class Connection:
    """A connection to a server."""

    def __init__(self, program: Program) -> None:
        host, _, port = program.url.removeprefix("http://").partition(":")
        self._socket = socket.create_connection((host, int(port)), PATIENCE_S)
        self._answers = self._socket.makefile("rb")

    def send(self, raw: bytes) -> None:
        self._socket.sendall(raw)

    def end(self) -> None:
        self._socket.shutdown(socket.SHUT_WR)

    def head(self) -> tuple[int, dict[str, str]]:
        """The status and the headers of the next answer."""
        status = int(self._answers.readline().split()[1])
        lines = iter(self._answers.readline, b"\r\n")
        pairs = (line.decode().strip().partition(": ") for line in lines)
        return status, {name: value for name, _, value in pairs}

    def answer(self) -> tuple[int, dict[str, str], Any]:
        status, headers = self.head()
        return status, headers, json.loads(self._answers.read(int(headers["content-length"])))

    def rest(self) -> bytes:
        """What the server still says until it closes the connection."""
        return self._answers.read()

    @property
    def ended(self) -> bool:
        """Whether the server closes the connection, with nothing more to say."""
        return self.rest() == b""

    def close(self) -> None:
        self._answers.close()
        self._socket.close()


@pytest.fixture
def connection(scripted: Program) -> Iterator[Connection]:
    connection = Connection(scripted)
    yield connection
    connection.close()


def posted(body: bytes, *headers: str) -> bytes:
    lines = "".join(f"{line}\r\n" for line in (f"content-length: {len(body)}", *headers))
    return f"{HEAD}{lines}\r\n".encode() + body


def chunked(*chunks: bytes) -> bytes:
    pieces = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))
    return f"{HEAD}transfer-encoding: chunked\r\n\r\n".encode() + pieces


TAKEN = {
    "whole": posted(BODY),
    "in chunks": chunked(BODY[:1], BODY[1:30], BODY[30:]),
    "in chunks, with a trailer": chunked(BODY)[:-2] + b"x-sum: 5\r\n\r\n",
    "compressed": posted(gzip.compress(BODY), "content-encoding: gzip"),
    "as another type": posted(BODY, "content-type: text/plain"),
    "as JSON in UTF-8": posted(BODY, 'content-type: application/json; charset="UTF-8"'),
    "with an expectation that nobody knows": posted(BODY, "expect: 200-ok"),
    "with another protocol to change to": posted(
        BODY, "connection: upgrade, http2-settings", "upgrade: h2c"
    ),
    "with much in its head": posted(BODY, *(f"x-{number}: {'x' * 500}" for number in range(100))),
}


@pytest.mark.covers("headers: content-encoding: gzip", "effect")
@pytest.mark.parametrize("raw", TAKEN.values(), ids=TAKEN)
def test_request_in_any_valid_framing_is_answered(connection: Connection, raw: bytes) -> None:
    connection.send(raw)
    status, _, body = connection.answer()
    assert (status, body["type"]) == (200, "message")
    assert connection.ended


@pytest.mark.parametrize("raw", [posted(BODY), chunked(BODY)], ids=["whole", "in chunks"])
def test_request_sent_byte_by_byte_is_answered(connection: Connection, raw: bytes) -> None:
    for byte in raw:
        connection.send(bytes([byte]))
    assert connection.answer()[0] == 200


def test_expect_100_continue_is_answered(connection: Connection) -> None:
    connection.send(posted(b"", "expect: 100-continue").replace(b"-length: 0", b"-length: 200"))
    assert connection.head() == (100, {})
    connection.send(BODY.ljust(200))
    assert connection.answer()[0] == 200


def test_expect_100_continue_of_a_large_body_is_refused(connection: Connection) -> None:
    raw = posted(b"", "expect: 100-continue").replace(b"-length: 0", b"-length: 40000000")
    connection.send(raw)
    status, _, body = connection.answer()
    assert (status, body["error"]["type"]) == (413, "request_too_large")


LONG = b"x" * 70_000
NOT_TAKEN = {
    "more than its length": (posted(BODY).replace(b"-length: ", b"-length: 1\r\nx: "), 400),
    "a length and chunks": (posted(BODY, "transfer-encoding: chunked"), 400),
    "chunks that are none": (chunked(BODY).replace(b"\r\n0\r\n", b"\r\nzz\r\n"), 400),
    "a length beyond numbers": (posted(BODY).replace(b"-length: ", b"-length: " + b"9" * 40), 400),
    "another transfer encoding": (f"{HEAD}transfer-encoding: gzip\r\n\r\n".encode() + BODY, 400),
    "a header beyond the limit": (posted(BODY, f"x: {'x' * 70_000}"), 431),
    "headers beyond the limit": (posted(BODY, *["x: y"] * 20_000), 431),
    "a path beyond the limit": (posted(BODY).replace(b"messages", LONG), 431),
    "a header without an end": (posted(b"")[:-2] + b"x: " + LONG, 431),
    "a path without an end": (b"GET /" + LONG, 431),
    "a charset that is not read": (
        posted(BODY, "content-type: application/json; charset=utf-16"),
        400,
    ),
    "a version twice": (posted(BODY, "anthropic-version: 2023-06-01"), 400),
}


@pytest.mark.parametrize(("raw", "status"), NOT_TAKEN.values(), ids=NOT_TAKEN)
def test_refused_request_is_answered_in_the_envelope(
    connection: Connection, raw: bytes, status: int
) -> None:
    connection.send(raw)
    answered, headers, body = connection.answer()
    assert (answered, body["error"]["type"]) == (status, "invalid_request_error")
    assert headers["request-id"] == body["request_id"]
    assert headers["x-should-retry"] == "false"
    assert list(body["error"]) == ["type", "message", "details"]


def test_body_that_ends_early_is_refused(connection: Connection) -> None:
    connection.send(posted(BODY)[:-1])
    connection.end()
    assert connection.ended


def test_a_request_behind_another_is_answered_after_it(connection: Connection) -> None:
    connection.send(posted(BODY).replace(b"connection: close\r\n", b"") + posted(BODY))
    assert connection.answer()[2]["type"] == "message"
    assert connection.answer()[2]["type"] == "message"
    assert connection.ended


def test_garbage_behind_a_stream_is_not_answered_inside_it(connection: Connection) -> None:
    asked = {**HELLO, "stream": True, "messages": [{"role": "user", "content": "be slow"}]}
    connection.send(posted(json.dumps(asked).encode()).replace(b"connection: close\r\n", b""))
    assert connection.head()[0] == 200
    connection.send(b"no HTTP\r\n\r\n")
    assert b"HTTP/1.1" not in connection._answers.read()


@pytest.mark.parametrize("path", ["/", "/api/hello", "/v1/messages", "/v1/models", "/health"])
def test_head_is_answered_without_a_body(connection: Connection, path: str) -> None:
    connection.send(f"HEAD {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
    status, headers = connection.head()
    assert status < 500
    assert headers["request-id"].startswith("req_")
    assert connection.ended


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A server that waits for no request longer than a moment."""
    settings = {"ANTIPHON_API_KEY": KEY, "ANTIPHON_REQUEST_TIMEOUT_S": "0.2"}
    folder: Path = tmp_path_factory.mktemp("hasty")
    with serving(folder, "--engine", "scripted", environ=settings) as program:
        yield program


LATE = {
    "a head": (posted(BODY)[:20], "The request did not come in 0.2 s.", None),
    "a body": (
        posted(BODY)[:-5],
        "The request body did not come in 0.2 s.",
        {"error_code": "request_body_timeout"},
    ),
    "a chunk": (
        chunked(BODY)[:-5],
        "The request body did not come in 0.2 s.",
        {"error_code": "request_body_timeout"},
    ),
}


@pytest.mark.parametrize(("raw", "sentence", "details"), LATE.values(), ids=LATE)
def test_request_that_does_not_arrive_is_refused(
    hasty: Program, raw: bytes, sentence: str, details: Any
) -> None:
    connection = Connection(hasty)
    connection.send(raw.replace(b"connection: close\r\n", b""))
    status, headers, body = connection.answer()
    assert (status, headers["connection"]) == (400, "close")
    assert (body["error"]["message"], body["error"]["details"]) == (sentence, details)
    assert connection.ended
    connection.close()


def test_connection_without_a_request_is_closed(hasty: Program) -> None:
    connection = Connection(hasty)
    assert connection.ended
    connection.close()


def test_second_request_that_began_early_is_answered_after_the_first(hasty: Program) -> None:
    connection = Connection(hasty)
    raw = posted(BODY).replace(b"connection: close\r\n", b"")
    connection.send(raw + raw[:20])
    assert connection.answer()[0] == 200
    connection.send(raw[20:])
    assert connection.answer()[0] == 200
    connection.close()


def test_server_that_dies_in_a_stream_resets_a_connection_of_http_1_0(tmp_path: Path) -> None:
    configure(tmp_path, "one two three " * 100, speed=20)
    body = json.dumps({**HELLO, "stream": True, "max_tokens": 300}).encode()
    with serving(tmp_path, environ=environ()) as program:
        connection = Connection(program)
        connection.send(posted(body).replace(b"HTTP/1.1", b"HTTP/1.0"))
        status, headers = connection.head()
        assert (status, "transfer-encoding" in headers) == (200, False)
        program.process.kill()
        with pytest.raises(ConnectionResetError):
            connection.rest()
        connection.close()


MALFORMED = {
    "no HTTP": b"\x00\x01\x02\r\n\r\n",
    "no version": b"GET /health\r\n\r\n",
    "a wrong method": b"G@T /health HTTP/1.1\r\nhost: x\r\n\r\n",
    "two hosts": b"GET /health HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n",
    "a large head": b"GET /health HTTP/1.1\r\nhost: x\r\na: " + b"a" * 70_000,
}


@pytest.mark.parametrize("level", ["info", "debug"])
def test_what_is_no_request_writes_no_line_unless_asked_for(level: str, tmp_path: Path) -> None:
    """Each scan of the port would write some."""
    settings = {"ANTIPHON_API_KEY": KEY, "ANTIPHON_LOG_LEVEL": level}
    refused = set()
    with serving(tmp_path, "--engine", "scripted", environ=settings) as program:
        for raw in MALFORMED.values():
            connection = Connection(program)
            connection.send(raw)
            status, headers, _ = connection.answer()
            connection.close()
            assert 400 <= status < 500
            refused.add(headers["request-id"])
        program.stop()
    lines = [json.loads(line) for line in program.errors if line.startswith("{")]
    told = [line for line in lines if line["event"] == "no request"]
    assert {line["request_id"] for line in told} == (refused if level == "debug" else set())
    assert "Invalid HTTP request received.\n" not in program.errors
