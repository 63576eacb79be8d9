"""The store of snapshots: what the state machine does not reach."""

import asyncio
import os
import random
import shutil
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest
from msgspec.structs import replace

from antiphon.engines.llama.snapshots.folder import SnapshotsUnavailableError
from antiphon.engines.llama.snapshots.store import SnapshotLostError, SnapshotStore
from support.logs import capture_logs
from support.snapshots import HOUR, IDENTITY, Disk, open_store, put, restored, written

pytestmark = pytest.mark.anyio

TOKENS = [5, 6, 7]


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
async def store(tmp_path: Path, disk: Disk) -> SnapshotStore:
    return await open_store(tmp_path, disk)


async def files(store: SnapshotStore) -> list[str]:
    await store.settle()
    return sorted(path.name for path in store.folder.iterdir())


async def test_workspaces_never_share_a_snapshot(store: SnapshotStore) -> None:
    """Not by a lookup, not by saving the same tokens, and not by clearing."""
    mine = await put(store, "mine", TOKENS, b"mine")
    assert store.find("theirs", TOKENS) is None
    theirs = await put(store, "theirs", TOKENS, b"theirs")
    assert mine is not None
    assert theirs is not None
    assert store.find("mine", [*TOKENS, 8]) is mine
    assert store.find("theirs", [*TOKENS, 8]) is theirs
    assert await store.clear("mine") == 1
    assert store.find("mine", TOKENS) is None
    assert await restored(store, theirs) == b"theirs"
    await store.aclose()


async def test_other_model_sees_nothing_and_loses_nothing(tmp_path: Path, disk: Disk) -> None:
    store = await open_store(tmp_path, disk)
    assert await put(store, "a", TOKENS) is not None
    await store.aclose()
    other = await open_store(tmp_path, disk, identity=replace(IDENTITY, build="b2"))
    assert other.find("a", TOKENS) is None
    await other.aclose()
    store = await open_store(tmp_path, disk)
    assert store.find("a", TOKENS) is not None
    await store.aclose()


async def test_folder_of_another_model_is_emptied_when_its_snapshots_end(
    tmp_path: Path, disk: Disk
) -> None:
    store = await open_store(tmp_path, disk)
    assert await put(store, "a", TOKENS) is not None
    await store.aclose()
    other = await open_store(tmp_path, disk, identity=replace(IDENTITY, build="b2"))
    disk.now += HOUR - 1
    await other.sweep()
    assert store.folder.exists()
    disk.now += 1
    await other.sweep()
    assert not store.folder.exists()
    await other.aclose()


async def test_folder_of_a_model_that_is_served_is_left_alone(tmp_path: Path, disk: Disk) -> None:
    store = await open_store(tmp_path, disk)
    assert await put(store, "a", TOKENS) is not None
    other = await open_store(tmp_path, disk, identity=replace(IDENTITY, build="b2"))
    disk.now += 2 * HOUR
    await other.sweep()
    assert len(await files(store)) == 2
    await other.aclose()
    await store.aclose()


async def test_moved_folder_of_another_model_serves_nothing(tmp_path: Path, disk: Disk) -> None:
    store = await open_store(tmp_path, disk)
    assert await put(store, "a", TOKENS) is not None
    await store.aclose()
    changed = replace(IDENTITY, template="other")
    store.folder.rename(tmp_path / changed.digest())
    other = await open_store(tmp_path, disk, identity=changed)
    assert other.snapshots() == []
    assert await files(other) == []
    await other.aclose()


async def test_second_store_of_one_model_is_refused(tmp_path: Path, disk: Disk) -> None:
    store = await open_store(tmp_path, disk)
    with pytest.raises(SnapshotsUnavailableError, match="another engine"):
        await open_store(tmp_path, disk)
    await store.aclose()
    await (await open_store(tmp_path, disk)).aclose()


async def test_new_key_of_the_data_folder_loses_all_snapshots(tmp_path: Path, disk: Disk) -> None:
    store = await open_store(tmp_path, disk)
    assert await put(store, "a", TOKENS) is not None
    await store.aclose()
    (tmp_path / "key").unlink()
    store = await open_store(tmp_path, disk)
    assert await files(store) == []
    await store.aclose()


