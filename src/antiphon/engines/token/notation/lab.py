"""Renders calls by a template, and cuts off what stands around them in every answer.

Names and values are words that no template has, so each can be found again in what is rendered.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from antiphon.engines.token.notation.notation import NAME_AGAIN

Message: TypeAlias = dict[str, Any]
Render: TypeAlias = Callable[[Sequence[Message]], str]
"""Renders messages with the tool `TOOL`. Raises `RefusedError`.

If the last message is not an answer, the beginning of one follows.
"""


class RefusedError(Exception):
    """A template does not take a conversation."""


class UnknownNotationError(Exception):
    """A template does not write calls, or in a way that is not known. The text says why."""


NAME: Final = "vexq"
FIRST: Final = "wuzzle"
SECOND: Final = "bramble"
TEXT: Final = "Plonk"
SAID: Final = "Said."
DESCRIPTION: Final = "Does it."
TOOL: Final = {
    "type": "function",
    "function": {
        "name": NAME,
        "description": DESCRIPTION,
        "parameters": {
            "type": "object",
            "properties": {
                name: {"type": "string", "description": "One."} for name in (FIRST, SECOND)
            },
            "required": [],
        },
    },
}
ASKED: Final[Message] = {"role": "user", "content": "Ask."}
SAMPLES: Final[Mapping[str, Any]] = {
    "number": 7301,
    "boolean": True,
    "null": None,
    "array": [7301, "glim", True, None],
    "object": {"zeb": "glim", "ape": [None, False]},
}
"""A value of each type but text, which no template has by itself."""

IDENTIFIERS: Final = ("callidx01", "callidx02", "callidx03")
LONG_IDENTIFIER: Final = "toolu_0123456789abcdefghijkl"
UNIT: Final = re.compile(r"<[^<>\n]*>|\[/?[A-Z_]+\]|.", re.DOTALL)
MARK: Final = re.compile(r"<[^<>\s]*>|\[[A-Z_/]+\]")


def call_of(given: Mapping[str, Any], number: int, *, as_text: bool) -> Message:
    """Return a call as templates take it."""
    arguments = json.dumps(given, ensure_ascii=False) if as_text else given
    function = {"name": NAME, "arguments": arguments}
    return {"type": "function", "id": IDENTIFIERS[number], "function": function}


class Way(msgspec.Struct, frozen=True):
    """How calls are given to a template: what some templates take, others refuse or write wrongly.

    `as_text`: arguments are a JSON text. `empty` is the content of an answer that consists of
    calls. `followed`: the results of the calls follow, where the last answer is written in another
    way than those before it.
    """

    as_text: bool = False
    empty: str | None = ""
    followed: bool = False


WAYS: Final = tuple(
    Way(as_text, empty, followed)
    for followed in (False, True)
    for empty in ("", None)
    for as_text in (False, True)
)
"""The ways, the plainest first."""


def _answer(text: str | None, *calls: Message) -> list[Message]:
    answer: Message = {"role": "assistant", "content": text}
    return [ASKED, answer | ({"tool_calls": list(calls)} if calls else {})]


def _result(identifier: str) -> Message:
    return {"role": "tool", "content": SAID, "tool_call_id": identifier, "name": NAME}


def _rendered(render: Render, messages: Sequence[Message]) -> str | None:
    try:
        return render(messages)
    except RefusedError:
        return None


class Frame(msgspec.Struct, frozen=True):
    """What stands around every answer.

    `prompt` ends where an answer begins, `plain` is the same with an answer of text. `begin` stands
    before its text, `end` behind it, and `mark` at the beginning of the end if a turn follows, with
    which `ending` ends. `asked` is what stands behind the question. `describes`: the template
    describes tools; `tools_move`: before the last question.
    """

    prompt: str
    plain: str
    end: str
    mark: str
    ending: str
    asked: str
    describes: bool
    tools_move: bool

    @property
    def text_opening(self) -> str:
        """What the model writes before a text, if it begins each answer with a mark of its kind."""
        if not self.plain.startswith(self.prompt):
            return ""
        before = self.plain[len(self.prompt) : self.plain.index(SAID)]
        return before if before.strip() else ""

    @classmethod
    def of(cls, render: Render) -> "Frame":
        plain = _rendered(render, _answer(SAID))
        if plain is None or SAID not in plain:
            raise UnknownNotationError("it does not write an answer")
        longer = _rendered(render, [*_answer(SAID), {"role": "user", "content": "More."}]) or plain
        end, more = (text[text.index(SAID) + len(SAID) :] for text in (plain, longer))
        mark = MARK.match(more.lstrip())
        ending = more[: more.index(mark[0]) + len(mark[0])] if mark else ""
        prompt = _rendered(render, [ASKED]) or plain
        described = longer.find(DESCRIPTION)
        moves = described > longer.index(ASKED["content"])
        asked = prompt[prompt.rfind(ASKED["content"]) + len(ASKED["content"]) :]
        found = mark[0] if mark else ""
        return cls(prompt, plain, end, found, ending, asked, described >= 0, moves)


class Lab:
    """Renders calls, and cuts off what stands before and behind them in every answer."""

    def __init__(self, render: Render, frame: Frame, way: Way) -> None:
        self._render = render
        self.frame = frame
        self.way = way

    def takes(self, identifier: str) -> bool:
        """Whether the template takes a call and a result with this identifier."""
        call = call_of({FIRST: TEXT}, 0, as_text=self.way.as_text) | {"id": identifier}
        messages = [*_answer(self.way.empty, call), _result(identifier)]
        return _rendered(self._render, messages) is not None

    def writes_calls(self) -> bool:
        """Whether the template writes name and arguments, and these not as a text within JSON."""
        found = self.rendered({FIRST: TEXT})
        return found is not None and NAME in found and TEXT in found and f'\\"{FIRST}' not in found

    def rendered(self, *given: Mapping[str, Any], text: str = "") -> str | None:
        """Return an answer with calls, without what begins every answer."""
        as_text = self.way.as_text
        calls = [call_of(one, number, as_text=as_text) for number, one in enumerate(given)]
        messages = _answer(text or self.way.empty, *calls)
        if self.way.followed:
            messages += [_result(call["id"]) for call in calls]
        found = _rendered(self._render, messages)
        if found is None:
            return None
        begun = found[self._start(found) :]
        if not self.way.followed:
            return begun
        at = begun.find(self.frame.ending, begun.rfind(TEXT) if given[-1] else 0)
        return begun[:at] if self.frame.ending and at >= 0 else None

    def calls(self, *given: Mapping[str, Any], text: str = "") -> str:
        """Return the calls of an answer, without what ends a turn.

        Raises `UnknownNotationError`.
        """
        found = self.rendered(*given, text=text)
        if found is None:
            raise UnknownNotationError("it refuses a call that no result follows")
        if self.way.followed:
            return found
        ended = self._with_end_of_turns(found)
        if ended is not None:
            return ended
        own, others = UNIT.findall(found), UNIT.findall(self.frame.end)
        is_closed = False
        while own and others and own[-1] == others[-1]:
            is_closed |= MARK.fullmatch(own.pop()) is not None
            others.pop()
        ends = "".join(own).rstrip()
        last = MARK.search(ends, len(ends) - len(UNIT.findall(ends)[-1]) if ends else 0)
        # A turn with calls may end with a mark of its own.
        if last and ((others and not is_closed) or (last[0] == self.frame.mark)):
            return ends[: last.start()]
        is_open = any(map(MARK.fullmatch, others))
        return ends if is_open else "".join(own)

    def _with_end_of_turns(self, found: str) -> str | None:
        """Return calls without what ends the turn of a user, if it ends all turns.

        Where a mark ends more than turns, more than the end of a turn may be common to two ends.
        """
        if self.frame.mark and found.count(self.frame.mark) <= 1:
            return None
        end = self.frame.end
        for at in range(len(end)):
            tail = end[at:]
            if self.frame.asked.startswith(tail) and found.endswith(tail) and MARK.match(tail):
                return found.removesuffix(tail)
        return None

    def _start(self, found: str) -> int:
        """Return where an answer stops to be the same as one of text, or as every other."""
        if found.startswith(self.frame.prompt):
            return len(self.frame.prompt)
        at = 0
        for one, other in zip(UNIT.findall(found), UNIT.findall(self.frame.plain), strict=False):
            if one != other:
                break
            at += len(one)
        return at


def split(text: str, word: str, others: int = 0) -> tuple[str, str]:
    """Return what stands before and behind a word, which is there once behind `others` of it."""
    parts = text.split(word)
    if len(parts) != others + 2:
        raise UnknownNotationError(f"it writes a {'name' if word == NAME else 'value'} elsewhere")
    return word.join(parts[:-1]), parts[-1]


def split_at_name(text: str, others: int = 0) -> tuple[str, str]:
    """Return what stands before and behind the name of a call; if it is repeated, with slots.

    `others` is how often the name of the call before stands there.
    """
    first, *rest = text.split(NAME)
    if len(rest) <= others:
        raise UnknownNotationError("it writes a name elsewhere")
    before = NAME_AGAIN.join([first, *rest[:others]])
    return before, NAME_AGAIN.join(rest[others:])


def common_end(one: str, other: str) -> str:
    """Return the longest text with which both end, in whole marks."""
    count = 0
    for mine, yours in zip(UNIT.findall(one)[::-1], UNIT.findall(other)[::-1], strict=False):
        if mine != yours:
            break
        count += len(mine)
    return one[len(one) - count :]


def common_beginning(one: str, other: str) -> str:
    """Return the longest text with which both begin, in whole marks."""
    count = 0
    for mine, yours in zip(UNIT.findall(one), UNIT.findall(other), strict=False):
        # A name may follow the beginning of a mark, and ends it.
        if mine != yours or mine == "<":
            break
        count += len(mine)
    return one[:count]
