"""The files of snapshots in one folder. Everything here blocks: it runs in threads.

A snapshot has two files: `NAME.kv`, which llama.cpp wrote as `NAME.part`, and `NAME.record`. Any
other file of the folder is the rest of something that did not end, and is removed.
"""

import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from hmac import compare_digest
from pathlib import Path
from typing import Final

import msgspec
from blake3 import blake3

from antiphon.engines.llama.snapshots.records import (
    MOST_BYTES,
    ForeignRecordError,
    Seen,
    SnapshotRecord,
    decode_record,
    encode_record,
)
from antiphon.regular_files import NoRegularFileError, opened_regular

PART: Final = ".part"
STATE: Final = ".kv"
RECORD: Final = ".record"
CHUNK: Final = 1 << 20
FILE_FORMAT: Final = b"antiphon snapshot file 2\0"
BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
TICK_NS: Final = 20_000_000
"""The clock that stamps files is coarse: two changes within this time may bear one time."""


def boot_id(path: Path = BOOT_ID) -> str:
    """Return the name of the kernel's run; where it has none, one that no other call returns."""
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return secrets.token_hex(16)


def never() -> bool:
    """Return that work goes on."""
    return False


class DamagedFileError(Exception):
    """A file is not the one that was written."""


class MissingFileError(DamagedFileError):
    """A file was removed."""


class Found(msgspec.Struct, frozen=True):
    """A snapshot that a start finds: its record, and when it was last used, in seconds."""

    name: str
    record: SnapshotRecord
    used_at: float


