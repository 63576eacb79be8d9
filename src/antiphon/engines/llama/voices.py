"""Turns as templates know them: roles, texts, and where a template has them, calls and results."""

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from antiphon.core.generation import Turn
from antiphon.engines.llama.preface import BLOCK_SEPARATOR, result_text, spoken
from antiphon.wire.content import TextParam, ToolResultParam, ToolUseParam


class Voice(msgspec.Struct, frozen=True):
    """A turn, or a part of one: a role, and what it says."""

    role: str
    texts: tuple[str, ...]
    calls: tuple[ToolUseParam, ...] = ()


def voices(turns: Sequence[Turn], preface: Sequence[str], *, native: bool) -> list[Voice]:
    """Have turns spoken, with `preface` before the caller's system prompt.

    `native` keeps calls and results apart, for the template to write; else they are text.
    """
    if native:
        said = [voice for turn in turns for voice in _parts(turn)]
    else:
        said = [Voice(turn.role, (spoken(turn.content),)) for turn in turns]
    if not preface:
        return said
    if said and said[0].role == "system":
        return [Voice("system", (*preface, *said[0].texts)), *said[1:]]
    return [Voice("system", tuple(preface)), *said]


def _parts(turn: Turn) -> Iterator[Voice]:
    if not any(isinstance(block, ToolUseParam | ToolResultParam) for block in turn.content):
        yield Voice(turn.role, (spoken(turn.content),))
        return
    texts: list[str] = []
    calls: list[ToolUseParam] = []
    for block in turn.content:
        if isinstance(block, ToolUseParam):
            calls.append(block)
        # The order is kept: what stands behind a call or a result is another message.
        elif calls or (texts and isinstance(block, ToolResultParam)):
            yield Voice(turn.role, (BLOCK_SEPARATOR.join(texts),), tuple(calls))
            texts, calls = [], []
        if isinstance(block, ToolResultParam):
            yield Voice("tool", (result_text(block),))
        elif isinstance(block, TextParam):
            texts.append(block.text)
    if texts or calls:
        yield Voice(turn.role, (BLOCK_SEPARATOR.join(texts),), tuple(calls))


def expressions(said: Sequence[Voice]) -> Iterator[list[Voice]]:
    """Say the same in the same order in other ways, the truest first, none twice.

    Some templates take one call in a message, and nothing beside it.
    """
    seen: list[list[Voice]] = []
    alone = [part for voice in said for part in _alone(voice)]
    for voices_ in (said, alone):
        for system_until in (len(voices_), 1, 0):
            way = _system_until(voices_, system_until)
            if way not in seen:
                seen.append(way)
                yield way


def _system_until(said: Sequence[Voice], place: int) -> list[Voice]:
    # As they stand, turns are left apart; turns whose role was changed join their neighbours.
    if place == len(said):
        return list(said)
    rest = (Voice("user", v.texts) if v.role == "system" else v for v in said[place:])
    return _joined([*said[:place], *rest])


def _alone(voice: Voice) -> Iterator[Voice]:
    if not voice.calls:
        yield voice
        return
    if any(voice.texts):
        yield Voice(voice.role, voice.texts)
    for call in voice.calls:
        yield Voice(voice.role, ("",), (call,))


def _joined(said: Iterable[Voice]) -> list[Voice]:
    joined: list[Voice] = []
    for voice in said:
        before = joined[-1] if joined else None
        alike = before is not None and before.role == voice.role != "tool"
        if before is not None and alike and not (before.calls or voice.calls):
            joined[-1] = Voice(voice.role, before.texts + voice.texts)
        else:
            joined.append(voice)
    return joined
