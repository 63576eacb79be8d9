"""A memory for models: notes in a folder, which a model reads and writes by the tool `memory`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from shutil import rmtree
from threading import Lock
from typing import Annotated, Any

from antiphon.sdk.tools.results import ToolError
from antiphon.sdk.tools.signature import Signature

ROOT = "/memories"
TYPE = "memory_20250818"
DEEPEST = 2
MOST_CHARACTERS = 200_000
MOST_LINES = 999_999

MemoryPath = Annotated[str, f"below `{ROOT}`"]


class MemoryTool:
    """The tool `memory`, with its notes in a folder. Nothing outside of the folder is touched.

    Models name files below `/memories`, which is the folder. It is made when the first note is
    written. Two programs may share it; what one writes while the other reads is then seen or not.
    """

    name = "memory"
    is_async = False

    def __init__(
        self, folder: str | os.PathLike[str], *, cache_control: Mapping[str, Any] | None = None
    ) -> None:
        self.folder = Path(folder).absolute()
        self._cache_control = cache_control
        # The calls of one answer run at the same time.
        self._lock = Lock()
        self._commands: dict[str, tuple[Callable[..., str], Signature]] = {
            one.__name__: (one, Signature(one, where="memory", told={}, names={}))
            for one in (
                self.view,
                self.create,
                self.str_replace,
                self.insert,
                self.delete,
                self.rename,
            )
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the definition, as a request has it."""
        definition: dict[str, Any] = {"type": TYPE, "name": self.name}
        if self._cache_control is not None:
            definition["cache_control"] = self._cache_control
        return definition

    def call(self, given: Mapping[str, Any]) -> str:
        """Do what a model asks. Raises `ToolError`, and `InvalidValueError` for a wrong input."""
        rest = dict(given)
        command = rest.pop("command", None)
        if command not in self._commands:
            known = ", ".join(self._commands)
            raise ToolError(f"There is no command {command!r}. There are: {known}.")
        do, signature = self._commands[command]
        bound = signature.bind(rest)
        try:
            with self._lock:
                return do(*bound.args, **bound.kwargs)
        except UnicodeDecodeError as error:
            raise ToolError("The file is not text.") from error
        except OSError as error:
            # Its own text names places of this machine.
            raise ToolError(f"That failed: {error.strerror or type(error).__name__}.") from error

    def view(self, path: MemoryPath, view_range: list[int] | None = None) -> str:
        """Return the lines of a file with their numbers, or what a folder holds."""
        place = self._place(path)
        if place.is_dir() or place == self.folder:
            return self._listing(path, place)
        text = self._read(path, place)
        lines = text.splitlines()
        if len(lines) > MOST_LINES or len(text) > MOST_CHARACTERS:
            raise ToolError(f"{path} is too long to be shown. View a range of its lines.")
        first, last = _range(view_range, len(lines))
        shown = [f"{first + at:6}\t{line}" for at, line in enumerate(lines[first - 1 : last])]
        return "\n".join([f"{path}, with line numbers:", *shown])

    def create(self, path: MemoryPath, file_text: str) -> str:
        """Write a new file. One that is there stays as it is."""
        place = self._place(path, below=True)
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            with place.open("x", encoding="utf-8", newline="") as file:
                file.write(file_text)
        except FileExistsError as error:
            raise ToolError(f"{path} exists already. Change it, or delete it first.") from error
        return f"{path} was created."

    def str_replace(self, path: MemoryPath, old_str: str, new_str: str = "") -> str:
        """Replace a text that a file has once."""
        place = self._place(path, below=True)
        text = self._read(path, place)
        count = text.count(old_str) if old_str else 0
        if count != 1:
            found = "not at all" if count == 0 else f"{count} times"
            raise ToolError(f"The text to replace is in {path} {found}; it has to be there once.")
        self._write(place, text.replace(old_str, new_str))
        return f"{path} was changed."

    def insert(self, path: MemoryPath, insert_line: int, insert_text: str) -> str:
        """Insert a text behind a line; 0 is the beginning of the file."""
        place = self._place(path, below=True)
        lines = self._read(path, place).splitlines(keepends=True)
        if not 0 <= insert_line <= len(lines):
            raise ToolError(f"{path} has the lines 1 to {len(lines)}; there is no {insert_line}.")
        if insert_line and not lines[insert_line - 1].endswith("\n"):
            lines[insert_line - 1] += "\n"
        new = insert_text if insert_text.endswith("\n") else insert_text + "\n"
        self._write(place, "".join([*lines[:insert_line], new, *lines[insert_line:]]))
        return f"{path} was changed."

    def delete(self, path: MemoryPath) -> str:
        """Delete a file, or a folder with all that it holds."""
        place = self._place(path, below=True)
        if place.is_dir() and not place.is_symlink():
            rmtree(place)
        else:
            self._existing(path, place).unlink()
        return f"{path} was deleted."

    def rename(self, old_path: MemoryPath, new_path: MemoryPath) -> str:
        """Give a file or a folder another name. One that is there stays as it is."""
        old = self._existing(old_path, self._place(old_path, below=True))
        new = self._place(new_path, below=True)
        if new.exists():
            raise ToolError(f"{new_path} exists already.")
        if new.is_relative_to(old):
            raise ToolError(f"{old_path} cannot be moved into itself.")
        new.parent.mkdir(parents=True, exist_ok=True)
        old.rename(new)
        return f"{old_path} is {new_path} now."

    def _place(self, path: str, *, below: bool = False) -> Path:
        """Return the place of a path. Raises `ToolError` if it is not in the folder."""
        steps = path.split("/")
        if "\0" in path or steps[:2] != ["", ROOT[1:]]:
            raise ToolError(f"{path!r} is not below {ROOT}.")
        inner = [step for step in steps[2:] if step not in {"", "."}]
        root = self.folder.resolve()
        place = root.joinpath(*inner)
        # Links are followed before the question is asked, so none leads out.
        if ".." in inner or not place.resolve().is_relative_to(root):
            raise ToolError(f"{path!r} is not below {ROOT}.")
        if below and not inner:
            raise ToolError(f"{ROOT} itself stays as it is.")
        return place if inner else self.folder

    def _existing(self, path: str, place: Path) -> Path:
        if not place.exists():
            raise ToolError(f"{path} does not exist.")
        return place

    def _read(self, path: str, place: Path) -> str:
        if self._existing(path, place).is_dir():
            raise ToolError(f"{path} is a folder.")
        with place.open(encoding="utf-8", newline="") as file:
            return file.read()

    def _write(self, place: Path, text: str) -> None:
        """Replace a file as a whole, so that nobody reads half of it."""
        new = place.with_name(f".{place.name}.new")
        with new.open("w", encoding="utf-8", newline="") as file:
            file.write(text)
        new.replace(place)

    def _listing(self, path: str, place: Path) -> str:
        found = [f"What {path} holds, {DEEPEST} levels deep, with sizes in bytes:"]
        waiting = [(place, path.rstrip("/"), 0)]
        while waiting:
            folder, shown, depth = waiting.pop()
            if not folder.is_dir():
                continue
            inner: list[tuple[Path, str, int]] = []
            for one in sorted(folder.iterdir()):
                if one.name.startswith(".") or one.is_symlink():
                    continue
                name = f"{shown}/{one.name}"
                if one.is_dir():
                    found.append(f"{'-':>8}\t{name}/")
                    inner.append((one, name, depth + 1))
                else:
                    found.append(f"{one.stat().st_size:8}\t{name}")
            waiting.extend(reversed([one for one in inner if one[2] < DEEPEST]))
        return "\n".join(found if len(found) > 1 else [f"{path} is empty."])


def _range(asked: list[int] | None, count: int) -> tuple[int, int]:
    """Return the first and the last line to show."""
    if asked is None:
        return 1, count
    if len(asked) != 2:  # noqa: PLR2004 - first and last
        raise ToolError("view_range is the first and the last line, as in [1, 20].")
    first, last = asked[0], count if asked[1] == -1 else asked[1]
    if not 1 <= first <= min(last, count):
        raise ToolError(f"There are the lines 1 to {count}; view_range has no such lines.")
    return first, last
