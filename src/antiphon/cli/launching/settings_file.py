"""Adds settings to a file of another program: nothing in it is changed, and a backup is kept."""

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from tempfile import NamedTemporaryFile

import msgspec

from antiphon.cli.command import CommandError
from antiphon.cli.launching.alone import alone_in
from antiphon.cli.launching.jsonc import JsoncError
from antiphon.cli.launching.merging import Merged

BACKUP_SUFFIX = ".before-antiphon"
TRIES = 5
"""How often a file is read again that another program has changed meanwhile."""


class Written(msgspec.Struct, frozen=True):
    """What became of a file: what was added to it, and its backup if it was there before."""

    merged: Merged
    backup: Path | None = None


def add_to_file(path: Path, add: Callable[[str], Merged]) -> Written:
    """Replace a file by what `add` makes of its text, at once or not at all.

    A missing file is made, with its folders, for its user alone. The first backup is kept: it is
    the file from before any of this. What another program writes meanwhile stays: the file is read
    again then. Raises `CommandError` for a file that cannot be read as what it should be, and
    `OSError`.
    """
    target = _resolved(path)
    if not (merged := _merged(path, _text(path, target), add)).added:
        return Written(merged)
    target.parent.mkdir(parents=True, exist_ok=True)
    with alone_in(target.parent):
        for _ in range(TRIES):
            text = _text(path, target)
            if not (merged := _merged(path, text, add)).added:
                return Written(merged)
            backup = None if text is None else _backup(target, text)
            if _write(target, merged.text, target, partial(_is_still, path, target, text)):
                return Written(merged, backup)
    raise CommandError(f"{path} is not changed, because another program changes it all the time")


def _resolved(path: Path) -> Path:
    """Return the file behind links: it may be in a folder that is kept under version control."""
    try:
        return path.resolve()
    except RuntimeError as error:  # of Python before 3.13
        raise CommandError(f"{path} is a link that leads to itself") from error


def _merged(path: Path, text: str | None, add: Callable[[str], Merged]) -> Merged:
    try:
        return add(text or "")
    except JsoncError as error:
        raise CommandError(f"{path} is not changed, because it cannot be read: {error}") from error


def _backup(target: Path, text: str) -> Path:
    backup = target.with_name(target.name + BACKUP_SUFFIX)
    if not os.path.lexists(backup):
        _write(backup, text, target)
    return backup


def _text(path: Path, target: Path) -> str | None:
    try:
        if target.exists() and not target.is_file():
            raise CommandError(f"{path} is not changed, because it is no file")
        with target.open(encoding="utf-8", newline="") as file:
            return file.read()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise CommandError(f"{path} is not changed, because it is no text in UTF-8") from error


def _is_still(path: Path, target: Path, text: str | None) -> bool:
    return _text(path, target) == text


def _write(
    path: Path, text: str, like: Path, may_replace: Callable[[], bool] = lambda: True
) -> bool:
    """Write a file whole or not at all; return whether it was, as `may_replace` says at the end.

    It has the owner and the permissions of `like`, if that is there.
    """
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        unfinished = Path(file.name)
        try:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
            with suppress(FileNotFoundError):
                there = like.stat()
                # An administrator may write for another user, who is to read it afterwards.
                with suppress(PermissionError):
                    os.chown(unfinished, there.st_uid, there.st_gid)
                unfinished.chmod(stat.S_IMODE(there.st_mode))
            if done := may_replace():
                unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    return done
