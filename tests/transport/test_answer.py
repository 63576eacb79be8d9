import contextlib
import gzip
import zlib
from itertools import pairwise

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.transport.answer import LARGEST_GAP, LARGEST_HEAD, AnswerReader, Head
from antiphon.transport.base import Headers, ProtocolError

OK = b"HTTP/1.1 200 OK\r\n"
TEXT = b"all of the body, " * 40


def sized(body: bytes, more: bytes = b"") -> bytes:
    return b"%b%bcontent-length: %d\r\n\r\n%b" % (OK, more, len(body), body)


def chunked(*pieces: bytes, trailer: bytes = b"") -> bytes:
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return b"%btransfer-encoding: chunked\r\n\r\n%b0\r\n%b\r\n" % (OK, chunks, trailer)


def read(*parts: bytes, method: str = "GET", ends: bool = False) -> tuple[AnswerReader, bytes]:
    reader = AnswerReader()
    reader.begin(method)
    body = b""
    for part in parts:
        reader.feed(part)
        while piece := reader.take():
            body += piece
    if ends:
        reader.finish()
    while piece := reader.take():
        body += piece
    return reader, body


ANSWERS = {
    "sized": (sized(TEXT), TEXT, True),
    "empty": (sized(b""), b"", True),
    "chunked": (chunked(TEXT, b"x", TEXT), TEXT + b"x" + TEXT, True),
    "with extensions and trailers": (
        OK + b"transfer-encoding: Chunked\r\n\r\n2;a=b\r\nab\r\n0\r\nx-after: 1\r\n\r\n",
        b"ab",
        True,
    ),
    "gzip": (sized(gzip.compress(TEXT), b"content-encoding: gzip\r\n"), TEXT, True),
    "gzip in members": (
        sized(gzip.compress(b"one ") + gzip.compress(b"two"), b"Content-Encoding: GZIP\r\n"),
        b"one two",
        True,
    ),
    "deflate": (sized(zlib.compress(TEXT), b"content-encoding: deflate\r\n"), TEXT, True),
    "deflate without a head": (
        sized(zlib.compress(TEXT)[2:-4], b"content-encoding: deflate\r\n"),
        TEXT,
        True,
    ),
    "gzip of nothing": (sized(b"", b"content-encoding: gzip\r\n"), b"", True),
    "after interim answers": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nlink: x\r\n\r\n" + sized(TEXT),
        TEXT,
        True,
    ),
    "last of its connection": (sized(TEXT, b"connection: close\r\n"), TEXT, False),
    "HTTP/1.0": (sized(TEXT).replace(b"1.1", b"1.0"), TEXT, False),
    "HTTP/1.0, kept": (
        sized(TEXT, b"connection: keep-alive\r\n").replace(b"1.1", b"1.0"),
        TEXT,
        True,
    ),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
    "304": (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\n\r\n", b"", True),
}


@given(st.sampled_from(list(ANSWERS)), st.lists(st.integers(0, 900)))
def test_answer_is_the_same_however_it_is_cut(name: str, cuts: list[int]) -> None:
    raw, expected, kept = ANSWERS[name]
    places = [0, *sorted(place for place in cuts if place < len(raw)), len(raw)]
    parts = [raw[start:end] for start, end in pairwise(places) if end > start]
    reader, body = read(*parts)
    assert body == expected
    assert reader.ended
    assert reader.reusable is kept
    assert not reader.excess


@pytest.mark.parametrize("name", ANSWERS)
def test_connection_carries_another_answer(name: str) -> None:
    raw, expected, kept = ANSWERS[name]
    reader, _ = read(raw)
    if kept:
        reader.begin("POST")
        assert not reader.head_ready
        reader.feed(raw)
        body = b""
        while piece := reader.take():
            body += piece
        assert body == expected


def test_body_without_a_length_ends_with_its_connection() -> None:
    reader, body = read(OK + b"\r\nall", b" of it")
    assert not reader.ended
    assert reader.finish()
    assert (body, reader.ended, reader.reusable) == (b"all of it", True, False)


