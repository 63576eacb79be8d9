"""Learns elements: arguments that stand each with its name and its value between marks."""

import re
import string
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from antiphon.engines.token.notation.lab import (
    FIRST,
    SAMPLES,
    SECOND,
    TEXT,
    Lab,
    UnknownNotationError,
    common_beginning,
    split,
    split_at_name,
)
from antiphon.engines.token.notation.nested_learning import Arguments, nested
from antiphon.engines.token.notation.notation import NAME_AGAIN, Notation
from antiphon.schemas.elements import PROPERTY, Elements, Place, Wrap
from antiphon.schemas.spelling import JSON, PYTHON, Quotes, Spelling

CHARACTERS: Final = "\n\t" + string.punctuation
"""Characters that a template may write in another way than the rest of a text."""

JSONS: Final = (JSON, Spelling(comma=",", colon=":"))
WORDS: Final = (JSON, PYTHON, Spelling(null="None"), Spelling(null=""))


class ElementLearner:
    """Finds out how the arguments of one call are written as elements."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    def learn(self, after: str) -> Arguments:
        """Return the elements of a call with one argument, which stands behind a name.

        Raises `UnknownNotationError` if the argument is no element.
        """
        none = split_at_name(self._lab.calls({}))[1]
        two = split_at_name(self._lab.calls({FIRST: TEXT, SECOND: TEXT}))[1]
        to_name, _, rest = after.partition(FIRST)
        between, to_end = split(rest, TEXT)
        if FIRST in between:
            raise UnknownNotationError("it writes a value elsewhere")
        middle = common_beginning(to_name, none)
        closing = none[len(middle) :]
        if not to_end.endswith(closing):
            raise UnknownNotationError("arguments are no elements")
        end = to_end[: len(to_end) - len(closing)]
        sorts = two.find(SECOND) < two.find(FIRST)
        former, later = (SECOND, FIRST) if sorts else (FIRST, SECOND)
        first = f"{to_name}{former}{between}{TEXT}{end.replace(FIRST, former)}"
        before = to_name[len(middle) :]
        second = f"{before}{later}{between}{TEXT}{to_end.replace(FIRST, later)}"
        if not (two.startswith(first) and two.endswith(second)):
            raise UnknownNotationError("arguments are no elements")
        separator = two[len(first) : len(two) - len(second)]
        shell = Elements(
            before=before,
            places={"string": Place(between, end.replace(FIRST, PROPERTY))},
            separator=separator,
            sorts=sorts,
        )
        found = nested(self._lab, Arguments(middle, shell, closing))
        if found is not None:
            return found
        return Arguments(middle, self._with_places(shell, middle, closing), closing)

    def _with_places(self, shell: Elements, middle: str, closing: str) -> Elements:
        """Find what stands around values of each type, and how they are spelled."""
        quoted = self._quoted(shell, middle, closing)
        if quoted is not None:
            shell = quoted
        around = shell.places["string"]
        quote = around.after if around.between.endswith(around.after) else '"'
        raw = Spelling(quotes=Quotes(quote, quote, "none"), comma=",", colon=":")
        places, spellings = dict(shell.places), dict(shell.spellings)
        for kind, value in SAMPLES.items():
            text = split_at_name(self._lab.calls({FIRST: value}))[1]
            inner = text.removeprefix(middle + shell.before + FIRST).removesuffix(closing)
            inner = inner.replace(FIRST, PROPERTY)
            places[kind], spellings[kind] = _placed(kind, value, inner, raw, around.after)
        wrap = None if quoted else self._wrap(shell, middle, closing)
        return msgspec.structs.replace(shell, places=places, spellings=spellings, wrap=wrap)

    def _quoted(self, shell: Elements, middle: str, closing: str) -> Elements | None:
        """Return elements whose texts are spelled, if quotes in a text are escaped."""
        place = shell.places["string"]
        text = f"{TEXT}'\"\\\n{TEXT}"
        written = split_at_name(self._lab.calls({FIRST: text}))[1]
        for spelling in (JSON, PYTHON):
            quote = spelling.quotes.opening
            if place.between.endswith(quote) and place.after.startswith(quote):
                inner = Place(place.between[: -len(quote)], place.after[len(quote) :])
                around = f"{middle}{shell.before}{FIRST}{inner.between}", inner.after + closing
                if written == spelling.write(text).join(around):
                    return msgspec.structs.replace(
                        shell, places={"string": inner}, spellings={"string": spelling}
                    )
        return None

    def _wrap(self, shell: Elements, middle: str, closing: str) -> Wrap | None:
        """Find what stands around a text because of a character in it."""
        place = shell.places["string"]
        before, after = middle + shell.before + FIRST + place.between, place.end(FIRST) + closing
        around: dict[tuple[str, str], str] = {}
        for character in self._telling(before, after):
            text = f"{TEXT}{character}{TEXT}"
            written = split_at_name(self._lab.calls({FIRST: text}))[1]
            inner = written.removeprefix(before).removesuffix(after)
            if inner.count(text) != 1:
                return None
            if inner != text and len(inner) + len(before + after) == len(written):
                opening, closing = split(inner, text)
                around[opening, closing] = around.get((opening, closing), "") + character
        if len(around) != 1:
            return None
        ((opening, closing), characters) = around.popitem()
        return Wrap(opening, closing, characters)

    def _telling(self, before: str, after: str) -> str:
        """Return characters by which a template may decide; none if all together change nothing."""
        text = f"{TEXT}{CHARACTERS}{TEXT}"
        written = split_at_name(self._lab.calls({FIRST: text}))[1]
        return "" if written == f"{before}{text}{after}" else CHARACTERS


def with_followers(found: Notation) -> Notation:
    """Find what stands behind a text, if its mark is no bracket: texts have such marks within."""
    elements = found.elements
    if elements is None or elements.quoted is not None:
        return found
    if any(one in elements.text_end.closing for one in "<>[](){}"):
        return found
    between = min((place.between for place in elements.places.values()), key=len)
    name = "[A-Za-z0-9_.-]{1,64}"
    followers = [
        re.escape(elements.separator + elements.before) + name + re.escape(between),
        re.escape(found.closing).replace(NAME_AGAIN, name),
    ]
    if found.separator is not None:
        between = re.escape(found.separator) + name + re.escape(found.middle)
        followers.append(between.replace(NAME_AGAIN, name))
    return msgspec.structs.replace(
        found, elements=msgspec.structs.replace(elements, followers=tuple(followers))
    )


def _spellings(kind: str, raw: Spelling) -> Sequence[Spelling]:
    if kind in ("array", "object"):
        raws = [
            msgspec.structs.replace(raw, null=null, bare_keys=bare, sorts=sorts)
            for null in ("null", "None")
            for bare in (True, False)
            for sorts in (True, False)
        ]
        return [*JSONS, PYTHON, *raws]
    return WORDS


def _placed(kind: str, value: Any, inner: str, raw: Spelling, after: str) -> tuple[Place, Spelling]:
    """Return what stands around a value, and its spelling."""
    ends = (after, "") if inner.endswith(after) else ("",)
    for end in ends:
        for spelling in _spellings(kind, raw):
            text = spelling.write(value)
            if text and inner.endswith(text + end):
                return Place(inner[: len(inner) - len(text + end)], end), spelling
    raise UnknownNotationError(f"its calls do not show a value of the type {kind}")
