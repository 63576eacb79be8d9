"""The rules of uploaded files."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.errors import ApiError, InvalidRequestError, NotFoundError, error_detail
from antiphon.core.files import (
    LONGEST_LIFE_S,
    LONGEST_NAME,
    SHORTEST_LIFE_S,
    FileState,
    FileUse,
    check_use,
    described,
    described_in_beta,
    file_not_found,
    life_of,
    name_of,
    quota_exceeded,
    type_of,
)

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
PNG = b"\x89PNG\r\n\x1a\n"
FILE = FileState(
    id="file_1",
    filename="a.pdf",
    mime_type="application/pdf",
    size_bytes=3,
    created_at=NOON,
    downloadable=False,
)


def code(error: ApiError) -> object:
    details = error_detail(error).details
    assert isinstance(details, dict)
    return details["error_code"]


@pytest.mark.parametrize(
    ("given_name", "mime_type", "name"),
    [
        ("a.txt", "text/plain", "a.txt"),
        ("../../etc/passwd", "text/plain", "passwd"),
        ("C:\\Users\\ada\\notes.txt", "text/plain", "notes.txt"),
        ("naïve 文.pdf", "application/pdf", "naïve 文.pdf"),
        ("x" * LONGEST_NAME, "text/plain", "x" * LONGEST_NAME),
        (None, "application/pdf", "unnamed.pdf"),
        ("", "image/jpeg", "unnamed.jpg"),
        ("folder/", "text/plain", "unnamed.txt"),
        (None, "application/x-unknown", "unnamed"),
        (".env", "text/plain", ".env"),
    ],
)
def test_name_is_the_last_part_of_its_path(
    given_name: str | None, mime_type: str, name: str
) -> None:
    assert name_of(given_name, mime_type) == name


@pytest.mark.parametrize(
    "name", ["a<b", "a>b", "a:b", 'a"b', "a|b", "a?b", "a*b", "a\nb", "a\0b", "a\u202eb", "..", " "]
)
def test_name_with_refused_characters_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequestError, match="filename: Input should be printable"):
        name_of(name, "text/plain")


def test_name_that_is_too_long_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="at most 255 characters"):
        name_of("x" * (LONGEST_NAME + 1), "text/plain")


@given(st.text(max_size=300))
def test_every_name_is_short_and_harmless_or_refused(text: str) -> None:
    try:
        name = name_of(text, "text/plain")
    except InvalidRequestError:
        return
    assert 1 <= len(name) <= LONGEST_NAME
    assert not set(name) & set('<>:"|?*\\/\0\r\n')
    assert name.strip(".")


@pytest.mark.parametrize(
    ("stated", "name", "begins", "kind"),
    [
        ("text/plain", "a.pdf", b"%PDF-1.7", "text/plain"),
        ("Text/Plain; charset=utf-8", None, b"", "text/plain"),
        ("application/octet-stream", "a.bin", b"%PDF-1.7", "application/pdf"),
        ("application/octet-stream", "a.bin", PNG, "image/png"),
        (None, "a.TXT", b"hello", "text/plain"),
        (None, "notes", b"hello", "application/octet-stream"),
        (None, None, b"", "application/octet-stream"),
        ("nonsense", "a.md", b"# A", "text/markdown"),
        ("text/<script>", None, b"", "application/octet-stream"),
    ],
)
def test_type_is_what_is_stated_or_known(
    stated: str | None, name: str | None, begins: bytes, kind: str
) -> None:
    assert type_of(stated, name, begins) == kind


@pytest.mark.parametrize("seconds", [SHORTEST_LIFE_S, LONGEST_LIFE_S])
def test_life_may_be_that_long(seconds: int) -> None:
    assert life_of(str(seconds)) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "Input should be a valid integer"),
        ("-1", "Input should be a valid integer"),
        ("3600.5", "Input should be a valid integer"),
        ("٣٦٠٠", "Input should be a valid integer"),
        ("9" * 400, "Input should be a valid integer"),
        (str(SHORTEST_LIFE_S - 1), "Input should be greater than or equal to 3600"),
        (str(LONGEST_LIFE_S + 1), "Input should be less than or equal to 7776000"),
    ],
)
def test_other_lives_are_refused(text: str, fault: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        life_of(text)
    assert str(caught.value) == f"expires_in_seconds: {fault}"


def test_file_is_there_until_it_expires() -> None:
    FILE.check_there(NOON)
    brief = FileState(
        id="file_1",
        filename="a",
        mime_type="text/plain",
        size_bytes=1,
        created_at=NOON,
        downloadable=False,
        expires_at=NOON + timedelta(hours=1),
    )
    brief.check_there(NOON + timedelta(minutes=59))
    with pytest.raises(NotFoundError) as caught:
        brief.check_there(NOON + timedelta(hours=1))
    assert code(caught.value) == "file_expired"
    assert described(brief).expires_at == "2026-11-23T13:00:00.000000Z"


def test_uploaded_file_is_not_downloadable() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        FILE.check_download()
    assert code(caught.value) == "file_not_downloadable"
    FileState(**{**_fields(), "downloadable": True}).check_download()


def _fields() -> dict[str, object]:
    return {name: getattr(FILE, name) for name in FileState.__dataclass_fields__}


def test_full_quota_has_its_code() -> None:
    assert code(quota_exceeded("your organization", 1000)) == "storage_quota_exceeded"
    assert "1,000 bytes" in str(quota_exceeded("your organization", 1000))


def test_unknown_file_is_named_in_short() -> None:
    assert file_not_found("file_1").message == "File not found: file_1"
    assert len(file_not_found("x" * 10_000).message) < 300


@pytest.mark.parametrize(
    ("use", "kind"),
    [
        ("image", "image/png"),
        ("image", "image/webp"),
        ("document", "application/pdf"),
        ("document", "text/plain"),
    ],
)
def test_block_takes_these_types(use: FileUse, kind: str) -> None:
    check_use(FileState(**{**_fields(), "mime_type": kind}), use, "messages.0.content.0.image")


@pytest.mark.parametrize(
    ("use", "kind"),
    [("image", "application/pdf"), ("document", "image/png"), ("document", "text/csv")],
)
def test_block_refuses_other_types(use: FileUse, kind: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        check_use(FileState(**{**_fields(), "mime_type": kind}), use, "messages.0.content.0.x")
    assert str(caught.value).startswith(
        f"messages.0.content.0.x.source.file: File file_1 is of type {kind}."
    )


def test_file_is_told_as_the_wire_has_it() -> None:
    told = {
        "id": "file_1",
        "type": "file",
        "filename": "a.pdf",
        "mime_type": "application/pdf",
        "size_bytes": 3,
        "created_at": "2026-11-23T12:00:00.000000Z",
        "downloadable": False,
    }
    assert msgspec.to_builtins(described_in_beta(FILE)) == told
    assert msgspec.to_builtins(described(FILE)) == {**told, "expires_at": None}
