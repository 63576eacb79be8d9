"""How a model writes calls of tools, as data. Nothing here belongs to a model: all is learned.

An answer may hold a section of calls:

    opening lead NAME middle ARGUMENTS ( separator NAME middle ARGUMENTS )* closing

A notation without a `separator` has a section for each call; `gap` then stands between two. The
arguments are a JSON object, or elements. What differs from call to call is a slot in these texts.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from antiphon.schemas.elements import Elements
from antiphon.schemas.spelling import JSON, Spelling

COUNT: Final = "\x00"
"""A slot: the number of the call, in the answer or in the conversation."""

IDENTIFIER: Final = "\x01"
"""A slot: the identifier of the call."""

NEXT_IDENTIFIER: Final = "\x02"
"""A slot in what stands between two calls: the identifier of the second one."""

NAME_AGAIN: Final = "\x03"
"""A slot: the name of the call, behind the place where it is read."""

_SLOTS: Final = re.compile(f"([{COUNT}{IDENTIFIER}{NEXT_IDENTIFIER}])")
_MARKS: Final = (
    re.compile(r"<[^<>\s]*>"),
    re.compile(r"<[^<>\s]*>\s+"),
    re.compile(r"<[^<>\s]*(?=[ =])"),
    re.compile(r"\[[A-Z_/]+\]"),
    re.compile(r"[|｜][^|｜\s]+[|｜]"),  # noqa: RUF001 - marks have a wide bar
)
_NAME: Final = re.compile(r"[a-zA-Z0-9_-]+")


class Call(msgspec.Struct, frozen=True):
    """A call as it is written: `number` counts from 0."""

    name: str
    arguments: Mapping[str, Any]
    identifier: str = ""
    number: int = 0


class Variant(msgspec.Struct, frozen=True):
    """Another order in which a model may write what stands before and behind the name."""

    opening: str
    middle: str


class Notation(msgspec.Struct, frozen=True, kw_only=True):
    """How calls are written.

    `opening` is the mark at which calls begin in text; the first call goes on with `lead`. Without
    an `opening`, an answer that begins with `lead` is calls.
    `spelling` is that of the arguments that are an object, if there are no `elements`.
    `identifier_length` is that of the identifiers that the template takes, 0 for any.
    `arguments_as_text`: the template takes the arguments as a JSON text. `empty` is the content of
    an answer that consists of calls, as the template takes it. With a `text_opening` an
    answer begins with it and is text, or is calls: text and calls are messages of their own. Such
    calls may have a `variant`, which is read, and never written. Unless it `describes` tools, the
    template writes their calls only; `tools_move`: it describes them before the last question.
    `alone`: an answer has text or calls. `begun`: the prompt ends with `opening`, so that an answer
    of calls begins with a name, and calls may follow a text. `closes_text`: `opening` ends a text,
    and the answer, unless `lead` follows. The first call has the number `first_number`.
    """

    opening: str
    lead: str
    middle: str
    closing: str
    separator: str | None = None
    gap: str = ""
    parallel: bool = True
    elements: Elements | None = None
    spelling: Spelling = JSON
    identifier_length: int = 0
    arguments_as_text: bool = False
    empty: str | None = ""
    text_opening: str = ""
    variant: Variant | None = None
    describes: bool = True
    tools_move: bool = False
    alone: bool = False
    begun: bool = False
    closes_text: bool = False
    first_number: int = 0

    def write(self, *calls: Call) -> str:
        """Return the text of calls, as the template writes them."""
        written: list[str] = []
        for index, call in enumerate(calls):
            following = call if index == len(calls) - 1 else calls[index + 1]
            last = index == len(calls) - 1
            first = index == 0 or self.separator is None
            before = self.opening + self.lead if first else ""
            after = self.closing + ("" if last else self.gap)
            if self.separator is not None and not last:
                after = self.separator
            parts = (self._filled(one, call) for one in (before, call.name, self.middle))
            after = self._filled(after, call, following)
            written += [*parts, self.arguments(call.arguments), after]
        return "".join(written)

    def _filled(self, text: str, call: Call, following: Call | None = None) -> str:
        """Return a text with what stands in its slots for one call, or between two."""
        number = self.first_number + (following or call).number
        counted = named_again(text, call.name).replace(COUNT, str(number))
        named = counted.replace(IDENTIFIER, call.identifier)
        return named.replace(NEXT_IDENTIFIER, (following or call).identifier)

    def arguments(self, given: Mapping[str, Any]) -> str:
        if self.elements is not None:
            return self.elements.write(given)
        return self.spelling.write(dict(given))

    def is_text(self, name: str) -> bool:
        """Whether a call of a tool with this name would be read as a text."""
        before = "" if self.begun else self.opening
        text = f"{before}{self.lead}{name}{self.middle}"
        return bool(self.text_opening) and text.startswith(self.text_opening)

    @property
    def name_of_texts(self) -> str | None:
        """The name whose calls would be read as texts; `None` if there is no such name."""
        before = ("" if self.begun else self.opening) + self.lead
        found = _NAME.match(self.text_opening, len(before))
        return found[0] if found is not None and self.is_text(found[0]) else None

    @property
    def texts(self) -> tuple[str, ...]:
        """What stands around names and arguments."""
        return (self.opening, self.lead, self.middle, self.closing, self.separator or "")

    @property
    def marks(self) -> tuple[str, ...]:
        """The texts that may be control tokens of the model."""
        texts = [self.text_opening, self.opening + self.lead, *self.texts]
        if self.elements is not None:
            places = self.elements.places.values()
            texts += [self.elements.before, self.elements.separator]
            texts += [text for place in places for text in (place.between, place.after)]
            wrapped = self.elements.wrapped
            texts += [] if wrapped is None else [wrapped.opening, wrapped.closing]
            if self.elements.item is not None:
                # A token may stand before the bracket with which elements begin and end.
                mark = self.elements.mark
                texts += [mark, mark[: mark.rfind("<")]]
            for one in self.elements.spellings.values():
                texts += [one.quotes.opening, one.quotes.closing]
        found = [one for text in texts for marks in _MARKS for one in (text, *marks.findall(text))]
        return tuple(dict.fromkeys(filter(None, found)))


def pieces(text: str) -> Iterator[str]:
    """Yield the literal texts and the slots of a text, in order."""
    yield from filter(None, _SLOTS.split(text))


def named_again(text: str, name: str) -> str:
    """Return a text with the name of its call in the slots for it."""
    return text.replace(NAME_AGAIN, name)


class Match(msgspec.Struct, frozen=True):
    """Where a text with slots ends; `None` if it is not there, or not yet if `open`.

    The identifiers that stand in it are that of the call and that of the next one.
    """

    end: int | None
    open: bool = False
    identifier: str = ""
    following: str = ""


def match(text: str, at: int, wanted: str) -> Match:
    """Find `wanted`, whose slots match any number or identifier, at one place of a text."""
    found_in: dict[str, str] = {}
    for piece in pieces(wanted):
        if _SLOTS.match(piece):
            found = _NAME.match(text, at)
            if found is None:
                return Match(None, open=at == len(text))
            at = found.end()
            found_in[piece] = found[0]
        elif text.startswith(piece, at):
            at += len(piece)
        else:
            return Match(None, open=piece.startswith(text[at:]))
    own, following = found_in.get(IDENTIFIER, ""), found_in.get(NEXT_IDENTIFIER, "")
    return Match(at, identifier=own, following=following)
