"""Adds settings to a file of another program: nothing in it is changed, and a backup is kept."""

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

import msgspec

from antiphon.cli.command import CommandError
from antiphon.cli.launching.jsonc import JsoncError
from antiphon.cli.launching.merging import Merged

BACKUP_SUFFIX = ".before-antiphon"


class Written(msgspec.Struct, frozen=True):
    """What became of a file: what was added to it, and its backup if it was there before."""

    merged: Merged
    backup: Path | None = None


def add_to_file(path: Path, add: Callable[[str], Merged]) -> Written:
    """Replace a file by what `add` makes of its text, at once or not at all.

    A missing file is made, with its folders, for its user alone. The first backup is kept: it is
    the file from before any of this. Raises `CommandError` for a file that cannot be read as what
    it should be, and `OSError`.
    """
    # A file of settings may be a link into a folder that is kept under version control.
    target = path.resolve()
    text = _text(path, target)
    try:
        merged = add(text or "")
    except JsoncError as error:
        raise CommandError(f"{path} is not changed, because it cannot be read: {error}") from error
    if not merged.added:
        return Written(merged)
    target.parent.mkdir(parents=True, exist_ok=True)
    backup = None
    if text is not None:
        backup = target.with_name(target.name + BACKUP_SUFFIX)
        if not os.path.lexists(backup):
            _write(backup, text, target)
    _write(target, merged.text, target)
    return Written(merged, backup)


def _text(path: Path, target: Path) -> str | None:
    try:
        with target.open(encoding="utf-8", newline="") as file:
            return file.read()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise CommandError(f"{path} is not changed, because it is no text in UTF-8") from error


def _write(path: Path, text: str, like: Path) -> None:
    """Write a file whole or not at all, with the permissions of `like` if that is there."""
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        unfinished = Path(file.name)
        try:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
            with suppress(FileNotFoundError):
                unfinished.chmod(stat.S_IMODE(like.stat().st_mode))
            unfinished.replace(path)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
