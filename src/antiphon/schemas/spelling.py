"""How values are spelled: as JSON, or with the words, quotes and separators of another notation.

Chat templates write the arguments of calls in many ways. A spelling is learned from a template; the
grammar of an answer, its reader and the proof of the notation share it.
"""

import ast
import json
import re
from typing import Any, Final, Literal

import msgspec

DEPTH: Final = 200
"""How deep a spelled value may be nested."""


class Quotes(msgspec.Struct, frozen=True):
    """What stands around a text, and how it is escaped in between.

    `json` and `python` escape as these languages do. `none` escapes nothing: the text ends at the
    first `closing`, and cannot contain it. With `followers`, patterns of what may stand behind it,
    a `closing` is one before any of these only: an apostrophe may then stand within the text. The
    text has none of the characters of `without`, and at least one of those of `having`.
    """

    opening: str = '"'
    closing: str = '"'
    escapes: Literal["json", "python", "none"] = "json"
    followers: tuple[str, ...] = ()
    without: str = ""
    having: str = ""

    @property
    def is_limited(self) -> bool:
        """Whether not all texts have these quotes."""
        return bool(self.without or self.having)

    @property
    def end(self) -> str:
        """The pattern of what no text contains that is not escaped."""
        closing = re.escape(self.closing)
        return f"{closing}(?:{'|'.join(self.followers)})" if self.followers else closing

    def write(self, text: str) -> str:
        if self.escapes == "json":
            return json.dumps(text, ensure_ascii=False)
        return repr(text) if self.escapes == "python" else self.opening + text + self.closing


class Spelling(msgspec.Struct, frozen=True):
    """The words, quotes and separators of values; the default is JSON as models are trained on it.

    `bare_keys`: names of properties have no quotes. `sorts`: properties come in the order of their
    names, whatever their case. With an `indent`, in spaces, each property and item of JSON has a
    line of its own, and the value stands `level` levels deep.
    """

    true: str = "true"
    false: str = "false"
    null: str = "null"
    quotes: Quotes = Quotes()
    comma: str = ", "
    colon: str = ": "
    bare_keys: bool = False
    sorts: bool = False
    indent: int = 0
    level: int = 0

    def key(self, name: str) -> str:
        """Return the name of a property with what separates it from its value."""
        return (name if self.bare_keys else self.quotes.write(name)) + self.colon

    def word(self, value: bool | None) -> str:  # noqa: FBT001 - it is the value
        return self.null if value is None else self.true if value else self.false

    def write(self, value: Any) -> str:
        """Return a JSON value in this spelling."""
        if self.indent:
            lines = json.dumps(value, ensure_ascii=False, indent=self.indent)
            return lines.replace("\n", "\n" + " " * (self.indent * self.level))
        if isinstance(value, str):
            return self.quotes.write(value)
        if value is None or isinstance(value, bool):
            return self.word(value)
        if isinstance(value, list):
            return f"[{self.comma.join(map(self.write, value))}]"
        if isinstance(value, dict):
            names = in_order(value) if self.sorts else value
            pairs = (self.key(name) + self.write(value[name]) for name in names)
            return f"{{{self.comma.join(pairs)}}}"
        return json.dumps(value)

    def can_write(self, value: Any) -> bool:
        """Whether `read` returns this value from what `write` makes of it."""
        if isinstance(value, list):
            return all(map(self.can_write, value))
        if isinstance(value, dict):
            return all(self.can_name(name) and self.can_write(value[name]) for name in value)
        quotes = self.quotes
        if not isinstance(value, str) or quotes.escapes != "none":
            return True
        return (value + quotes.closing).find(quotes.closing) == len(value)

    def can_name(self, name: str) -> bool:
        """Whether the name of a property can be read back."""
        return _BARE.fullmatch(name) is not None if self.bare_keys else self.can_write(name)

    def read(self, text: str) -> Any:
        """Return the value that `text` spells. Raises `ValueError` if it is none."""
        if self.indent:
            return json.loads(text)
        value, end = _Reader(self, text).value(0, 0)
        if end != len(text):
            raise ValueError
        return value


JSON: Final = Spelling()
PYTHON: Final = Spelling(true="True", false="False", null="None", quotes=Quotes("'", "'", "python"))


def in_order(names: Any) -> list[str]:
    """Return names in the order of spellings that sort them."""
    return sorted(names, key=lambda name: (name.lower(), name))


_NUMBER: Final = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_ESCAPE: Final = r"\\(?:[\\'\"abfnrtv]|x[0-9a-f]{2}|u[0-9a-f]{4}|U000[0-9a-f]{5})"
_PYTHON: Final = re.compile(rf"'(?:[^'\\\n]|{_ESCAPE})*'|\"(?:[^\"\\\n]|{_ESCAPE})*\"")
_BARE: Final = re.compile(r"[^\s{}\[\],:\"']+")


class _Reader:
    """Reads spelled values; its methods return a value and where it ends."""

    def __init__(self, spelling: Spelling, text: str) -> None:
        self._spelling = spelling
        self._text = text
        words = ((spelling.true, True), (spelling.false, False), (spelling.null, None))
        self._words: tuple[tuple[str, bool | None], ...] = words

    def value(self, at: int, depth: int) -> tuple[Any, int]:
        if depth > DEPTH:
            raise ValueError
        if self._text.startswith("{", at):
            return self._object(at + 1, depth)
        if self._text.startswith("[", at):
            return self._array(at + 1, depth)
        for word, value in self._words:
            if self._text.startswith(word, at):
                return value, at + len(word)
        number = _NUMBER.match(self._text, at)
        if number is not None:
            return json.loads(number[0]), number.end()
        return self._string(at)

    def _array(self, at: int, depth: int) -> tuple[list[Any], int]:
        items: list[Any] = []
        while not self._text.startswith("]", at):
            at = self._after(self._spelling.comma, at) if items else at
            item, at = self.value(at, depth + 1)
            items.append(item)
        return items, at + 1

    def _object(self, at: int, depth: int) -> tuple[dict[str, Any], int]:
        properties: dict[str, Any] = {}
        while not self._text.startswith("}", at):
            at = self._after(self._spelling.comma, at) if properties else at
            name, at = self._key(at)
            properties[name], at = self.value(self._after(self._spelling.colon, at), depth + 1)
        return properties, at + 1

    def _key(self, at: int) -> tuple[str, int]:
        if not self._spelling.bare_keys:
            return self._string(at)
        end = self._text.find(self._spelling.colon, at)
        if end < 0 or _BARE.fullmatch(self._text, at, end) is None:
            raise ValueError
        return self._text[at:end], end

    def _string(self, at: int) -> tuple[str, int]:
        quotes = self._spelling.quotes
        if quotes.escapes == "python":
            found = _PYTHON.match(self._text, at)
            if found is None:
                raise ValueError
            return str(ast.literal_eval(found[0])), found.end()
        start = self._after(quotes.opening, at)
        if quotes.escapes == "json":
            text, end = json.JSONDecoder().raw_decode(self._text, at)
            return str(text), end
        end = self._text.find(quotes.closing, start)
        if end < 0:
            raise ValueError
        return self._text[start:end], end + len(quotes.closing)

    def _after(self, mark: str, at: int) -> int:
        """Return where `mark` ends, which stands at `at`."""
        if not self._text.startswith(mark, at):
            raise ValueError
        return at + len(mark)
