import os
import socket
from pathlib import Path

import pytest

from antiphon.regular_files import NoRegularFileError, opened_regular


def test_regular_file_is_opened_until_the_end_of_the_block(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    with opened_regular(tmp_path / "file") as descriptor:
        assert os.read(descriptor, 100) == b"content"
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


@pytest.mark.parametrize("kind", ["link", "link to nothing", "pipe", "socket", "folder", "device"])
def test_what_is_no_regular_file_is_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path = tmp_path / "it"
    match kind:
        case "link":
            (tmp_path / "file").touch()
            path.symlink_to(tmp_path / "file")
        case "link to nothing":
            path.symlink_to(tmp_path / "none")
        case "pipe":
            os.mkfifo(path)
        case "socket":
            monkeypatch.chdir(tmp_path)  # the names of sockets are short
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(path.name)
        case "folder":
            path.mkdir()
        case _:
            path = Path(os.devnull)
    with pytest.raises(NoRegularFileError, match="no regular file"), opened_regular(path):
        pass


def test_missing_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), opened_regular(tmp_path / "none"):
        pass
