"""A file of settings is replaced as a whole, with a backup, or not at all."""

import itertools
import json
import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from antiphon.cli.command import CommandError
from antiphon.cli.launching.merging import Merged, merged
from antiphon.cli.launching.settings_file import BACKUP_SUFFIX, add_to_file

ADD = partial(merged, wanted={"a": 1})


def test_missing_file_is_made_with_its_folders_for_its_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "one/two/settings.json"
    written = add_to_file(path, ADD)
    assert path.read_text(encoding="utf-8") == '{\n  "a": 1\n}\n'
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert written.backup is None
    assert [one.name for one in path.parent.iterdir()] == ["settings.json"]


def test_backup_is_the_file_from_before_any_change(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text('{"b": 2}', encoding="utf-8")
    path.chmod(0o640)
    backup = add_to_file(path, ADD).backup
    assert backup == tmp_path / f"settings.json{BACKUP_SUFFIX}"
    assert add_to_file(path, partial(merged, wanted={"c": 3})).backup == backup
    assert backup.read_text(encoding="utf-8") == '{"b": 2}'
    assert path.read_text(encoding="utf-8") == '{"b": 2, "a": 1, "c": 3}'
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(backup.stat().st_mode) == 0o640


def test_file_that_has_all_of_it_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text('{"a": 2}', encoding="utf-8")
    written = add_to_file(path, ADD)
    assert (written.backup, written.merged.kept) == (None, (("a",),))
    assert [one.name for one in tmp_path.iterdir()] == ["settings.json"]


def test_link_stays_a_link(tmp_path: Path) -> None:
    target = tmp_path / "dotfiles/settings.json"
    target.parent.mkdir()
    target.write_text("{}", encoding="utf-8")
    path = tmp_path / "settings.json"
    path.symlink_to(target)
    add_to_file(path, ADD)
    assert path.is_symlink()
    assert '"a": 1' in target.read_text(encoding="utf-8")


@pytest.mark.parametrize("content", [b'{"a" 1}', b"\xff{}", b"[]"])
def test_file_that_cannot_be_read_is_not_changed(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "settings.json"
    path.write_bytes(content)
    with pytest.raises(CommandError, match="is not changed, because it"):
        add_to_file(path, ADD)
    assert path.read_bytes() == content
    assert [one.name for one in tmp_path.iterdir()] == ["settings.json"]


def test_link_that_leads_to_itself_is_told(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.symlink_to(path)
    with pytest.raises((CommandError, OSError), match=r"leads to itself|symbolic links"):
        add_to_file(path, ADD)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_not_waited_for(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "settings.json")
    with pytest.raises(CommandError, match="because it is no file"):
        add_to_file(tmp_path / "settings.json", ADD)


def test_what_another_program_writes_meanwhile_stays(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text("{}", encoding="utf-8")
    written = ['{"b": 1}', '{"b": 1, "c": 2}']

    def add(text: str) -> Merged:
        # The first look is not under the lock; each one after it is followed by a write.
        merged = ADD(text)
        if text != "{}" or len(written) == 2:
            path.write_text(written.pop(0) if written else text, encoding="utf-8")
        return merged

    add_to_file(path, add)
    assert json.loads(path.read_text(encoding="utf-8")) == {"a": 1, "b": 1, "c": 2}
    assert not list(tmp_path.glob(".*"))


def test_file_that_never_stands_still_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    count = itertools.count()

    def add(text: str) -> Merged:
        path.write_text(f'{{"b": {next(count)}}}', encoding="utf-8")
        return ADD(text)

    with pytest.raises(CommandError, match="changes it all the time"):
        add_to_file(path, add)
    assert "a" not in path.read_text(encoding="utf-8")


def test_commands_at_once_lose_nothing_of_each_other(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    with ThreadPoolExecutor(8) as pool:
        adds = [partial(merged, wanted={f"n{number}": number}) for number in range(24)]
        list(pool.map(partial(add_to_file, path), adds))
    found = json.loads(path.read_text(encoding="utf-8"))
    assert found == {f"n{number}": number for number in range(24)}
    # The first backup is of the file from before, or of what the first one has made.
    assert {one.name for one in tmp_path.iterdir()} <= {path.name, path.name + BACKUP_SUFFIX}


@pytest.mark.skipif(os.geteuid() != 0, reason="only an administrator writes for others")
def test_file_stays_with_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text("{}", encoding="utf-8")
    os.chown(path, 1234, 4321)
    backup = add_to_file(path, ADD).backup
    for file in (path, backup):
        assert file is not None
        assert (file.stat().st_uid, file.stat().st_gid) == (1234, 4321)