@pytest.mark.parametrize("removed", ["folder", "root"])
async def test_folder_that_was_removed_is_made_again(
    tmp_path: Path, disk: Disk, removed: str
) -> None:
    """With the key and the lock: what is saved then outlives the server, which stays its owner."""
    root = tmp_path / "snapshots"
    store = await open_store(root, disk)
    old = await put(store, "a", TOKENS)
    assert old is not None
    shutil.rmtree(store.folder if removed == "folder" else root)
    with capture_logs() as logs:
        for number in range(2):
            assert await put(store, "a", [number], b"new") is not None
    assert [log["event"] for log in logs] == [
        "the folder of snapshots was removed and is made again"
    ]
    assert old.lost
    assert root.stat().st_mode & 0o777 == store.folder.stat().st_mode & 0o777 == 0o700
    with pytest.raises(SnapshotsUnavailableError, match="another engine"):
        await open_store(root, disk)
    await store.aclose()
    store = await open_store(root, disk)
    assert {len(one.record.tokens) for one in store.snapshots()} == {4}
    assert store.used_bytes == 6
    await store.aclose()


async def test_lock_that_was_removed_is_taken_again(tmp_path: Path, disk: Disk) -> None:
    store = await open_store(tmp_path, disk)
    old = await put(store, "a", TOKENS)
    assert old is not None
    (tmp_path / f"{IDENTITY.digest()}.lock").unlink()
    assert await put(store, "a", [1]) is not None
    assert not old.lost
    with pytest.raises(SnapshotsUnavailableError, match="another engine"):
        await open_store(tmp_path, disk)
    await store.aclose()


async def test_folder_that_another_engine_has_made_again_is_left_to_it(
    tmp_path: Path, disk: Disk
) -> None:
    root = tmp_path / "snapshots"
    store = await open_store(root, disk)
    shutil.rmtree(root)
    other = await open_store(root, disk)
    assert await put(other, "a", [1]) is not None
    await store.sweep()
    assert len(await files(other)) == 2
    for folder_is_there in (True, False):
        if not folder_is_there:
            shutil.rmtree(other.folder)
        with capture_logs() as logs:
            assert await put(store, "a", TOKENS) is None
        reasons = [log["reason"] for log in logs]
        assert reasons == ["another engine keeps the snapshots of this model"]
    assert not other.folder.exists()
    assert await put(other, "a", TOKENS) is not None
    await store.aclose()
    await other.aclose()


async def test_same_prefix_is_written_once_by_users_that_come_together(
    store: SnapshotStore,
) -> None:
    async with AsyncExitStack() as stack:
        drafts = [await stack.enter_async_context(store.saving("a", TOKENS, 10)) for _ in range(4)]
        assert [draft is not None for draft in drafts] == [True, False, False, False]
    assert await files(store) == []
    await asyncio.gather(*(put(store, "a", TOKENS, b"once") for _ in range(8)))
    assert len(store.snapshots()) == 1
    assert len(await files(store)) == 2
    await store.aclose()


async def test_snapshot_is_found_when_it_is_proven_and_not_before(store: SnapshotStore) -> None:
    async with store.saving("a", TOKENS, 4) as draft:
        assert draft is not None
        (store.folder / draft.file).write_bytes(b"abcd")
        kept = draft.keep(written(store, tokens=3, size=4))
        assert draft.keep(written(store, tokens=0, size=0)) is kept
        assert store.find("a", TOKENS) is None
    assert await kept is store.find("a", TOKENS) is not None
    await store.aclose()


async def test_cancelled_request_does_not_cancel_what_it_has_kept(store: SnapshotStore) -> None:
    reached = asyncio.Event()

    async def request() -> None:
        async with store.saving("a", TOKENS, 4) as draft:
            assert draft is not None
            (store.folder / draft.file).write_bytes(b"abcd")
            draft.keep(written(store, tokens=3, size=4))
            reached.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(request())
    await reached.wait()
    task.cancel()
    await asyncio.wait([task])
    await store.settle()
    assert store.find("a", TOKENS) is not None
    await store.aclose()


async def test_cancelled_save_leaves_no_file(store: SnapshotStore) -> None:
    async def request() -> None:
        async with store.saving("a", TOKENS, 4) as draft:
            assert draft is not None
            (store.folder / draft.file).write_bytes(b"ab")
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await request()
    assert await files(store) == []
    assert store.used_bytes == 0
    assert await put(store, "a", TOKENS) is not None
    await store.aclose()


async def test_file_that_llama_cpp_writes_too_late_is_removed_by_the_next_sweep(
    store: SnapshotStore,
) -> None:
    async with store.saving("a", TOKENS, 4) as draft:
        assert draft is not None
    await store.settle()
    (store.folder / draft.file).write_bytes(b"late")
    await store.sweep()
    assert await files(store) == []
    await store.aclose()


