"""A store of snapshots on a disk that tests fill, break and watch; llama.cpp is a written file."""

import errno
import os
import time
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path

from antiphon.engines.llama.snapshots.files import SnapshotFiles
from antiphon.engines.llama.snapshots.identity import ModelIdentity
from antiphon.engines.llama.snapshots.index import Snapshot, Written
from antiphon.engines.llama.snapshots.records import Seen, SnapshotRecord
from antiphon.engines.llama.snapshots.store import SnapshotStore

IDENTITY = ModelIdentity(
    weights="w", projector=None, template="t", kv_types=("f16", "f16"), build="b1"
)
HOUR = 3600.0


class Disk:
    """The disk of a store: what is free, how many writes still succeed, the boot, and the clocks.

    `read` are the names of the files whose content was read.
    """

    def __init__(self) -> None:
        self.free = 1 << 40
        self.writes_left = 1 << 40
        self.now = 1_000_000.0
        self.boot = "this"
        self.read: list[str] = []
        self.wall_ns = time.time_ns
        self._names = count(1)

    def new_name(self) -> str:
        return f"{next(self._names):032x}"

    def write(self) -> None:
        if self.writes_left <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.writes_left -= 1


class DiskFiles(SnapshotFiles):
    """Files on a `Disk`."""

    def __init__(self, disk: Disk, folder: Path, key: bytes) -> None:
        super().__init__(folder, key, settle_s=0, wall_ns=disk.wall_ns, boot=disk.boot)
        self._disk = disk

    def _digest(
        self, path: Path, size: int, gives_up: Callable[[], bool]
    ) -> tuple[bytes, Seen | None]:
        self._disk.read.append(path.stem)
        return super()._digest(path, size, gives_up)

    def free_bytes(self) -> int:
        return self._disk.free

    def prove(self, name: str, size: int) -> tuple[bytes, Seen | None]:
        self._disk.write()
        return super().prove(name, size)

    def write_record(self, name: str, record: SnapshotRecord, used_at: float) -> None:
        self._disk.write()
        super().write_record(name, record, used_at)


async def open_store(
    root: Path,
    disk: Disk,
    *,
    identity: ModelIdentity = IDENTITY,
    budget_bytes: int = 1 << 30,
    most: int = 100,
) -> SnapshotStore:
    return await SnapshotStore.open(
        root,
        identity,
        now=lambda: disk.now,
        new_name=disk.new_name,
        budget_bytes=budget_bytes,
        most=most,
        open_files=lambda folder, key: DiskFiles(disk, folder, key),
    )


async def put(
    store: SnapshotStore,
    salt: str,
    tokens: Sequence[int],
    content: bytes = b"state",
    *,
    lifetime_s: float = HOUR,
    read_ms: float = 100.0,
    reported: int | None = None,
    saved_tokens: int | None = None,
) -> Snapshot | None:
    """Save a snapshot as llama.cpp would, which reports `reported` bytes."""
    async with store.saving(salt, tokens, len(content)) as draft:
        if draft is None:
            return None
        (store.folder / draft.file).write_bytes(content)
        size = len(content) if reported is None else reported
        kept = draft.keep(
            written(
                store,
                tokens=len(tokens) if saved_tokens is None else saved_tokens,
                size=size,
                lifetime_s=lifetime_s,
                read_ms=read_ms,
            )
        )
        return await kept


def written(
    store: SnapshotStore,
    *,
    tokens: int,
    size: int,
    lifetime_s: float = HOUR,
    read_ms: float = 100.0,
) -> Written:
    """Return what llama.cpp has written, in a request that begins now."""
    return Written(
        tokens=tokens, size=size, lifetime_s=lifetime_s, used_at=store._now(), read_ms=read_ms
    )


async def restored(store: SnapshotStore, snapshot: Snapshot) -> bytes:
    """Return what llama.cpp would restore."""
    async with store.restoring(snapshot) as file:
        return (store.folder / file).read_bytes()
