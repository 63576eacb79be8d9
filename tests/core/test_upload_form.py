"""The form of an upload."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.errors import InvalidRequestError
from antiphon.core.upload_form import UploadForm

TYPE = "multipart/form-data; boundary=b"


def part(name: str, content: bytes, more: str = "") -> bytes:
    head = f'--b\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'
    return head.encode() + content + b"\r\n"


FILE = part("file", b"hello", '; filename="a.txt"\r\nContent-Type: text/plain')
END = b"--b--\r\n"


def read(body: bytes, step: int = 0) -> tuple[UploadForm, bytes]:
    form = UploadForm(TYPE)
    size = step or len(body) or 1
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    content = b"".join(data for piece in pieces for data in form.feed(piece))
    form.end()
    return form, content


def refused(body: bytes) -> str:
    with pytest.raises(InvalidRequestError) as caught:
        read(body)
    return str(caught.value)


@given(st.integers(1, 200))
def test_form_is_read_alike_in_pieces_of_any_size(step: int) -> None:
    form, content = read(FILE + part("expires_in_seconds", b"3600") + END, step)
    assert (form.filename, form.mime_type, content) == ("a.txt", "text/plain", b"hello")
    assert form.life == timedelta(hours=1)


def test_life_may_stand_before_the_file() -> None:
    form, content = read(part("expires_in_seconds", b" 7200 ") + FILE + END)
    assert (content, form.life) == (b"hello", timedelta(hours=2))


def test_file_without_a_life_stays() -> None:
    assert read(FILE + END)[0].life is None


def test_file_without_name_and_type_gets_both_from_its_content() -> None:
    form, _ = read(part("file", b"%PDF-1.7 and more") + END, 3)
    assert (form.filename, form.mime_type) == ("unnamed.pdf", "application/pdf")


def test_empty_file_is_a_file() -> None:
    form, content = read(part("file", b"", '; filename="empty"') + END)
    assert (content, form.mime_type) == (b"", "application/octet-stream")


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (END, "file: Field required"),
        (part("expires_in_seconds", b"3600") + END, "file: Field required"),
        (FILE + FILE + END, "file: Input should be given once"),
        (FILE + part("purpose", b"x") + END, "purpose: Extra inputs are not permitted"),
        (FILE, "The form ends before its last boundary"),
        (b"x" * 10_000, "The form does not begin with its boundary"),
        (
            FILE + part("expires_in_seconds", b"1" * 33) + END,
            "expires_in_seconds: Input should be a valid integer",
        ),
        (
            FILE + part("expires_in_seconds", b"5") + END,
            "expires_in_seconds: Input should be greater than or equal to 3600",
        ),
        (
            part("file", b"x", '; filename="a?b"') + END,
            'filename: Input should be printable characters without < > : " | ? * \\ /',
        ),
    ],
)
def test_form_that_is_refused(body: bytes, sentence: str) -> None:
    assert refused(body) == sentence


def test_name_is_refused_before_the_content_has_arrived() -> None:
    form = UploadForm(TYPE)
    with pytest.raises(InvalidRequestError, match="filename"):
        list(form.feed(part("file", b"", '; filename="a?b"')[:-2]))


def test_body_that_is_no_form_is_refused_by_its_type() -> None:
    with pytest.raises(InvalidRequestError, match="content-type"):
        UploadForm("application/json")
