"""Learns a notation: the same conversation is rendered with other calls, and compared."""

import re
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

import msgspec

from antiphon.engines.token.notation.element_learning import (
    JSONS,
    ElementLearner,
    with_followers,
)
from antiphon.engines.token.notation.lab import (
    FIRST,
    IDENTIFIERS,
    LONG_IDENTIFIER,
    MARK,
    NAME,
    SAID,
    TEXT,
    WAYS,
    Frame,
    Lab,
    Render,
    UnknownNotationError,
    common_end,
    split_at_name,
)
from antiphon.engines.token.notation.notation import (
    COUNT,
    IDENTIFIER,
    NAME_AGAIN,
    NEXT_IDENTIFIER,
    Notation,
    Variant,
)
from antiphon.schemas.spelling import Spelling

Thoughts: TypeAlias = tuple[str, str] | None
"""The opening and the closing of thoughts."""

CALLS: Final = len(IDENTIFIERS)


def learn(
    render: Render, end: str, flaw_of: Callable[[Notation], str | None], thoughts: Thoughts = None
) -> Notation:
    """Return the notation in which a template writes calls. Raises `UnknownNotationError`.

    `end` is the text of the token that ends an answer, which no call can contain. A notation with
    a flaw is not used. `thoughts` are the marks around thoughts, which are no part of a call where
    a template writes them with nothing in between.
    """
    frame = Frame.of(render)
    flaws: list[str] = []
    unknown: list[str] = []
    for way in WAYS:
        lab = Lab(render, frame, way)
        if not lab.writes_calls():
            continue
        try:
            notation = _Learner(lab, end, thoughts).notation()
        except UnknownNotationError as error:
            unknown.append(str(error))
            continue
        flaw = flaw_of(notation)
        if flaw is None:
            return notation
        flaws.append(flaw)
    reasons = [*flaws, *unknown, "it does not write calls"]
    raise UnknownNotationError(reasons[0])


class _Learner:
    """Finds the parts of a notation, one after the other."""

    def __init__(self, lab: Lab, end: str, thoughts: Thoughts) -> None:
        self._lab = lab
        self._end = end
        marks = r"\s*".join(map(re.escape, thoughts or ()))
        self._empty_thoughts = re.compile(rf"\s*{marks}")

    def notation(self) -> Notation:
        one = self._lab.calls({FIRST: TEXT})
        before, after = split_at_name(one)
        before = self._empty_thoughts.sub("", before, count=1) if self._begins(before) else before
        begun = "" if before else self._begun()
        opening, lead = (begun, "") if begun else self._opening(before)
        found = self._as_object(opening, lead, after)
        if found is None:
            arguments = ElementLearner(self._lab).learn(after)
            found = Notation(
                opening=opening,
                lead=lead,
                middle=arguments.middle,
                closing=arguments.closing,
                elements=arguments.elements,
            )
        if MARK.match(opening) is None:
            opened = self._lab.frame.text_opening
            variant = _variant(opened, found.opening + found.lead, found.middle)
            found = msgspec.structs.replace(
                found, text_opening=opened, variant=variant, begun=bool(begun)
            )
        found = self._numbered(self._with_more_calls(found))
        frame, way = self._lab.frame, self._lab.way
        closes = opening == frame.mark
        ends = [end for end in (self._end, "" if closes else frame.mark) if end]
        if any(end in text for end in ends for text in found.texts):
            raise UnknownNotationError("a call goes on behind the mark that ends a turn")
        if found.middle.startswith(NAME_AGAIN):
            raise UnknownNotationError("it writes a name elsewhere")
        found = msgspec.structs.replace(
            found,
            describes=frame.describes,
            tools_move=frame.tools_move,
            closes_text=closes,
            arguments_as_text=way.as_text,
            empty=way.empty,
        )
        return self._limited(with_followers(found))

    def _limited(self, found: Notation) -> Notation:
        """Find out whether a template takes identifiers of one length only.

        Where the model writes them itself, they have to fit in the ids of calls.
        """
        texts = (*found.texts, found.gap)
        if self._lab.takes(LONG_IDENTIFIER) and not any(IDENTIFIER in text for text in texts):
            return found
        return msgspec.structs.replace(found, identifier_length=len(IDENTIFIERS[0]))

    def _begins(self, before: str) -> bool:
        """Whether empty thoughts stand before calls, and not only space."""
        found = self._empty_thoughts.match(before)
        return found is not None and bool(found[0].strip())

    def _begun(self) -> str:
        """Return what stands between a text and a call, if the prompt ends with it."""
        beside = self._lab.rendered({FIRST: TEXT}, text=SAID) or ""
        between = beside[beside.find(SAID) + len(SAID) :].partition(NAME)[0]
        frame = self._lab.frame
        fits = SAID in beside and between.strip() and frame.prompt.endswith(between)
        return between if fits and frame.text_opening else ""

    def _opening(self, before: str) -> tuple[str, str]:
        """Return the mark at which calls begin in text, and what follows it up to the name."""
        if before and self._lab.frame.text_opening and MARK.match(before.lstrip()) is None:
            return before, ""
        beside = self._lab.rendered({FIRST: TEXT}, text=SAID) or ""
        start = beside.find(SAID)
        name = beside.find(NAME, max(start, 0))
        begin = before.lstrip()
        if start >= 0 and name >= 0:
            begin = common_end(begin, beside[start + len(SAID) : name]).lstrip()
        found = MARK.match(begin)
        opening = begin if found is None else found[0]
        if opening and found is None and opening[0] in "{[":
            return "", opening
        if not opening:
            raise UnknownNotationError("nothing marks the beginning of a call")
        # What follows tells whether a turn ends there; the model's own end cannot be followed.
        is_told = begin[len(opening) :].strip() and opening != self._end
        if opening == self._lab.frame.mark and not is_told:
            raise UnknownNotationError("a call begins with the mark that ends a turn")
        return opening, begin[len(opening) :]

    def _as_object(self, opening: str, lead: str, after: str) -> Notation | None:
        """Return the notation if the arguments are one object."""
        for spelling in (*JSONS, *_indented(after)):
            middle, found, closing = after.partition(spelling.write({FIRST: TEXT}))
            if found:
                return Notation(
                    opening=opening,
                    lead=lead,
                    middle=middle,
                    closing=closing,
                    spelling=spelling,
                )
        return None

    def _with_more_calls(self, found: Notation) -> Notation:
        """Find what stands between two calls."""
        try:
            text = self._lab.calls(*[{FIRST: TEXT}] * CALLS)
        except UnknownNotationError:
            return msgspec.structs.replace(found, parallel=False)
        arguments = found.arguments({FIRST: TEXT})
        parts = text.split(arguments)
        behind = found.closing.count(NAME_AGAIN)
        names = 1 + found.middle.count(NAME_AGAIN) + behind
        if len(parts) != 1 + CALLS or text.count(NAME) != CALLS * names:
            if text.count(NAME) == names:
                return msgspec.structs.replace(found, parallel=False)
            raise UnknownNotationError("several calls are written in another way")
        between = [split_at_name(part, behind)[0] for part in parts[1:3]]
        middles = [split_at_name(parts[0])[1]]
        middles += [split_at_name(part, behind)[1] for part in parts[1:3]]
        separator = _with_count(*map(_with_slots, between, (0, 1)))
        middle = _with_count(*map(_with_slots, middles[1:], (1, 2)))
        found = msgspec.structs.replace(found, middle=middle)
        if COUNT in middle:
            found = msgspec.structs.replace(found, first_number=_first_number(middle, middles[0]))
        whole = _with_slots(found.opening + found.lead, 0)
        if COUNT in separator:
            counted = re.sub(r"\d+", COUNT, whole)
            whole, number = counted, _first_number(counted, whole)
            found = msgspec.structs.replace(found, first_number=number)
        found = msgspec.structs.replace(found, lead=whole[len(found.opening) :])
        if separator.startswith(found.closing) and separator.replace(
            NEXT_IDENTIFIER, IDENTIFIER
        ).endswith(whole):
            gap = separator[len(found.closing) : len(separator) - len(whole)]
            if not gap.strip():
                return msgspec.structs.replace(found, gap=gap)
        return msgspec.structs.replace(found, separator=separator)

    def _numbered(self, found: Notation) -> Notation:
        """Put slots where identifiers stand."""
        fields = {
            field: getattr(found, field) for field in ("opening", "lead", "middle", "closing")
        }
        slotted = {field: _with_slots(text, 0) for field, text in fields.items()}
        return msgspec.structs.replace(found, **slotted)


