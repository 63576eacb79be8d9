"""Reads JSON with comments and trailing commas, as editors write their settings, with its places.

A file of settings belongs to its user: it is changed by inserting text, so comments, the order and
the spaces of what is there stay.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

_SKIPPED: Final = re.compile(r"(?:[\s\ufeff]|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_STRING: Final = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"')
_LITERAL: Final = re.compile(r"-?[0-9][0-9.eE+-]*|true|false|null")
_DEEPEST: Final = 100


class JsoncError(ValueError):
    """A text that is no JSON with comments. The message has the line."""


class Node(msgspec.Struct, kw_only=True):
    """A value in a text, from `start` to `end`.

    An object has `members`, a list has `items`, and all others a `value`. `behind` is the end of
    the last member or item, with its comma if it has one (`comma`); of an empty one, the end of
    its opening bracket.
    """

    start: int
    end: int = 0
    value: Any = None
    members: dict[str, "Node"] | None = None
    items: "list[Node] | None" = None
    behind: int = 0
    comma: bool = False

    def plain(self) -> Any:
        """Return the value without its places."""
        if self.members is not None:
            return {name: node.plain() for name, node in self.members.items()}
        if self.items is not None:
            return [node.plain() for node in self.items]
        return self.value

    @property
    def parts(self) -> Sequence["Node"]:
        """The members or the items, in their order."""
        return list((self.members or {}).values()) or self.items or []


def parse(text: str) -> Node:
    """Return the value of a text. Raises `JsoncError`."""
    reader = _Reader(text)
    node = reader.value(_DEEPEST)
    reader.skip()
    if reader.at != len(text):
        raise reader.error("something stands behind the value")
    return node


class _Reader:
    """The text, and the place that is read next."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.at = 0

    def error(self, reason: str) -> JsoncError:
        line = self._text.count("\n", 0, self.at) + 1
        return JsoncError(f"line {line}: {reason}")

    def skip(self) -> None:
        found = _SKIPPED.match(self._text, self.at)
        self.at = self.at if found is None else found.end()

    def value(self, depth: int) -> Node:
        self.skip()
        match self._text[self.at : self.at + 1]:
            case "{" | "[" as opening:
                if not depth:
                    raise self.error("this is nested too deeply")
                return self._object(depth) if opening == "{" else self._list(depth)
            case '"':
                start = self.at
                return Node(start=start, value=self._string(), end=self.at)
            case _:
                return self._literal()

    def _literal(self) -> Node:
        found = _LITERAL.match(self._text, self.at)
        if found is None:
            raise self.error("a value is expected here")
        try:
            value = msgspec.json.decode(found[0])
        except msgspec.DecodeError as error:
            raise self.error(f"{found[0][:40]} is no number") from error
        node = Node(start=self.at, value=value, end=found.end())
        self.at = found.end()
        return node

    def _string(self) -> str:
        found = _STRING.match(self._text, self.at)
        try:
            text = "" if found is None else msgspec.json.decode(found[0], type=str)
        except msgspec.DecodeError:
            found = None
        if found is None:
            raise self.error("this text has no end, or a wrong escape")
        self.at = found.end()
        return text

    def _object(self, depth: int) -> Node:
        node = self._opened(members={})
        while not self._closes(node, "}"):
            name = self._string() if self._is('"') else None
            self.skip()
            if name is None or not self._is(":"):
                raise self.error('a name in quotes and a ":" are expected here')
            self.at += 1
            # As readers of JSON do, the last of several members of one name counts.
            (node.members or {}).pop(name, None)
            if node.members is not None:
                node.members[name] = self.value(depth - 1)
            self._comma(node)
        return node

    def _list(self, depth: int) -> Node:
        node = self._opened(items=[])
        while not self._closes(node, "]"):
            if node.items is not None:
                node.items.append(self.value(depth - 1))
            self._comma(node)
        return node

    def _opened(self, **parts: Any) -> Node:
        node = Node(start=self.at, behind=self.at + 1, comma=True, **parts)
        self.at += 1
        return node

    def _is(self, sign: str) -> bool:
        return self._text.startswith(sign, self.at)

    def _closes(self, node: Node, bracket: str) -> bool:
        """Return whether the object or list ends here; else another part must follow a comma."""
        self.skip()
        if self._is(bracket):
            self.at += 1
            node.end = self.at
            return True
        if not node.comma:
            raise self.error(f'a "," or a "{bracket}" is expected here')
        return False

    def _comma(self, node: Node) -> None:
        node.behind = self.at
        self.skip()
        node.comma = self._is(",")
        if node.comma:
            self.at += 1
            node.behind = self.at
