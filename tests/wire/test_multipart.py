"""Forms of parts: what is read of them however they arrive, and what is refused."""

import tracemalloc
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.wire.multipart import (
    LARGEST_HEAD,
    LONGEST_PADDING,
    MOST_HEADERS,
    MOST_PARTS,
    MultipartError,
    MultipartEvent,
    MultipartReader,
    PartContent,
    PartEnd,
    PartHead,
    boundary_of,
)

B = b"----boundary"
NAMED = b'Content-Disposition: form-data; name="a"'


def form(*parts: tuple[bytes, bytes], boundary: bytes = B) -> bytes:
    """Return a form of heads and contents."""
    written = b"".join(
        b"--" + boundary + b"\r\n" + head + b"\r\n\r\n" + content + b"\r\n"
        for head, content in parts
    )
    return written + b"--" + boundary + b"--\r\n"


def events(pieces: Sequence[bytes], boundary: bytes = B) -> list[MultipartEvent]:
    reader = MultipartReader(boundary)
    found = [event for piece in pieces for event in reader.feed(piece)]
    reader.end()
    return found


def parts(body: bytes | Sequence[bytes]) -> list[tuple[PartHead, bytes]]:
    """Read a whole form; return each part with its content."""
    read: list[tuple[PartHead, bytes]] = []
    ended = True
    for event in events([body] if isinstance(body, bytes) else body):
        match event:
            case PartHead():
                assert ended
                read.append((event, b""))
                ended = False
            case PartContent(data):
                assert data
                assert not ended
                read[-1] = read[-1][0], read[-1][1] + data
            case PartEnd():
                assert not ended
                ended = True
    assert ended
    return read


def head_of(lines: bytes) -> PartHead:
    return parts(form((lines, b"x")))[0][0]


def refused(body: bytes) -> str:
    with pytest.raises(MultipartError) as caught:
        events([body])
    return str(caught.value)


TRICKY = st.sampled_from([b"\r\n", b"\r", b"\n", b"--", b"-", B, b"--" + B, b"\r\n--", b"x"])
CONTENTS = st.lists(TRICKY | st.binary(max_size=20), max_size=12).map(b"".join)


@given(st.lists(CONTENTS, max_size=5), st.data())
def test_form_is_read_alike_however_it_is_cut(contents: list[bytes], data: st.DataObject) -> None:
    contents = [one for one in contents if b"\r\n--" + B not in b"\r\n" + one + b"\r\n"]
    body = form(*((NAMED, one) for one in contents))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=20)))
    pieces = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    read = parts(pieces)
    assert [content for _, content in read] == contents
    assert all(head == PartHead("a") for head, _ in read)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_form_or_refused(body: bytes) -> None:
    reader = MultipartReader(b"b")
    try:
        reader.feed(b"--b\r\n" + body)
        reader.end()
    except MultipartError:
        pass


def test_what_stands_before_and_behind_the_form_is_passed_over() -> None:
    read = parts([b"preamble\r\n" + form((NAMED, b"x")) + b"epilogue", b"\r\n--" + B])
    assert read == [(PartHead("a"), b"x")]


def test_boundary_may_end_with_spaces() -> None:
    body = b"--" + B + b" \t \r\n" + NAMED + b"\r\n\r\nx\r\n--" + B + b"--"
    assert parts(body) == [(PartHead("a"), b"x")]


@pytest.mark.parametrize(
    ("head", "read"),
    [
        (NAMED, PartHead("a")),
        (b"CONTENT-DISPOSITION: Form-Data; NAME=a", PartHead("a")),
        (NAMED + b'; filename="b.txt"', PartHead("a", "b.txt")),
        (NAMED + b'; filename=""', PartHead("a", "")),
        (NAMED + b'; filename="a \\"b\\" c"', PartHead("a", 'a "b" c')),
        (NAMED + b'; filename="C:\\dir\\b.txt"', PartHead("a", "C:\\dir\\b.txt")),
        (NAMED + b'; filename="a;b.txt"', PartHead("a", "a;b.txt")),
        (NAMED + '; filename="naïve.txt"'.encode(), PartHead("a", "naïve.txt")),
        (NAMED + b"; filename=x; filename*=UTF-8''na%C3%AFve.txt", PartHead("a", "naïve.txt")),
        (
            NAMED + b"\r\nContent-Type:  text/plain \r\nX: y",
            PartHead("a", None, "text/plain"),
        ),
        (NAMED + b"\r\nContent-Type:", PartHead("a")),
    ],
)
def test_head_of_a_part(head: bytes, read: PartHead) -> None:
    assert head_of(head) == read


