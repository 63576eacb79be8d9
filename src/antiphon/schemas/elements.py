"""Objects whose properties are elements: each with its name and its value between marks.

    <parameter=city>Paris</parameter>        city:<|"|>Paris<|"|>        city='Paris'

Texts stand as they are and end at a mark; other values are spelled. Objects and arrays may be
elements in turn:

    <city><name>Paris</name><at><item>48.9</item><item>2.4</item></at></city>
"""

import re
from collections.abc import Callable, Mapping
from itertools import takewhile
from typing import Any, Final

import msgspec

from antiphon.schemas.alternatives import Alternatives
from antiphon.schemas.document import Document
from antiphon.schemas.spelling import JSON, Quotes, Spelling, in_order
from antiphon.schemas.steps import Steps, TooComplexError
from antiphon.schemas.values import DISJOINT_TYPES, type_of

PROPERTY: Final = "\x03"
"""Stands for the name of a property where it is repeated behind its value."""

_PLAIN: Final = re.compile(r"[A-Za-z0-9_.-]+")
_UNMARKED: Final = re.compile(r"""[^\s(){}\[\]<>|/\\,:="']+(?: [^\s(){}\[\]<>|/\\,:="']+)*""")
"""Names without the characters of which marks are made."""


class Place(msgspec.Struct, frozen=True):
    """What stands between the name of a property and its value, and behind the value."""

    between: str
    after: str

    def end(self, name: str) -> str:
        """Return what stands behind the value of one property."""
        return self.after.replace(PROPERTY, name)


class Wrap(msgspec.Struct, frozen=True):
    """What stands around a text that has any of these characters; other texts have none of it."""

    opening: str
    closing: str
    characters: str


