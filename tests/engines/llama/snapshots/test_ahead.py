"""Snapshots that are checked before they are needed."""

import asyncio
import threading
import time
from pathlib import Path

import pytest

from antiphon.engines.llama.snapshots.ahead import check_ahead
from antiphon.engines.llama.snapshots.files import CHUNK, TICK_NS, never
from antiphon.engines.llama.snapshots.index import Snapshot
from antiphon.engines.llama.snapshots.store import SnapshotStore
from support.logs import capture_logs
from support.snapshots import Disk, open_store, put, restored

pytestmark = pytest.mark.anyio

CONTENTS = [bytes([number]) * 2 * CHUNK for number in range(3)]
SIZE = 2 * CHUNK


@pytest.fixture
def disk() -> Disk:
    disk = Disk()
    disk.wall_ns = lambda: time.time_ns() + 2 * TICK_NS
    return disk


@pytest.fixture
async def store(tmp_path: Path, disk: Disk) -> SnapshotStore:
    """A store after a start of the system, with three snapshots."""
    store = await open_store(tmp_path, disk)
    for number, content in enumerate(CONTENTS):
        assert await put(store, "a", [number], content, read_ms=100.0 + number) is not None
    await store.aclose()
    disk.boot, disk.read = "next", []
    return await open_store(tmp_path, disk)


def kept(store: SnapshotStore, number: int) -> Snapshot:
    found = store.find("a", [number])
    assert found is not None
    return found


async def test_restore_reads_no_file_that_was_checked_ahead(
    store: SnapshotStore, disk: Disk
) -> None:
    await check_ahead(store, never)
    assert disk.read == [kept(store, number).name for number in (2, 1, 0)]
    for number, content in enumerate(CONTENTS):
        assert await restored(store, kept(store, number)) == content
    assert len(disk.read) == 3
    await store.aclose()


async def test_file_that_a_run_before_has_checked_is_not_read(tmp_path: Path, disk: Disk) -> None:
    store = await open_store(tmp_path, disk)
    assert await put(store, "a", [1], CONTENTS[0]) is not None
    await store.aclose()
    disk.read = []
    store = await open_store(tmp_path, disk)
    await check_ahead(store, never)
    await restored(store, kept(store, 1))
    assert disk.read == []
    await store.aclose()


async def test_the_most_useful_files_are_read_up_to_a_number_of_bytes(
    store: SnapshotStore, disk: Disk
) -> None:
    await check_ahead(store, never, most_bytes=2 * SIZE + 1)
    assert disk.read == [kept(store, number).name for number in (2, 1)]
    await store.aclose()


async def test_nothing_is_read_while_llama_cpp_is_busy(store: SnapshotStore, disk: Disk) -> None:
    """A check that a request interrupts is begun again after the request, and costs its bytes."""
    questions = 0
    read_at_pauses = []

    def busy() -> bool:
        nonlocal questions
        questions += 1
        # Free for the first megabyte of the first check, then busy until two looks later.
        return questions in {3, 4, 5}

    async def sleep(_: float) -> None:
        read_at_pauses.append(list(disk.read))

    await check_ahead(store, busy, most_bytes=3 * SIZE, sleep=sleep)
    first, second = kept(store, 2).name, kept(store, 1).name
    assert read_at_pauses == [[first], [first]]
    assert disk.read == [first, first, second]
    await store.aclose()


async def test_damaged_file_is_lost_and_the_others_are_checked(
    store: SnapshotStore, disk: Disk
) -> None:
    damaged = kept(store, 2)
    (store.folder / damaged.file).write_bytes(b"x" * SIZE)
    with capture_logs() as logs:
        await check_ahead(store, never)
    assert [log["event"] for log in logs] == ["a snapshot was damaged and is removed"]
    assert store.find("a", [2]) is None
    assert len(disk.read) == 3
    await store.aclose()
    assert not (store.folder / damaged.file).exists()


async def test_check_ends_with_its_task(store: SnapshotStore, disk: Disk) -> None:
    """A thread that went on reading would hold back the end of the server."""
    reading, go_on = threading.Event(), threading.Event()

    def busy() -> bool:
        if disk.read:
            reading.set()
            go_on.wait(5)
        return False

    task = asyncio.create_task(check_ahead(store, busy))
    await asyncio.to_thread(reading.wait, 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go_on.set()
    await store.aclose()
    assert len(disk.read) == 1
    assert kept(store, 2).record.seen is not None
    assert kept(store, 2).record.seen.boot == "this"
