"""Learns nested elements: objects and arrays whose values are elements in turn."""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec.structs import replace

from antiphon.engines.token.notation.lab import (
    FIRST,
    SAMPLES,
    TEXT,
    Lab,
    common_end,
    split_at_name,
)
from antiphon.schemas.elements import Elements, Place
from antiphon.schemas.spelling import JSON, PYTHON
from antiphon.schemas.values import DISJOINT_TYPES


class Arguments(msgspec.Struct, frozen=True):
    """What stands between a name and the arguments, these, and what stands behind them."""

    middle: str
    elements: Elements
    closing: str

    @property
    def turned(self) -> "Arguments":
        """The same with the mark before each element that seems to stand behind the one before."""
        place = self.elements.places["string"]
        mark = common_end(self.middle, place.after)
        if not mark:
            return self
        elements = replace(
            self.elements,
            before=mark + self.elements.before,
            places={"string": Place(place.between, place.after.removesuffix(mark))},
        )
        return Arguments(self.middle.removesuffix(mark), elements, mark + self.closing)


def nested(lab: Lab, found: Arguments) -> Arguments | None:
    """Return arguments whose objects and arrays are elements in turn; `None` if these are not.

    `found` is what is known of those that are texts.
    """

    def written(value: Any) -> str:
        return split_at_name(lab.calls({FIRST: value}))[1]

    if found.elements.quoted is not None or found.elements.separator:
        return None
    turned = found.turned
    middle, closing = turned.middle, turned.closing
    for elements in _candidates(turned, written([TEXT, TEXT])):
        # A mark without a word would be found in many a text.
        is_told = any(map(str.isalpha, elements.mark))
        nests = is_told and all(
            written(value) == middle + elements.write({FIRST: value}) + closing
            for value in SAMPLES.values()
        )
        if nests:
            return replace(turned, elements=elements)
    return None


def _candidates(found: Arguments, listed: str) -> Iterator[Elements]:
    """Yield what the elements may be, by how a list of two equal texts is written."""
    shell = found.elements
    place = shell.places["string"]
    before = found.middle + shell.before + FIRST + place.between
    items = listed.removeprefix(before).removesuffix(place.end(FIRST) + found.closing)
    one = items[: len(items) // 2]
    if one and items == one * 2:
        name = one.removeprefix(shell.before).partition(place.between)[0]
        places = dict.fromkeys(DISJOINT_TYPES, place)
        for words in (JSON, PYTHON):
            yield replace(shell, places=places, spellings={"boolean": words}, item=name)
