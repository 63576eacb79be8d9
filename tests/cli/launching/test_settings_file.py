"""A file of settings is replaced as a whole, with a backup, or not at all."""

import stat
from functools import partial
from pathlib import Path

import pytest

from antiphon.cli.command import CommandError
from antiphon.cli.launching.merging import merged
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