async def test_sweep_leaves_what_is_being_written(store: SnapshotStore) -> None:
    async with store.saving("a", TOKENS, 4) as draft:
        assert draft is not None
        (store.folder / draft.file).write_bytes(b"abcd")
        await store.sweep()
        kept = draft.keep(written(store, tokens=3, size=4))
        await store.sweep()
    assert await kept is not None
    await store.aclose()


async def test_cleared_workspace_gets_no_snapshot_that_was_being_written(
    store: SnapshotStore,
) -> None:
    async with store.saving("a", TOKENS, 4) as draft:
        assert draft is not None
        (store.folder / draft.file).write_bytes(b"abcd")
        kept = draft.keep(written(store, tokens=3, size=4))
        await store.clear("a")
    assert await kept is None
    assert await files(store) == []
    await store.aclose()


async def test_other_number_of_tokens_than_expected_is_no_snapshot(store: SnapshotStore) -> None:
    """A snapshot one token too long would make some models read nearly everything again."""
    assert await put(store, "a", TOKENS, saved_tokens=4) is None
    assert await files(store) == []
    await store.aclose()


async def test_full_disk_loses_the_new_snapshot_and_no_other(
    store: SnapshotStore, disk: Disk
) -> None:
    first = await put(store, "a", TOKENS, b"first")
    assert first is not None
    for writes in (0, 1):
        disk.writes_left = writes
        with capture_logs() as logs:
            assert await put(store, "a", [1]) is None
        assert [(log["event"], log["reason"]) for log in logs] == [
            ("work on snapshots failed", "No space left on device")
        ]
    assert await restored(store, first) == b"first"
    assert len(await files(store)) == 2
    await store.aclose()


async def test_renewal_on_a_full_disk_still_holds_in_this_run(
    store: SnapshotStore, disk: Disk
) -> None:
    snapshot = await put(store, "a", TOKENS, lifetime_s=300)
    assert snapshot is not None
    disk.writes_left = 0
    assert await store.renew(snapshot, HOUR)
    disk.now += HOUR - 1
    assert store.find("a", TOKENS) is snapshot
    await store.aclose()


async def test_snapshot_larger_than_the_budget_evicts_nothing(tmp_path: Path, disk: Disk) -> None:
    store = await open_store(tmp_path, disk, budget_bytes=10)
    small = await put(store, "a", [1], b"small")
    async with store.saving("a", TOKENS, 11) as draft:
        assert draft is None
    assert store.find("a", [1]) is small
    assert store.evictions == 0
    await store.aclose()


async def test_snapshot_that_turns_out_too_large_is_removed(tmp_path: Path, disk: Disk) -> None:
    store = await open_store(tmp_path, disk, budget_bytes=10)
    async with store.saving("a", TOKENS, 1) as draft:
        assert draft is not None
        (store.folder / draft.file).write_bytes(b"x" * 11)
        kept = draft.keep(written(store, tokens=3, size=11))
    assert await kept is None
    assert await files(store) == []
    await store.aclose()


async def test_pinned_snapshot_is_not_evicted_and_its_file_outlives_its_end(
    tmp_path: Path, disk: Disk
) -> None:
    store = await open_store(tmp_path, disk, budget_bytes=10)
    snapshot = await put(store, "a", TOKENS, b"12345678")
    assert snapshot is not None
    async with store.restoring(snapshot) as file:
        assert await put(store, "a", [1], b"123") is None
        disk.now += 2 * HOUR
        await store.sweep()
        assert store.find("a", TOKENS) is None
        assert (store.folder / file).read_bytes() == b"12345678"
        assert store.used_bytes == 8
    assert await files(store) == []
    with pytest.raises(SnapshotLostError):
        await restored(store, snapshot)
    assert not await store.renew(snapshot)
    # It had ended, and another one did not displace it.
    assert store.evictions == 0
    await store.aclose()


async def test_damaged_snapshot_is_lost_once_and_without_a_word_of_its_content(
    store: SnapshotStore,
) -> None:
    snapshot = await put(store, "salt-of-a", TOKENS, b"secret state")
    assert snapshot is not None
    (store.folder / snapshot.file).write_bytes(b"other! state")
    with capture_logs() as logs, pytest.raises(SnapshotLostError):
        await restored(store, snapshot)
    assert logs == [
        {
            "event": "a snapshot was damaged and is removed",
            "reason": "the file was changed",
            "log_level": "error",
        }
    ]
    assert store.find("salt-of-a", TOKENS) is None
    assert await files(store) == []
    await store.aclose()