@pytest.mark.parametrize("raw", [sized(TEXT)[:-1], chunked(TEXT)[:-2], OK, b""])
def test_answer_that_is_cut_is_not_whole(raw: bytes) -> None:
    reader, _ = read(raw)
    assert not reader.finish()


@pytest.mark.parametrize("method", ["HEAD", "CONNECT"])
def test_answer_to_a_method_without_a_body_has_none(method: str) -> None:
    reader, body = read(OK + b"content-length: 7\r\n\r\n", method=method)
    assert (reader.ended, reader.reusable, body) == (True, True, b"")
    reader.begin("GET")
    reader.feed(sized(b"next"))
    assert reader.take() == b"next"
    assert reader.reusable


@pytest.mark.parametrize(
    ("method", "raw"),
    [
        ("GET", sized(b"ab") + b"junk"),
        ("GET", sized(b"ab") + sized(b"of nobody")),
        ("GET", sized(b"ab", b"connection: close\r\n") + b"x"),
        ("GET", b"HTTP/1.1 204 No\r\ncontent-length: 2\r\n\r\nab"),
        ("HEAD", sized(b"ab")),
    ],
)
def test_bytes_behind_the_end_cost_the_connection(method: str, raw: bytes) -> None:
    reader, body = read(raw, method=method)
    assert body in (b"ab", b"")
    assert reader.ended
    assert reader.excess
    assert not reader.reusable


def test_bytes_of_nobody_are_excess() -> None:
    reader, _ = read(sized(b"ab"))
    reader.feed(b"HTTP/1.1 408 Request Timeout\r\n")
    assert reader.excess