class SnapshotFiles:
    """The files of one folder, proven with `key`. Methods raise `OSError`.

    `wall_ns` is the clock that stamps files, `settle_s` the pause before a new file is read, so
    that later changes bear another time. `boot` names the run of the kernel.
    """

    def __init__(
        self,
        folder: Path,
        key: bytes,
        *,
        wall_ns: Callable[[], int] = time.time_ns,
        settle_s: float = TICK_NS / 1e9,
        boot: str | None = None,
    ) -> None:
        self.folder = folder
        self._key = key
        self._boot = boot or boot_id()
        self._wall_ns = wall_ns
        self._settle_s = settle_s

    def prove(self, name: str, size: int) -> tuple[bytes, Seen | None]:
        """Make what llama.cpp wrote the file of a snapshot: on the disk, and with a proof.

        Raises `DamagedFileError` if it has not `size` bytes: llama.cpp does not notice when a full
        disk takes the last of them.
        """
        part, state = self.folder / f"{name}{PART}", self.folder / f"{name}{STATE}"
        with opened(part) as descriptor:
            os.fchmod(descriptor, 0o600)
            os.fsync(descriptor)
        part.rename(state)
        time.sleep(self._settle_s)
        return self._digest(state, size, never)

    def write_record(self, name: str, record: SnapshotRecord, used_at: float) -> None:
        """Write the record of a snapshot, which is complete with it."""
        unfinished = self.folder / f"{name}{RECORD}{PART}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        with os.fdopen(os.open(unfinished, flags, 0o600), "wb") as file:
            file.write(encode_record(record, self._key))
            file.flush()
            os.fsync(file.fileno())
        _touch(unfinished, used_at)
        unfinished.rename(self.folder / f"{name}{RECORD}")
        self._sync_folder()

    def check(
        self, name: str, record: SnapshotRecord, gives_up: Callable[[], bool] = never
    ) -> Seen | None:
        """Compare the file of a snapshot with its proof, unless it is as it was seen before.

        Returns how it was seen now; `None` if it was changed too short a time ago to tell the next
        change from this one. Raises `DamagedFileError`. Reads a megabyte at a time, and raises
        `InterruptedError` before the next one if it `gives_up`.
        """
        state = self.folder / f"{name}{STATE}"
        try:
            if record.seen is not None and self._seen(os.lstat(state)) == record.seen:
                return record.seen
            proof, now_seen = self._digest(state, record.size, gives_up)
        except FileNotFoundError as error:
            raise MissingFileError("the file is missing") from error
        if not compare_digest(proof, record.proof):
            raise DamagedFileError("the file was changed")
        return now_seen

    def is_there(self, name: str) -> bool:
        """Return whether a snapshot has its files: a command may have removed them."""
        names = (f"{name}{RECORD}", f"{name}{STATE}")
        return all(os.path.lexists(self.folder / one) for one in names)

    def touch(self, name: str, used_at: float) -> None:
        """Note when a snapshot was used, as the time of its record.

        The time is no part of the proof: it decides how long a snapshot lives, not what it is.
        """
        _touch(self.folder / f"{name}{RECORD}", used_at)

    def remove(self, name: str) -> None:
        """Remove a snapshot, or the parts of one."""
        # The record first: without it the rest is removed by the next start.
        self.remove_files(f"{name}{suffix}" for suffix in (RECORD, STATE, PART, RECORD + PART))

    def list_files(self) -> list[str]:
        """Return the names of all files."""
        return sorted(entry.name for entry in os.scandir(self.folder) if not _is_folder(entry))

    def remove_files(self, names: Iterable[str]) -> None:
        """Remove files, as far as they are there."""
        for name in names:
            (self.folder / name).unlink(missing_ok=True)

    def find_whole(self) -> list[Found]:
        """Return all whole snapshots.

        Takes time linear in the files and in the bytes of the records; the states are not read.
        """
        files = self.list_files()
        names = [name.removesuffix(RECORD) for name in files if name.endswith(RECORD)]
        return [snapshot for name in names if (snapshot := self._read(name)) is not None]

    def find_all(self) -> list[Found]:
        """Return all whole snapshots, as `find_whole` does, and remove every other file."""
        files = self.list_files()
        found = self.find_whole()
        whole = {f"{one.name}{suffix}" for one in found for suffix in (RECORD, STATE)}
        self.remove_files(name for name in files if name not in whole)
        return found

    def free_bytes(self) -> int:
        """Return the free bytes of the disk."""
        disk = os.statvfs(self.folder)
        return disk.f_bavail * disk.f_frsize

    def _read(self, name: str) -> Found | None:
        try:
            with opened(self.folder / f"{name}{RECORD}") as descriptor:
                written = os.fstat(descriptor)
                if written.st_size > MOST_BYTES:
                    return None
                data = b"".join(_chunks(descriptor, MOST_BYTES))
            record = decode_record(data, self._key)
            size = os.lstat(self.folder / f"{name}{STATE}").st_size
        except (OSError, DamagedFileError, ForeignRecordError):
            return None
        return Found(name, record, written.st_mtime_ns / 1e9) if size == record.size else None

    def _digest(
        self, path: Path, size: int, gives_up: Callable[[], bool]
    ) -> tuple[bytes, Seen | None]:
        """Return the proof of a file, and how it was seen before and after it was read."""
        proof = blake3(FILE_FORMAT, key=self._key)
        with opened(path) as descriptor:
            before = os.fstat(descriptor)
            if before.st_size != size:
                raise DamagedFileError("the file has another size")
            settled = self._wall_ns() - before.st_ctime_ns > TICK_NS
            for chunk in _chunks(descriptor, size):
                if gives_up():
                    raise InterruptedError("The check was given up")
                proof.update(chunk)
            seen = self._seen(os.fstat(descriptor))
        return proof.digest(), seen if settled and seen == self._seen(before) else None

    def _seen(self, file: os.stat_result) -> Seen:
        times = file.st_mtime_ns, file.st_ctime_ns
        return Seen(self._boot, file.st_dev, file.st_ino, file.st_size, *times)

    def _sync_folder(self) -> None:
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """Open a regular file to read; anything else is damage."""
    try:
        with opened_regular(path) as descriptor:
            yield descriptor
    except NoRegularFileError as error:
        raise DamagedFileError(str(error)) from error


def _chunks(descriptor: int, size: int) -> Iterator[bytes]:
    """Yield at most `size` bytes of a file, which may shrink or grow meanwhile."""
    while size > 0 and (chunk := os.read(descriptor, min(CHUNK, size))):
        size -= len(chunk)
        yield chunk


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    return entry.is_dir(follow_symlinks=False)


def _touch(path: Path, used_at: float) -> None:
    at_ns = int(used_at * 1e9)
    os.utime(path, ns=(at_ns, at_ns))
