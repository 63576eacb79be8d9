"""Files of snapshots: what is checked, and what is left alone."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from antiphon.engines.llama.snapshots.files import (
    CHUNK,
    TICK_NS,
    DamagedFileError,
    Found,
    SnapshotFiles,
    boot_id,
)
from antiphon.engines.llama.snapshots.records import Seen, SnapshotRecord

NAME = "0" * 32
KEY = bytes(range(32))
CONTENT = os.urandom(2 * CHUNK + 17)


class Kept:
    """One snapshot in a folder."""

    def __init__(
        self,
        folder: Path,
        *,
        settle_s: float = 0.0,
        content: bytes = CONTENT,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.files = SnapshotFiles(folder, KEY, settle_s=settle_s, boot="this", wall_ns=wall_ns)
        (folder / f"{NAME}.part").write_bytes(content)
        proof, seen = self.files.prove(NAME, len(content))
        self.record = SnapshotRecord(
            identity="i",
            salt="s",
            tokens=b"\1\0\0\0",
            size=len(content),
            proof=proof,
            lifetime_s=300.0,
            read_ms=1.0,
            seen=seen,
        )
        self.files.write_record(NAME, self.record, 1000.0)
        self.path = folder / f"{NAME}.kv"

    def check(self) -> None:
        seen = self.files.check(NAME, self.record)
        self.record = replace(self.record, seen=seen)

    def restart(self, *, boot: str = "this") -> "CountingFiles":
        """Read the snapshot as another run of the server does."""
        self.files = counting = CountingFiles(self.files.folder, KEY, boot=boot)
        (found,) = counting.find_all()
        self.record = found.record
        return counting


class CountingFiles(SnapshotFiles):
    reads = 0

    def _digest(
        self, path: Path, size: int, gives_up: Callable[[], bool]
    ) -> tuple[bytes, Seen | None]:
        self.reads += 1
        return super()._digest(path, size, gives_up)


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


def test_snapshot_is_found_with_the_time_of_its_last_use(kept: Kept) -> None:
    assert kept.files.find_all() == [Found(NAME, kept.record, 1000.0)]
    kept.files.touch(NAME, 2000.5)
    assert kept.files.find_all() == [Found(NAME, kept.record, 2000.5)]


def test_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        Kept(tmp_path)
    finally:
        os.umask(before)
    assert [path.stat().st_mode & 0o777 for path in tmp_path.iterdir()] == [0o600, 0o600]


def test_file_without_its_last_bytes_is_no_snapshot(tmp_path: Path) -> None:
    """As a full disk leaves it: llama.cpp reports what it meant to write."""
    (tmp_path / f"{NAME}.part").write_bytes(CONTENT[:-1])
    with pytest.raises(DamagedFileError, match="size"):
        SnapshotFiles(tmp_path, KEY, settle_s=0).prove(NAME, len(CONTENT))


@pytest.mark.parametrize("at", [0, CHUNK, len(CONTENT) - 1])
@pytest.mark.parametrize("seen", [True, False])
@pytest.mark.parametrize("restart", [True, False])
def test_changed_byte_is_noticed(tmp_path: Path, at: int, *, seen: bool, restart: bool) -> None:
    """Also if the file has the times that it had, and by a later run."""
    # To a clock that stands at its beginning every file is too new to be settled.
    clock = time.time_ns if seen else int
    kept = Kept(tmp_path, settle_s=2 * TICK_NS / 1e9 if seen else 0, wall_ns=clock)
    assert (kept.record.seen is not None) == seen
    times = kept.path.stat()
    with kept.path.open("r+b") as file:
        file.seek(at)
        file.write(bytes([CONTENT[at] ^ 1]))
    os.utime(kept.path, ns=(times.st_atime_ns, times.st_mtime_ns))
    if restart:
        kept.restart()
    with pytest.raises(DamagedFileError, match="changed"):
        kept.check()


def test_file_that_was_not_changed_is_read_by_no_later_run(tmp_path: Path) -> None:
    kept = Kept(tmp_path, settle_s=2 * TICK_NS / 1e9)
    for _ in range(2):
        files = kept.restart()
        kept.check()
        assert files.reads == 0


def test_file_is_read_once_after_each_start_of_the_system(tmp_path: Path) -> None:
    """A crash of the system may leave the times of a file, and another content."""
    kept = Kept(tmp_path, settle_s=2 * TICK_NS / 1e9)
    files = kept.restart(boot="next")
    kept.check()
    kept.check()
    assert files.reads == 1


def test_boot_without_a_name_has_another_one_for_each_run(tmp_path: Path) -> None:
    named, nameless = tmp_path / "boot_id", tmp_path / "none"
    named.write_text("5d3c\n")
    assert boot_id(named) == boot_id(named) == "5d3c"
    assert boot_id(nameless) != boot_id(nameless)


def test_file_that_was_copied_is_read(tmp_path: Path) -> None:
    """With its times, as a backup brings it back."""
    kept = Kept(tmp_path, settle_s=2 * TICK_NS / 1e9)
    copy = tmp_path / "copy"
    shutil.copy2(kept.path, copy)
    copy.replace(kept.path)
    files = kept.restart()
    kept.check()
    assert files.reads == 1


def test_file_that_was_just_changed_is_read_again(tmp_path: Path) -> None:
    """Its next change may bear the same time."""
    kept = Kept(tmp_path, settle_s=2 * TICK_NS / 1e9)
    assert kept.record.seen is not None
    kept.files = SnapshotFiles(
        tmp_path, KEY, wall_ns=lambda: kept.path.stat().st_ctime_ns + 1, boot="this"
    )
    kept.path.chmod(0o600)
    kept.check()
    assert kept.record.seen is None


@pytest.mark.parametrize("instead", ["nothing", "link", "pipe", "folder", "shorter", "longer"])
def test_what_is_not_the_file_is_noticed(kept: Kept, instead: str) -> None:
    content = kept.path.read_bytes()
    kept.path.unlink()
    match instead:
        case "link":
            (kept.path.parent / "other").write_bytes(content)
            kept.path.symlink_to(kept.path.parent / "other")
        case "pipe":
            os.mkfifo(kept.path)
        case "folder":
            kept.path.mkdir()
        case "shorter":
            kept.path.write_bytes(content[:-1])
        case "longer":
            kept.path.write_bytes(content + b"\0")
    with pytest.raises(DamagedFileError):
        kept.check()


def test_file_of_another_snapshot_is_noticed(kept: Kept) -> None:
    kept.record = replace(kept.record, proof=b"\0" * 32)
    with pytest.raises(DamagedFileError):
        kept.check()


def test_check_that_is_given_up_ends_before_the_next_megabyte(kept: Kept) -> None:
    asked = iter([False, True])
    with pytest.raises(InterruptedError):
        kept.files.check(NAME, kept.record, lambda: next(asked))


@pytest.mark.parametrize("other_key", [False, True])
def test_start_removes_all_that_is_no_whole_snapshot(kept: Kept, *, other_key: bool) -> None:
    folder = kept.path.parent
    whole = {f"{NAME}.kv", f"{NAME}.record"}
    for name in ("1.part", "2.kv", "3.record", f"{NAME}.record.part", "note.txt", f"{NAME}.part"):
        (folder / name).write_bytes(b"\x97" * 100)
    (folder / "4.record").symlink_to(folder / f"{NAME}.record")
    (folder / "folder").mkdir()
    found = SnapshotFiles(folder, KEY[::-1] if other_key else KEY).find_all()
    assert [one.name for one in found] == ([] if other_key else [NAME])
    left = {path.name for path in folder.iterdir()}
    assert left == ({"folder"} if other_key else whole | {"folder"})


@pytest.mark.parametrize("suffix", [".kv", ".record"])
def test_half_of_a_snapshot_is_removed_by_the_next_start(kept: Kept, suffix: str) -> None:
    (kept.path.parent / f"{NAME}{suffix}").unlink()
    assert kept.files.find_all() == []
    assert list(kept.path.parent.iterdir()) == []


def test_free_bytes_are_those_of_the_disk(kept: Kept) -> None:
    assert kept.files.free_bytes() > 0