def _indented(after: str) -> Iterator[Spelling]:
    """Yield the spelling of an object whose properties have lines of their own."""
    found = re.search(rf'\{{\n( +)"{FIRST}": "{TEXT}"\n( *)\}}', after)
    if found is not None:
        inner, outer = map(len, found.groups())
        if inner > outer and outer % (inner - outer) == 0:
            yield Spelling(indent=inner - outer, level=outer // (inner - outer))


def _variant(text_opening: str, opening: str, middle: str) -> Variant | None:
    """Return the order in which the kind of a message stands before the name of the tool.

    A template writes the name first, but a model that begins texts by their kind begins calls so,
    too: where it may write nothing but the name, it would seldom call.
    """
    mark = MARK.match(text_opening)
    found = None if mark is None else re.match(rf"{re.escape(mark[0])}\w+", middle)
    if found is None:
        return None
    return Variant(found[0] + opening, middle[found.end() :])


def _first_number(slotted: str, text: str) -> int:
    """Return the number of the first call."""
    pattern = re.escape(slotted).replace(re.escape(COUNT), r"(\d+)", 1).replace(COUNT, r"\d+")
    found = re.fullmatch(pattern, text)
    return int(found[1]) if found else 0


def _with_slots(text: str, number: int) -> str:
    """Return a text of one call with slots where its identifier and that of the next one stand."""
    slots = {IDENTIFIERS[number]: IDENTIFIER}
    if number + 1 < len(IDENTIFIERS):
        slots[IDENTIFIERS[number + 1]] = NEXT_IDENTIFIER
    for identifier, slot in slots.items():
        text = text.replace(identifier, slot)
    return text


def _with_count(one: str, other: str) -> str:
    """Return a text with a slot where the same text of the next call has another number."""
    if one == other:
        return one
    slotted = [re.sub(r"\d+", COUNT, text) for text in (one, other)]
    if slotted[0] != slotted[1]:
        raise UnknownNotationError("calls are written in different ways")
    return slotted[0]