class Elements(msgspec.Struct, frozen=True):
    """How the properties of an object are written.

    `before` stands before each name, `separator` between two properties. `places` has the marks
    around a value, and `spellings` how it is spelled, by its type; a text without a spelling stands
    as it is. `sorts`:
    properties come in the order of their names. `followers` are patterns of what stands behind a
    text, if its mark is too common to end it alone. Some texts have a `wrap`. With an `item`, the
    values of an object are elements in turn, and so are the items of an array, which all have this
    name; a property that is `null` is left out. All values then stand in one place.
    """

    before: str
    places: Mapping[str, Place]
    separator: str = ""
    spellings: Mapping[str, Spelling] = {}
    sorts: bool = False
    followers: tuple[str, ...] = ()
    wrap: Wrap | None = None
    item: str | None = None

    def spelling(self, kind: str) -> Spelling:
        return self.spellings.get(kind, JSON)

    def write(self, properties: Mapping[str, Any]) -> str:
        """Return properties with their values; a text with a mark in it cannot be read back."""
        names = in_order(properties) if self.sorts else properties
        return self.separator.join(
            self._element(name, properties[name])
            for name in names
            if self.item is None or properties[name] is not None
        )

    def _element(self, name: str, value: Any) -> str:
        place = self.places[type_of(value)]
        return f"{self.before}{name}{place.between}{self.value(value)}{place.end(name)}"

    def value(self, value: Any) -> str:
        """Return a value as it stands between its marks."""
        if isinstance(value, str):
            return self.text(value)
        if self.item is not None:
            if isinstance(value, dict):
                return self.write(value)
            if isinstance(value, list):
                return self.separator.join(self._element(self.item, one) for one in value)
            if value is None:
                return ""
        return self.spelling(type_of(value)).write(value)

    @property
    def quoted(self) -> Spelling | None:
        """The spelling of texts; `None` if they stand as they are."""
        return self.spellings.get("string")

    def text(self, text: str) -> str:
        """Return a text as it stands between its marks."""
        if self.quoted is not None:
            return self.quoted.write(text)
        if self.wrap is None or not self.wraps(text):
            return text
        return self.wrap.opening + text + self.wrap.closing

    def wraps(self, text: str) -> bool:
        return self.wrap is not None and any(one in text for one in self.wrap.characters)

    @property
    def repeats(self) -> bool:
        """Whether the name of a property stands again behind its value."""
        return any(PROPERTY in place.after for place in self.places.values())

    def is_writable(self, text: str, name: str = "") -> bool:
        """Whether the text of a property can be read back: it ends at the first mark behind it."""
        if self.quoted is not None:
            return True
        plain = self.text_end_of(name)
        quotes = self.wrapped if self.wraps(text) and self.wrapped else plain
        if quotes.followers:
            return re.search(quotes.end, text) is None
        return (text + quotes.closing).find(quotes.closing) == len(text)

    def can_name(self, name: str) -> bool:
        """Whether the name of a property can be read back: no mark of the elements stands in it.

        Where little or nothing stands before a name, it may not begin as what ends the elements.
        """
        if _PLAIN.fullmatch(name):
            return True
        if self.item is not None:
            return _UNMARKED.fullmatch(name) is not None
        if self.followers or not any(map(str.isalpha, self.before)):
            return not self.followers and _UNMARKED.fullmatch(name) is not None
        betweens = {place.between for place in self.places.values()}
        named = [name + between for between in betweens]
        ends = (text.find(mark) for text in named for mark in betweens)
        return all(end < 0 or end >= len(name) for end in ends)

    @property
    def text_end(self) -> Quotes:
        """The quotes of a text: nothing before it, and behind it the mark at which it ends."""
        return self.text_end_of("")

    def text_end_of(self, name: str) -> Quotes:
        """Return the quotes of the text of one property."""
        if self.item is not None:
            return Quotes("", self.mark, "none")
        without = "" if self.wrap is None else self.wrap.characters
        end = mark_in(self.places["string"].end(name))
        return Quotes("", end, "none", self.followers, without=without)

    def can_carry(self, value: Any) -> bool:
        """Whether a nested value can be read back: it has no `null`, and no text with a mark."""
        if isinstance(value, dict):
            return all(self.can_name(name) and self.can_carry(value[name]) for name in value)
        if isinstance(value, list):
            return all(map(self.can_carry, value))
        return value is not None and (not isinstance(value, str) or self.is_writable(value))

    @property
    def mark(self) -> str:
        """With which nested elements begin and end: no text has it."""
        end = self.places["string"].after.partition(PROPERTY)[0]
        pairs = zip(self.before, end, strict=False)
        return "".join(one for one, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))

    @property
    def wrapped(self) -> Quotes | None:
        """The quotes of a text with a wrap; `None` if there is none."""
        wrap = self.wrap
        if wrap is None:
            return None
        return Quotes(wrap.opening, wrap.closing, "none", having=wrap.characters)


def mark_in(text: str) -> str:
    """Return the beginning of `text` that marks an end: up to its first closing bracket."""
    at = min((text.find(one) for one in ">])}" if one in text), default=-1)
    return text[: at + 1] if at >= 0 else text


def kinds_of(schema: Any, steps: Steps) -> Callable[[str], frozenset[str]]:
    """Return a function that tells which types of values a property of an object may have.

    One that may be a whole number, but no other, has the type `integer`. What takes too many steps
    to tell may have any type.
    """
    document = Document(schema, steps)
    alternatives = Alternatives(document)
    known: dict[str, frozenset[str]] = {}

    def kinds(name: str) -> frozenset[str]:
        if name not in known:
            try:
                known[name] = frozenset(_kinds(document, alternatives, name))
            except TooComplexError:
                known[name] = frozenset(DISJOINT_TYPES)
        return known[name]

    return kinds


def _kinds(document: Document, alternatives: Alternatives, name: str) -> set[str]:
    found: set[str] = set()
    for of_object in alternatives.of(document.of(document.root)):
        for view in alternatives.of(document.property_view(of_object, name)):
            if view.values is not None:
                found.update(map(type_of, view.values.values()))
            else:
                found.update(view.types or DISJOINT_TYPES)
    return found or set(DISJOINT_TYPES)