@pytest.mark.parametrize(
    ("head", "sentence"),
    [
        (b"", "A part of the form has no name"),
        (b"Content-Type: text/plain", "A part of the form has no name"),
        (b"Content-Disposition: form-data", "A part of the form has no name"),
        (b'Content-Disposition: attachment; name="a"', "A part of the form has no name"),
        (b"Content-Disposition: form-data; name=\xff", "The head of a part is not UTF-8"),
        (NAMED + b'; name="b"', "The head of a part cannot be read"),
        (NAMED + b"; filename", "The head of a part cannot be read"),
        (NAMED + b'; filename="open', "The head of a part cannot be read"),
        (NAMED + b"\r\n" + NAMED, "The head of a part cannot be read"),
        (NAMED + b"\r\nfolded\r\n line: x", "The head of a part cannot be read"),
        (NAMED + b"\r\n folded: x", "The head of a part cannot be read"),
        (NAMED + b"\r\n: x", "The head of a part cannot be read"),
        (NAMED + b"; filename*=latin-1''a", "The name of a file is not UTF-8"),
        (NAMED + b"; filename*=UTF-8''%ff", "The name of a file is not UTF-8"),
        (
            NAMED + b"".join(b"\r\nX-%d: y" % n for n in range(MOST_HEADERS)),
            f"A part of the form has more than {MOST_HEADERS} headers",
        ),
        (NAMED + b"\r\nX: " + b"y" * LARGEST_HEAD, "The head of a part is too large"),
    ],
)
def test_head_that_is_refused(head: bytes, sentence: str) -> None:
    assert refused(form((head, b"x"))) == sentence


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "The form ends before its last boundary"),
        (b"--" + B, "The form ends before its last boundary"),
        (form((NAMED, b"x"))[:-6], "The form ends before its last boundary"),
        (b"--" + B + b"\r\n" + NAMED, "The form ends before its last boundary"),
        (b"x" * (LARGEST_HEAD + 99), "The form does not begin with its boundary"),
        (b"--" + B + b"x\r\n", "A boundary of the form does not end its line"),
        (
            b"--" + B + b" " * (LONGEST_PADDING + 2),
            "A boundary of the form does not end its line",
        ),
        (
            b"--" + B + b"\r\n" + NAMED + b"y" * LARGEST_HEAD,
            "The head of a part is too large",
        ),
        (
            form(*([(NAMED, b"x")] * (MOST_PARTS + 1))),
            f"The form has more than {MOST_PARTS} parts",
        ),
    ],
)
def test_body_that_is_refused(body: bytes, sentence: str) -> None:
    assert refused(body) == sentence


@pytest.mark.parametrize("more", range(-8, 9))
@pytest.mark.parametrize("where", ["before", "padding", "head"])
def test_limit_is_the_same_however_the_form_is_cut(where: str, more: int) -> None:
    limit = LONGEST_PADDING if where == "padding" else LARGEST_HEAD
    long = limit + more
    before = b"x" * long if where == "before" else b""
    padding = b" " * long if where == "padding" else b""
    head = NAMED + (b"\r\nX: " + b"y" * (long - len(NAMED) - 5) if where == "head" else b"")
    body = before + b"\r\n--" + B + padding + b"\r\n" + head + b"\r\n\r\nx\r\n--" + B + b"--"

    def is_read(pieces: list[bytes]) -> bool:
        try:
            return parts(pieces) == [(PartHead("a"), b"x")]
        except MultipartError:
            return False

    by_bytes = [body[n : n + 1] for n in range(len(body))]
    whole = is_read([body])
    assert is_read(by_bytes) is is_read([body[:limit], body[limit:]]) is whole
    assert whole is (more <= (-2 if where != "padding" else 0))


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/form-data; boundary=abc", b"abc"),
        ("Multipart/Form-Data;boundary=abc; charset=utf-8", b"abc"),
        ("multipart/form-data; charset=utf-8; boundary=abc", b"abc"),
        ('multipart/form-data; boundary="a b:c"', b"a b:c"),
        ("multipart/form-data; boundary=" + "x" * 70, b"x" * 70),
    ],
)
def test_boundary_of_a_content_type(content_type: str, boundary: bytes) -> None:
    assert boundary_of(content_type) == boundary


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "application/json",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary="a "',
        "multipart/form-data; boundary=a\xe9",
        "multipart/form-data; boundary=" + "x" * 71,
        "multipart/mixed; boundary=abc",
    ],
)
def test_content_type_without_a_boundary_is_refused(content_type: str | None) -> None:
    with pytest.raises(MultipartError, match="multipart/form-data with a boundary"):
        boundary_of(content_type)


def test_content_is_not_kept() -> None:
    reader = MultipartReader(B)
    reader.feed(b"--" + B + b"\r\n" + NAMED + b"\r\n\r\n")
    piece = b"\r\n--" * 16_000
    tracemalloc.start()
    try:
        for _ in range(100):
            reader.feed(piece)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 4 * len(piece)
