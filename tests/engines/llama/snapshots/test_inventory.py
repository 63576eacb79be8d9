import os
import shutil
import threading
from pathlib import Path

import pytest

from antiphon.engines.llama.snapshots.folder import name_model
from antiphon.engines.llama.snapshots.inventory import kept_prefixes, remove_prefixes
from antiphon.engines.llama.snapshots.store import SnapshotLostError
from support.snapshots import Disk, open_store, put

pytestmark = pytest.mark.anyio


async def test_kept_prefixes_are_listed_and_removed_beside_a_server(tmp_path: Path) -> None:
    disk = Disk()
    store = await open_store(tmp_path, disk)
    try:
        name_model(store.folder, "qwen")
        older = await put(store, "one", [1, 2, 3])
        disk.now += 5
        newer = await put(store, "two", [1, 2, 3, 4])
        assert older is not None
        assert newer is not None
        (store.folder / "strange.part").write_bytes(b"being written")
        found = kept_prefixes(tmp_path)
        assert [(one.name, one.model, one.salt, one.tokens) for one in found] == [
            (newer.name, "qwen", "two", 4),
            (older.name, "qwen", "one", 3),
        ]
        assert [(one.size, one.used_at, one.ends_at) for one in found] == [
            (one.size, one.used_at, one.ends_at) for one in (newer, older)
        ]
        remove_prefixes(found[:1])
        assert [one.name for one in kept_prefixes(tmp_path)] == [older.name]
        assert (store.folder / "strange.part").exists()
        with pytest.raises(SnapshotLostError):
            async with store.restoring(newer):
                pass
        assert store.find("two", [1, 2, 3, 4]) is None
    finally:
        await store.aclose()


def test_nothing_is_kept_without_a_key(tmp_path: Path) -> None:
    assert kept_prefixes(tmp_path / "none") == []
    (tmp_path / ("a" * 64)).mkdir()
    assert kept_prefixes(tmp_path) == []


async def test_folder_without_a_name_is_listed(tmp_path: Path) -> None:
    store = await open_store(tmp_path, Disk())
    await put(store, "one", [1, 2, 3])
    await store.aclose()
    (found,) = kept_prefixes(tmp_path)
    assert found.model is None


@pytest.mark.parametrize("kind", ["pipe", "link", "link to nothing"])
async def test_what_is_no_file_is_no_name_and_is_replaced(tmp_path: Path, kind: str) -> None:
    store = await open_store(tmp_path / "snapshots", Disk())
    await put(store, "one", [1, 2, 3])
    await store.aclose()
    other, path = tmp_path / "other", store.folder.with_suffix(".model")
    other.write_text("precious")
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(other if kind == "link" else tmp_path / "none")
    names: list[str | None] = []

    def look_and_name() -> None:
        names.extend(one.model for one in kept_prefixes(tmp_path / "snapshots"))
        name_model(store.folder, "qwen")
        names.extend(one.model for one in kept_prefixes(tmp_path / "snapshots"))

    # To open a pipe would wait for its other end.
    thread = threading.Thread(target=look_and_name, daemon=True)
    thread.start()
    thread.join(10)
    assert names == [None, "qwen"]
    assert other.read_text() == "precious"
    assert not (tmp_path / "none").exists()
    assert path.stat().st_mode & 0o777 == 0o600


async def test_long_name_is_cut(tmp_path: Path) -> None:
    store = await open_store(tmp_path, Disk())
    await put(store, "one", [1, 2, 3])
    name_model(store.folder, "x" * 100_000)
    await store.aclose()
    (found,) = kept_prefixes(tmp_path)
    assert found.model == "x" * 4096


@pytest.mark.parametrize("removed", ["folder", "all"])
async def test_removed_folder_has_its_name_again(tmp_path: Path, removed: str) -> None:
    root = tmp_path / "snapshots"
    store = await open_store(root, Disk())
    await store.name("qwen")
    shutil.rmtree(store.folder if removed == "folder" else root)
    (root / f"{store.folder.name}.model").unlink(missing_ok=True)
    assert await put(store, "one", [1, 2, 3]) is not None
    await store.aclose()
    assert [one.model for one in kept_prefixes(root)] == ["qwen"]
