"""Adds settings to a text of JSON with comments. What stands there already is never changed."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from antiphon.cli.launching.jsonc import JsoncError, Node, parse

Path: TypeAlias = tuple[str, ...]
"""The names that lead to a setting, from the outside."""

_INDENT: Final = "  "
_COMMENT: Final = re.compile(r"(?:[ \t]*/\*[^\n]*?\*/)*(?:[ \t]*//[^\n\r]*)?")


class Merged(msgspec.Struct, frozen=True):
    """A text with what was added to it.

    `added` are the settings that it has now, `same` those that it had with the same value, and
    `kept` those that it has with another value.
    """

    text: str
    added: tuple[Path, ...] = ()
    same: tuple[Path, ...] = ()
    kept: tuple[Path, ...] = ()


def merged(text: str, wanted: Mapping[str, Any]) -> Merged:
    """Return the text of an object with the wanted settings, those of objects one by one.

    An empty text is an empty object. Raises `JsoncError`.
    """
    node = parse(text) if text.strip() else None
    if node is None:
        return Merged(_written(dict(wanted), "") + "\n", tuple(_leaves(wanted)))
    if node.members is None:
        raise JsoncError("line 1: this is no object")
    changes = _Changes(text)
    changes.merge(node, wanted, ())
    return changes.result()


def with_item(text: str, wanted: Mapping[str, Any], name: str = "name") -> Merged:
    """Return the text of a list of objects with one more, unless one has the same `name`.

    Raises `JsoncError`.
    """
    path = (str(wanted[name]),)
    if not text.strip():
        return Merged(_written([dict(wanted)], "") + "\n", (path,))
    node = parse(text)
    if node.items is None:
        raise JsoncError("line 1: this is no list")
    for item in node.items:
        found = item.plain()
        if isinstance(found, dict) and found.get(name) == wanted[name]:
            is_same = found == dict(wanted)
            return Merged(text, same=(path,) if is_same else (), kept=() if is_same else (path,))
    changes = _Changes(text)
    changes.insert(node, lambda indent: _written(dict(wanted), indent))
    return Merged(changes.result().text, (path,))


class _Changes:
    """The insertions into a text, each at its place."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._inserted: list[tuple[int, str]] = []
        self._added: list[Path] = []
        self._same: list[Path] = []
        self._kept: list[Path] = []

    def result(self) -> Merged:
        text = self._text
        line_end = "\r\n" if "\r\n" in text else "\n"
        # From the end on, so that the places before stay as they are.
        for at, inserted in sorted(self._inserted, key=lambda one: -one[0]):
            text = text[:at] + inserted.replace("\n", line_end) + text[at:]
        return Merged(text, tuple(self._added), tuple(self._same), tuple(self._kept))

    def merge(self, node: Node, wanted: Mapping[str, Any], path: Path) -> None:
        new: dict[str, Any] = {}
        for name, value in wanted.items():
            found = (node.members or {}).get(name)
            here = (*path, name)
            if found is None:
                new[name] = value
                self._added += _leaves({name: value}, path)
            elif isinstance(value, dict) and found.members is not None:
                self.merge(found, value, here)
            elif found.plain() == value:
                self._same.append(here)
            else:
                self._kept.append(here)
        if new:
            self.insert(
                node,
                lambda indent: f",\n{indent}".join(
                    f"{_json(name)}: {_written(value, indent)}" for name, value in new.items()
                ),
            )

    def insert(self, node: Node, write: Callable[[str], str]) -> None:
        """Insert parts behind the last one; `write` gets the indentation of the parts."""
        if not node.parts:
            self._insert_first(node, write)
        elif "\n" not in self._text[node.start : node.end]:
            # All of it stands in one line, and goes on there.
            self._inserted.append((node.behind, f"{'' if node.comma else ','} {write('')}"))
        else:
            indent = self._indent_at(node.parts[-1].start)
            comma = "" if node.comma else ","
            # A comment behind the last part, in its line, is about that part.
            comment = _COMMENT.match(self._text, node.behind)
            behind = node.behind if comment is None else comment.end()
            if behind > node.behind:
                self._inserted.append((node.behind, comma))
                comma = ""
            self._inserted.append((behind, f"{comma}\n{indent}{write(indent)}"))

    def _insert_first(self, node: Node, write: Callable[[str], str]) -> None:
        """Insert parts into an empty object or list, behind the comments in it."""
        outer = self._indent_at(node.start)
        indent = outer + _INDENT
        between = self._text[node.behind : node.end - 1]
        behind = node.behind + len(between.rstrip())
        end = "" if "\n" in self._text[behind : node.end - 1] else f"\n{outer}"
        self._inserted.append((behind, f"\n{indent}{write(indent)}{end}"))

    def _indent_at(self, place: int) -> str:
        """Return the spaces at the begin of the line of a place."""
        begin = self._text.rfind("\n", 0, place) + 1
        line = self._text[begin:place]
        return line[: len(line) - len(line.lstrip())]


def _leaves(wanted: Mapping[str, Any], path: Path = ()) -> Sequence[Path]:
    """Return the paths of the single settings in an object."""
    found: list[Path] = []
    for name, value in wanted.items():
        here = (*path, name)
        found += _leaves(value, here) if isinstance(value, dict) and value else [here]
    return found


def _written(value: Any, indent: str) -> str:
    text = msgspec.json.format(msgspec.json.encode(value), indent=len(_INDENT)).decode()
    return text.replace("\n", f"\n{indent}")


def _json(value: str) -> str:
    return msgspec.json.encode(value).decode()
