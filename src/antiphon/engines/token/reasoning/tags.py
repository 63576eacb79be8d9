"""Finds the tags of reasoning: around a thought in a conversation, or at the end of a prompt."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from antiphon.engines.token.notation.lab import (
    ASKED,
    MARK,
    NAME,
    SAID,
    Message,
    common_beginning,
)
from antiphon.engines.token.prompt.reasoning_format import FIELDS, ReasoningTags
from antiphon.engines.token.reasoning.lab import MORE, THOUGHT, Lab, Place, Variables

PLACES: Final = (
    *(Place(field=field) for field in FIELDS),
    Place(as_block=True),
    Place(as_block=True, as_parts=True),
)
_SAID: Final[Message] = {"role": "assistant", "content": SAID}
_LAST_MARK: Final = re.compile(rf"({MARK.pattern})\s*\Z")
_WORDS: Final = re.compile(rf"(?:{MARK.pattern})(\w+(?:{MARK.pattern}))\s*\Z")
"""A tag of several marks, whose words its closing repeats: `<|open|>think<|sep|>`."""
_ENDING_PAIR: Final = re.compile(rf"({MARK.pattern})(\s*)({MARK.pattern})(\s*)\Z")
_PAIR: Final = re.compile(r"<([^<>\s/]+)>\s*</\1>")
_NAMED_PAIR: Final = re.compile(r"<(think|thinking|thoughts?|reasoning)>[^<>]{0,80}</\1>")
_COMMAND: Final = re.compile(r"/[a-z_]+")
"""A word that switches reasoning off in a system prompt: `/no_think`."""
_MOST_COMMANDS: Final = 4
_LONGEST: Final = 60
"""The most characters of a tag."""


class FoundTags(msgspec.Struct, frozen=True):
    """Tags, the place of earlier reasoning, and what begins every answer before them."""

    tags: ReasoningTags
    place: Place
    header: str


def around_a_thought(lab: Lab, settings: Sequence[Variables]) -> FoundTags | None:
    """Return the tags that a template writes around the reasoning of an answer or of a call."""
    for variables in settings:
        for place in PLACES:
            message = place.message(THOUGHT, SAID)
            found = _cut(lab, lab.tail([message], variables), place, variables)
            if found is None:
                called = lab.loop(place.message(THOUGHT, ""), variables)
                found = _cut(lab, called, place, variables)
            if found is not None:
                return found
    return None


def _cut(lab: Lab, text: str | None, place: Place, variables: Variables) -> FoundTags | None:
    """Take apart what stands around a thought, up to the text or the name of the call behind it."""
    if text is None or text.count(THOUGHT) != 1:
        return None
    before, _, behind = text.partition(THOUGHT)
    stop = SAID if SAID in behind else NAME
    if stop not in behind:
        return None
    between = behind.partition(stop)[0]
    header = common_beginning(lab.header(variables), text)
    if len(header) > len(before):
        header = before
    opening = before[len(header) :]
    if opening[-1:] in ("'", '"'):  # the content as it is, with its brackets and quotes
        return None
    closing = _closing(between, opening or header)
    if not closing:
        return None
    if not opening.strip():
        header, opening = _opening_of_prompt(lab, header, closing, variables)
    if closing in opening:  # whoever reads it could not tell where a thought begins
        return None
    said = lab.tail([_SAID], variables) or ""
    gap = between.partition(closing)[2]
    if stop == NAME:
        none = _none(said, header) or ""
        gap = none.rpartition(closing)[2]
    core = opening.strip()
    return FoundTags(
        ReasoningTags(
            core,
            closing,
            lead=opening[: opening.index(core)],
            margin=opening[opening.index(core) + len(core) :],
            tail=between.partition(closing)[0],
            gap=gap,
            none=_none(said, header),
        ),
        # The same can be said between tags where the content is one object of parts.
        Place() if place.as_parts else place,
        header,
    )


def _none(said: str, header: str) -> str | None:
    """Return what a template writes before a text without reasoning, if it writes anything."""
    before, found, _ = said.partition(SAID)
    more = before.removeprefix(header)
    return more if found and more != before and more.strip() else None


def _closing(between: str, opening: str) -> str:
    """Return the closing tag at the beginning of what stands behind a thought."""
    mark = MARK.search(between)
    if mark is None or between[: mark.start()].strip():
        return between.strip() if len(between) <= _LONGEST else ""
    words = _WORDS.search(opening)
    rest = between[mark.end() :]
    return mark[0] + (words[1] if words and rest.startswith(words[1]) else "")


def _opening_of_prompt(
    lab: Lab, header: str, closing: str, variables: Variables
) -> tuple[str, str]:
    """Return the header and the opening tag, where a thought has none or each answer has it."""
    prompt = lab.prompt(variables) or ""
    more = prompt.removeprefix(header)
    if more != prompt and more.strip() and MARK.search(more) is None:
        return header, more
    for last in (_WORDS.search(header), _LAST_MARK.search(header)):
        if last is not None and (_closes(last[1], closing) or closing.endswith(last[1])):
            return header[: last.start()], header[last.start() :]
    return header, closing.replace("/", "", 1)


def _closes(opening: str, closing: str) -> bool:
    return closing.replace("/", "", 1) == opening != closing


def at_the_end_of_prompts(
    lab: Lab, settings: Sequence[Variables], constants: Sequence[str]
) -> FoundTags | None:
    """Return the tags that a prompt ends with, and that no earlier answer begins with.

    `constants` are texts of the template, one of which it may look for to take reasoning back. A
    prompt may also end with an empty thought for the sake of a word in its system prompt.
    """
    closed: FoundTags | None = None
    plain = (lab.text([ASKED]) or "").partition(ASKED["content"])[0]
    words = [one for one in constants if _COMMAND.fullmatch(one)][:_MOST_COMMANDS]
    for variables, word in (*((one, "") for one in settings), *(({}, word) for word in words)):
        prompt = lab.prompt(variables, system=word)
        said = lab.tail([_SAID, MORE], variables)
        if prompt is None or said is None:
            continue
        header = common_beginning(prompt, said.partition(SAID)[0])
        more = prompt[len(header) :]
        pair = _ENDING_PAIR.search(prompt)
        if pair is not None and (
            _closes(pair[1], pair[3]) or (pair.start() >= len(header) and plain.count(pair[1]) == 0)
        ):
            closed = closed or _closed(prompt, header, pair)
            continue
        opened = _opened(lab, header, more, constants, variables) if more.strip() else None
        if opened is not None:
            return opened
    return closed


def _closed(prompt: str, header: str, pair: re.Match[str]) -> FoundTags:
    """Return the tags of a prompt that ends with an empty thought."""
    opening, space, closing, gap = pair.groups()
    header = header[: pair.start()]
    lead = prompt[len(header) : pair.start()]
    half = len(space) // 2
    tags = ReasoningTags(
        opening,
        closing,
        lead="" if lead.strip() else lead,
        margin=space[:half],
        tail=space[half:],
        gap=gap,
    )
    return FoundTags(tags, Place(), header)


def _opened(
    lab: Lab, header: str, more: str, constants: Sequence[str], variables: Variables
) -> FoundTags | None:
    """Return the tags of a prompt that opens reasoning."""
    opening = more.strip()
    if len(opening) > _LONGEST:
        return None
    closing = next(_closings(lab, opening, constants, variables), None)
    if closing is None:
        return None
    start = more.index(opening)
    margin = more[start + len(opening) :]
    return FoundTags(
        ReasoningTags(opening, closing, lead=more[:start], margin=margin, tail="\n"),
        Place(),
        header,
    )


def _closings(
    lab: Lab, opening: str, constants: Sequence[str], variables: Variables
) -> Iterator[str]:
    """Yield closing tags: of the texts behind which a template takes an answer, then by form."""
    expected = f"</{opening[1:]}" if MARK.fullmatch(opening) else ""
    for constant in sorted(constants, key=lambda one: one != expected):
        said: Message = {"role": "assistant", "content": f"{THOUGHT}{constant}{SAID}"}
        text = lab.tail([said, MORE], variables)
        if text is not None and THOUGHT not in text and SAID in text:
            yield constant.strip()
    if re.fullmatch(r"<\w+>", opening):
        yield expected


def in_instructions(lab: Lab, settings: Sequence[Variables]) -> FoundTags | None:
    """Return the tags that a template describes in words, always or when reasoning is switched on.

    Those that it always describes have to be named as thoughts: it may describe calls as well.
    """
    plain = lab.text([ASKED]) or ""
    switched = (
        pair
        for variables in settings
        for pair in _PAIR.finditer(lab.text([ASKED], variables) or "")
        if pair[0] not in plain
    )
    found = next(switched, None) or _NAMED_PAIR.search(plain)
    if found is None:
        return None
    return FoundTags(ReasoningTags(f"<{found[1]}>", f"</{found[1]}>"), Place(), lab.header({}))
