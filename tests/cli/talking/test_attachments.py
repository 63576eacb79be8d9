"""Files in a turn, by what they hold."""

import base64
from pathlib import Path

import pytest

from antiphon.cli.command import CommandError
from antiphon.cli.talking import attachments
from antiphon.cli.talking.attachments import file_block, image_block, path_of

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 8


def written(folder: Path, name: str, data: bytes) -> Path:
    (folder / name).write_bytes(data)
    return folder / name


def test_text_is_a_document_with_its_name(tmp_path: Path) -> None:
    block = file_block(written(tmp_path, "notes.md", "\ufeffhäuser".encode()))
    source = {"type": "text", "media_type": "text/plain", "data": "häuser"}
    assert block == {"type": "document", "title": "notes.md", "source": source}


def test_pdf_is_known_by_its_beginning(tmp_path: Path) -> None:
    block = file_block(written(tmp_path, "report", b"%PDF-1.7 ..."))
    assert block["source"]["media_type"] == "application/pdf"
    assert base64.b64decode(block["source"]["data"]) == b"%PDF-1.7 ..."


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"GIF87a", "image/gif"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
    ],
)
def test_picture_is_known_by_its_beginning(tmp_path: Path, data: bytes, media_type: str) -> None:
    path = written(tmp_path, "picture.txt", data)
    for block in (file_block(path), image_block(path)):
        assert block["type"] == "image"
        assert block["source"]["media_type"] == media_type


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x00\xff\xfe binary", "it is no text in UTF-8, no PDF and no picture"),
        (b"  \n", "has no text"),
        (b"", "has no text"),
    ],
)
def test_file_that_no_model_reads_is_refused(tmp_path: Path, data: bytes, why: str) -> None:
    with pytest.raises(CommandError, match=why):
        file_block(written(tmp_path, "file.bin", data))


def test_text_is_no_picture(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="no PNG, JPEG, GIF or WebP"):
        image_block(written(tmp_path, "a.png", b"<svg/>"))


def test_missing_file_and_folder_are_told(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"missing: No such file"):
        file_block(tmp_path / "missing")
    with pytest.raises(CommandError, match=r"Is a directory"):
        file_block(tmp_path)


def test_path_that_is_none_is_told() -> None:
    with pytest.raises(CommandError, match="no such home"):
        path_of("~nobody-has-this-name/a.txt")
    with pytest.raises(CommandError, match="zero byte"):
        path_of("a\0b")
    assert path_of("~/a.txt") == Path.home() / "a.txt"


def test_large_file_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attachments, "LARGEST", 1 << 20)
    with pytest.raises(CommandError, match="larger than 1 MiB"):
        file_block(written(tmp_path, "large", b"a" * ((1 << 20) + 1)))