async def test_clock_that_was_set_back_makes_no_snapshot_live_longer(
    tmp_path: Path, disk: Disk
) -> None:
    store = await open_store(tmp_path, disk)
    assert await put(store, "a", TOKENS, lifetime_s=300) is not None
    await store.aclose()
    disk.now -= 10_000
    store = await open_store(tmp_path, disk)
    disk.now += 300
    assert store.find("a", TOKENS) is None
    await store.aclose()


async def test_snapshots_over_the_budget_are_evicted_at_the_start(
    tmp_path: Path, disk: Disk
) -> None:
    store = await open_store(tmp_path, disk)
    for number in range(4):
        assert await put(store, "a", [number], b"12345", read_ms=100.0 + number) is not None
    await store.aclose()
    store = await open_store(tmp_path, disk, budget_bytes=12)
    assert sorted(one.read_ms for one in store.snapshots()) == [102.0, 103.0]
    assert store.evictions == 2
    await store.aclose()


async def test_folder_that_cannot_be_read_is_refused_in_one_sentence(
    tmp_path: Path, disk: Disk
) -> None:
    (tmp_path / IDENTITY.digest()).write_bytes(b"")
    with pytest.raises(SnapshotsUnavailableError, match=r"cannot keep snapshots: File exists"):
        await open_store(tmp_path, disk)


async def test_lifetime_begins_with_the_request_that_saves(
    store: SnapshotStore, disk: Disk
) -> None:
    async with store.saving("a", TOKENS, 4) as draft:
        assert draft is not None
        began = written(store, tokens=3, size=4, lifetime_s=300)
        disk.now += 200  # reading a long prompt
        (store.folder / draft.file).write_bytes(b"abcd")
        kept = await draft.keep(began)
    assert kept is not None
    disk.now += 99
    assert store.find("a", TOKENS) is kept
    disk.now += 1
    assert store.find("a", TOKENS) is None
    await store.aclose()


async def test_no_tokens_are_no_snapshot(store: SnapshotStore) -> None:
    assert await put(store, "a", []) is None
    assert store.find("a", TOKENS) is None
    await store.aclose()


@pytest.mark.parametrize("seed", range(4))
async def test_users_at_the_same_time_get_what_they_have_saved(
    tmp_path: Path, disk: Disk, seed: int
) -> None:
    """Each prefix has one content: any other that is restored belongs to somebody else."""
    store = await open_store(tmp_path, disk, budget_bytes=300, most=8)
    restores = 0

    def content(salt: str, tokens: list[int]) -> bytes:
        return f"{salt}{tokens}".encode()

    async def user(numbers: random.Random) -> None:
        nonlocal restores
        for _ in range(60):
            await asyncio.sleep(0.001)  # the turn of others
            salt = numbers.choice("ab")
            tokens = [numbers.randrange(2) for _ in range(numbers.randrange(1, 4))]
            match numbers.choice(["sweep", "clear", *["save"] * 6, *["restore"] * 12]):
                case "save":
                    await put(store, salt, tokens, content(salt, tokens))
                case "sweep":
                    disk.now += 100
                    await store.sweep()
                case "clear":
                    await store.clear(salt)
                case _:
                    found = store.find(salt, [*tokens, 9])
                    if found is None:
                        continue
                    own = memoryview(found.record.tokens).cast("I").tolist()
                    assert tokens[: len(own)] == own
                    await store.renew(found)
                    with suppress(SnapshotLostError):
                        assert await restored(store, found) == content(salt, own)
                        restores += 1

    users = [random.Random(f"{seed} {number}") for number in range(6)]  # noqa: S311 - no secrets
    await asyncio.gather(*(user(numbers) for numbers in users))
    await store.sweep()
    assert restores
    assert store.used_bytes <= 300
    assert len(await files(store)) == 2 * len(store.snapshots())
    await store.aclose()


async def test_tokens_of_images_are_refused(store: SnapshotStore) -> None:
    """They would be the same for every image."""
    with pytest.raises(ValueError, match="image"):
        store.find("a", [1, -1])
    with pytest.raises(ValueError, match="image"):
        await put(store, "a", [1, -1])
    await store.aclose()


async def test_check_does_not_block_the_event_loop(store: SnapshotStore) -> None:
    """A pipe in place of the file would block whoever opens it."""
    snapshot = await put(store, "a", TOKENS)
    assert snapshot is not None
    (store.folder / snapshot.file).unlink()
    os.mkfifo(store.folder / snapshot.file)
    async with asyncio.timeout(5):
        with pytest.raises(SnapshotLostError):
            await restored(store, snapshot)
    await store.aclose()
