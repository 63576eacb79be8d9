"""Folders, locks and the key of snapshots."""

import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from antiphon.engines.llama.snapshots.folder import OwnedFolder, SnapshotsUnavailableError
from antiphon.engines.llama.snapshots.keys import KEY_FILE, open_key

IDENTITY = "a" * 64


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_folders_and_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        folder = OwnedFolder.open(tmp_path / "snapshots", IDENTITY)
    finally:
        os.umask(before)
    folder.close()
    root = tmp_path / "snapshots"
    assert mode(root) == mode(folder.path) == 0o700
    assert {mode(path) for path in root.iterdir() if path.is_file()} == {0o600}


def test_folder_that_others_can_enter_is_closed_to_them(tmp_path: Path) -> None:
    (tmp_path / IDENTITY).mkdir(mode=0o755)
    tmp_path.chmod(0o755)
    OwnedFolder.open(tmp_path, IDENTITY).close()
    assert mode(tmp_path) == mode(tmp_path / IDENTITY) == 0o700


def test_second_owner_is_refused_until_the_first_one_ends(tmp_path: Path) -> None:
    first = OwnedFolder.open(tmp_path, IDENTITY)
    with pytest.raises(SnapshotsUnavailableError, match="another engine keeps the snapshots"):
        OwnedFolder.open(tmp_path, IDENTITY)
    OwnedFolder.open(tmp_path, "b" * 64).close()
    first.close()
    OwnedFolder.open(tmp_path, IDENTITY).close()


def test_folder_is_made_again_once_for_all_that_miss_it(tmp_path: Path) -> None:
    root = tmp_path / "snapshots"
    folder = OwnedFolder.open(root, IDENTITY)
    for _ in range(20):
        shutil.rmtree(root)
        with ThreadPoolExecutor(4) as threads:
            assert sorted(threads.map(lambda _: folder.remake(), range(4))) == [False] * 3 + [True]
    assert open_key(root) == folder.key
    folder.close()


@pytest.mark.parametrize("obstacle", ["file", "link"])
def test_folder_that_is_none_is_refused(tmp_path: Path, obstacle: str) -> None:
    root = tmp_path / "snapshots"
    if obstacle == "file":
        root.write_bytes(b"")
    else:
        (tmp_path / "elsewhere").mkdir()
        root.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SnapshotsUnavailableError, match="cannot keep snapshots"):
        OwnedFolder.open(root, IDENTITY)


def test_key_is_made_once(tmp_path: Path) -> None:
    key = open_key(tmp_path)
    assert open_key(tmp_path) == key
    assert len(key) == 32
    assert {path.name for path in tmp_path.iterdir()} == {KEY_FILE, "key.lock"}
    assert {mode(path) for path in tmp_path.iterdir()} == {0o600}


@pytest.mark.parametrize("damage", ["short", "long", "readable", "link", "empty"])
def test_key_that_proves_nothing_is_replaced(tmp_path: Path, damage: str) -> None:
    key, path = open_key(tmp_path), tmp_path / KEY_FILE
    match damage:
        case "short":
            path.write_bytes(key[:-1])
        case "long":
            path.write_bytes(key + b"x")
        case "readable":
            path.chmod(0o640)
        case "link":
            path.rename(tmp_path / "other")
            path.symlink_to(tmp_path / "other")
        case _:
            path.write_bytes(b"")
    other = open_key(tmp_path)
    assert other != key
    assert len(other) == 32
    assert open_key(tmp_path) == other
    assert mode(path) == 0o600


def test_processes_that_make_a_key_at_once_get_the_same(tmp_path: Path) -> None:
    keys: list[bytes] = []
    start = threading.Barrier(8)

    def make() -> None:
        start.wait()
        keys.append(open_key(tmp_path))

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 8
    assert len(set(keys)) == 1


def test_files_behind_a_link_are_not_removed(tmp_path: Path) -> None:
    """Like a folder of an identity that was moved to another disk, or one that was put there."""
    root, other = tmp_path / "snapshots", tmp_path / "other"
    other.mkdir()
    (other / "precious").write_text("not a snapshot")
    owned = OwnedFolder.open(root, IDENTITY)
    (root / ("b" * 64)).symlink_to(other)
    (root / ("c" * 64)).mkdir()
    (root / ("c" * 64) / "rest.part").write_text("of a snapshot")
    owned.remove_ended_elsewhere(0.0)
    owned.close()
    assert (other / "precious").exists()
    assert not (root / ("c" * 64)).exists()