REFUSED = {
    "no HTTP": b"SSH-2.0-OpenSSH\r\n",
    "HTTP/2": b"HTTP/2 200 OK\r\n\r\n",
    "a protocol like it": b"RTSP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n",
    "a protocol that tells of it": b"ICE/1.0 200 OK\r\nx: HTTP/1.1\r\ncontent-length: 0\r\n\r\n",
    "a bare line feed": b"HTTP/1.1 200 OK\ncontent-length: 0\n\n",
    "a folded header": OK + b"a: b\r\n c\r\n\r\n",
    "a negative length": OK + b"content-length: -2\r\n\r\n",
    "a length that is none": OK + b"content-length: 0x2\r\n\r\n",
    "a length of 20 digits": OK + b"content-length: 99999999999999999999\r\n\r\n",
    "two lengths": OK + b"content-length: 2\r\ncontent-length: 3\r\n\r\nab",
    "length and chunks": OK + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n",
    "chunks and length": OK + b"transfer-encoding: chunked\r\nContent-Length: 2\r\n\r\n",
    "length and another transfer": OK + b"content-length: 2\r\ntransfer-encoding: gzip\r\n\r\n",
    "two transfers": OK + b"transfer-encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\n",
    "chunks of 20 digits": OK + b"transfer-encoding: chunked\r\n\r\n11112222333344445555\r\n",
    "a chunk that is longer": OK + b"transfer-encoding: chunked\r\n\r\n2\r\nabc\r\n",
    "another transfer": OK + b"transfer-encoding: gzip, chunked\r\n\r\n",
    "a transfer without chunks": OK + b"transfer-encoding: gzip\r\n\r\n",
    "another protocol": b"HTTP/1.1 101 S\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nab",
    "a status of 99": b"HTTP/1.1 099 Odd\r\n\r\n",
    "an encoding that nobody asked for": sized(b"ab", b"content-encoding: br\r\n"),
    "two encodings": sized(b"ab", b"content-encoding: gzip\r\ncontent-encoding: gzip\r\n"),
    "too many headers": OK + b"a: b\r\n" * 300 + b"\r\n",
    "no end of its head": OK + b"a: " + b"b" * LARGEST_HEAD,
    "no end of interim answers": b"HTTP/1.1 100 C\r\n\r\n" * 5000,
    "a cut gzip": sized(gzip.compress(TEXT)[:-1], b"content-encoding: gzip\r\n"),
    "a gzip that is none": sized(b"plain", b"content-encoding: gzip\r\n"),
    "one byte of deflate": sized(b"x", b"content-encoding: deflate\r\n"),
    "deflate and more": sized(zlib.compress(b"x") + b"more", b"content-encoding: deflate\r\n"),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_what_is_no_answer_is_refused(name: str, size: int) -> None:
    raw = REFUSED[name]
    with pytest.raises(ProtocolError):
        read(*(raw[at : at + size] for at in range(0, len(raw), size)))


def test_head_and_body_may_come_together_in_more_than_a_head_may_have() -> None:
    body = b"x" * (4 * LARGEST_HEAD)
    assert read(sized(body))[1] == body


@pytest.mark.parametrize(
    "between", [b"2;" + b"a" * 2 * LARGEST_GAP, b"0\r\nx: " + b"a" * 2 * LARGEST_GAP]
)
def test_answer_that_goes_on_without_its_body_is_refused(between: bytes) -> None:
    raw = OK + b"transfer-encoding: chunked\r\n\r\n2\r\nab\r\n" + between
    with pytest.raises(ProtocolError, match="without a byte"):
        read(*(raw[at : at + 1000] for at in range(0, len(raw), 1000)))


def test_headers_have_no_case_and_repeated_ones_are_joined() -> None:
    reader, _ = read(sized(b"", b"X-One: a\r\nx-one: b\r\nx-two: caf\xe9\r\n"))
    head = Head(reader)
    assert head.status == 200
    assert head.http_version == "1.1"
    assert head.headers["x-ONE"] == "a, b"
    assert head.headers["x-two"] == "café"
    assert head.headers is head.headers
    # Asked for one by one, they are found without being taken apart.
    found = Head(reader).headers
    assert found.get("X-two") == "café"
    assert found.get("two") is found.get("x-thre") is found.get("200") is None
    assert found.get("X-ONE") == "a, b"
    assert found.get("content-length", "?") == "0"
    assert list(found) == ["x-one", "x-two", "content-length"]


class Told:
    """The headers of an answer as its parser tells of them."""

    def __init__(self) -> None:
        self.pairs: list[tuple[str, str]] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.pairs.append((name.decode("latin-1"), value.decode("latin-1").strip(" \t")))


NAMES = st.text("abXYZ019-_.!#$%&'*+^`|~", min_size=1, max_size=5)
SIGNS = st.characters(max_codepoint=0xFF, exclude_categories=["Cc"]) | st.just("\t")
VALUES = st.text(SIGNS, max_size=8)


@given(
    st.lists(st.tuples(NAMES, VALUES), max_size=8),
    st.sampled_from([b"", b"\r\n\r\n", b"HTTP/1.1 103 Hints\r\nlink: x\r\n\r\n"]),
    st.lists(st.integers(0, 200)),
)
def test_headers_are_those_that_the_parser_tells_of(
    pairs: list[tuple[str, str]], before: bytes, cuts: list[int]
) -> None:
    lines = "".join([f"{name}:{value}\r\n" for name, value in pairs]).encode("latin-1")
    raw = OK + lines + b"content-length: 0\r\n\r\n"
    told = Told()
    httptools.HttpResponseParser(told).feed_data(raw)
    expected = Headers(told.pairs)
    whole = before + raw
    places = [0, *sorted(place for place in cuts if place < len(whole)), len(whole)]
    reader, _ = read(*(whole[start:end] for start, end in pairwise(places) if end > start))
    for name, value in expected.items():
        assert Head(reader).headers.get(name.upper()) == value
    assert dict(Head(reader).headers.items()) == dict(expected.items())


@given(st.binary(max_size=300), st.booleans())
def test_no_bytes_do_anything_but_answer_or_be_refused(raw: bytes, headed: bool) -> None:
    with contextlib.suppress(ProtocolError):
        read(b"HTTP/1.1 200 OK\r\n" + raw if headed else raw, ends=True)


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("place", ["on_message_begin", "on_headers_complete", "on_body"])
def test_interrupt_in_the_middle_of_an_answer_is_no_fault_of_it(
    interrupt: type[BaseException], place: str
) -> None:
    def interrupted(*_: object) -> None:
        raise interrupt

    reader = type("Interrupted", (AnswerReader,), {place: interrupted})()
    reader.begin("GET")
    with pytest.raises(interrupt):
        reader.feed(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nab")
