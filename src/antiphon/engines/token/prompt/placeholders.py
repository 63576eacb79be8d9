"""The caller's texts in a template, replaced by sentinels while it is rendered."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate, chain
from typing import Any, Final, Self

import msgspec

from antiphon.core.prompt import Breakpoint
from antiphon.engines.token.prompt.edges import BlockEnds, Edge, Spans
from antiphon.engines.token.prompt.text_parts import BlockPosition, TextPart

_OPEN: Final = "\ue000"
_CLOSE: Final = "\ue001"
_DIGITS: Final = "\ue002\ue003\ue004\ue005\ue006\ue007\ue008\ue009\ue00a\ue00b"
_TO_DIGITS: Final = str.maketrans("0123456789", _DIGITS)
_FROM_DIGITS: Final = str.maketrans(_DIGITS, "0123456789")
_AS_JSON: Final = "\ue00c"
_AS_PYTHON: Final = "\ue00d"
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.-]*")


class Segment(msgspec.Struct, frozen=True):
    """A section of the prompt. With `control`, control tokens in it are tokenized as such."""

    text: str
    control: bool


class Rendered(msgspec.Struct, frozen=True):
    """A rendered prompt, and the edges between segments at which its breakpoints lie.

    `stays` is the number of segments before the first reasoning that an earlier prompt may have
    shown, and this one does not; 0 if there is none, or for a prompt without breakpoints.
    """

    segments: list[Segment]
    edges: tuple[Edge, ...] = ()
    stays: int = 0


class Placeholders:
    """The caller's texts of one rendering, and the sentinels that stand for them.

    `ends` notes the ends of tools and blocks among them.
    """

    def __init__(self, mark: str) -> None:
        self._mark = mark
        self._texts: list[str] = []
        self._anywhere: set[int] = set()
        self._optional: set[int] = set()
        self._thoughts: set[int] = set()
        self._questions: list[int] = []
        self._tail = ""
        self.ends = BlockEnds()

    @classmethod
    def beside(cls, source: str) -> "Placeholders":
        """Return placeholders whose sentinels do not occur in a template's own text."""
        # One more in a row than the template itself has.
        return cls(_OPEN * (1 + max(map(len, re.findall(f"{_OPEN}+", source)), default=0)))

    def fresh(self) -> "Placeholders":
        return Placeholders(self._mark)

    def tool(self, description: Any) -> Any:
        """Hide the texts in the description of a tool; a template may leave some of them out.

        Many templates write no patterns, say, or only the types of properties.
        """
        return self.optional(description)

    def optional(self, value: Any) -> Any:
        """Hide the texts in `value` like `loose`; the template may leave them out."""
        before = len(self._texts)
        hidden = self.loose(value)
        self._optional.update(range(before, len(self._texts)))
        return hidden

    def loose(self, value: Any) -> Any:
        """Hide the texts in `value`, which the template may write anywhere, as text or as JSON.

        Plain words stay: they cannot be control tokens, and templates compare with them.
        """
        if isinstance(value, Mapping):
            return {self.loose(key): self.loose(part) for key, part in value.items()}
        if isinstance(value, list | tuple):
            return [self.loose(part) for part in value]
        if not isinstance(value, str) or _PLAIN.fullmatch(value):
            return value
        self._anywhere.add(len(self._texts))
        self._texts.append(value)
        return _Hidden(self._sentinel(len(self._texts) - 1), value)

    def content(self, parts: Sequence[TextPart], *, last: bool) -> str:
        """Hide the texts of a message; the end of the `last` one is kept untrimmed."""
        pieces: list[str] = []
        for index, part in enumerate(parts):
            before = len(self._texts)
            keep = last and index == len(parts) - 1
            pieces += ["" if index == 0 else part.separator, self._hide(part.text, keep=keep)]
            hidden = len(self._texts)
            if hidden > before:
                for position in part.ends:
                    self.ends.add(position, hidden, with_text=True)
        return "".join(pieces)

    def complete(self, position: BlockPosition) -> None:
        """Note that a tool or a call is complete; its texts have been hidden."""
        self.ends.add(position, len(self._texts), with_text=False)

    def begin_turns(self) -> None:
        """Note that tools and system prompt are complete."""
        self.ends.begin_turns(len(self._texts))

    def reasoning(self, text: str) -> str:
        """Hide reasoning, which a template may leave out."""
        before = len(self._texts)
        hidden = self._hide(text, keep=False)
        self._optional.update(range(before, len(self._texts)))
        self._thoughts.update(range(before, len(self._texts)))
        return hidden

    def begin_question(self) -> None:
        """Note that a message of the user begins, up to which reasoning may have been shown."""
        self._questions.append(len(self._texts))

    def _hide(self, text: str, *, keep: bool) -> str:
        """Return a sentinel for `text`, with the space around it, which templates may trim.

        A text of white space stays as it is; as a prefill (`keep`) its sentinel marks the end.
        """
        core = text.strip()
        if not core and not keep:
            return text
        start = text.index(core) if core else len(text)
        end = start + len(core)
        self._texts.append(core)
        self._tail = text[end:]
        return text[:start] + self._sentinel(len(self._texts) - 1) + self._tail

    def _sentinel(self, index: int) -> str:
        return self._mark + str(index).translate(_TO_DIGITS) + _CLOSE

    def cut_after_last(self, text: str) -> str:
        """Cut the prompt behind the prefill, with the white space at its end."""
        sentinel = self._sentinel(len(self._texts) - 1)
        before, found, _ = text.rpartition(sentinel)
        return before + found + self._tail

    def cut(self, text: str, breakpoints: Sequence[Breakpoint] = ()) -> Rendered | None:
        """Cut `text` at its sentinels; `None` unless each is there once and in order."""
        marked = f"{self._mark}([{_DIGITS}]+)([{_CLOSE}{_AS_JSON}{_AS_PYTHON}])"
        parts = re.split(marked, text)
        order = [int(digits.translate(_FROM_DIGITS)) for digits in parts[1::3]]
        in_turns = [index for index in order if index not in self._anywhere]
        absent = self._optional.difference(order)
        needed = [i for i in range(len(self._texts)) if i not in self._anywhere | absent]
        if in_turns != needed or not self._anywhere <= {*order, *absent}:
            return None
        forms = zip(order, parts[2::3], strict=True)
        own = [_WRITTEN[form](self._texts[index]) for index, form in forms]
        between = (Segment(part, control=True) for part in parts[::3])
        hidden = (Segment(text, control=False) for text in [*own, ""])
        alternating = list(chain.from_iterable(zip(between, hidden, strict=True)))
        segments = [segment for segment in alternating if segment.text]
        if not breakpoints:
            return Rendered(segments)
        spans = _spans(order, alternating)
        stays = self._stays(absent, spans)
        return Rendered(segments, self.ends.edges(breakpoints, spans), stays)

    def _stays(self, absent: set[int], spans: Spans) -> int:
        """Return the segments before the first reasoning that the last question has taken away."""
        shown_since = self._questions[-2] if len(self._questions) > 1 else 0
        gone = min((one for one in absent & self._thoughts if one >= shown_since), default=0)
        return max((span[1] for text, span in spans.items() if text < gone), default=0)


class _Hidden(str):
    """A sentinel that says so where a template writes it as Python does: in a list, say.

    What it contains is what its text does: a template may write some texts in another way.
    """

    __slots__ = ("_text",)
    _text: str

    def __new__(cls, sentinel: str, text: str) -> Self:
        hidden = super().__new__(cls, sentinel)
        hidden._text = text
        return hidden

    def __contains__(self, part: object) -> bool:
        return isinstance(part, str) and part in self._text

    def __repr__(self) -> str:
        return self.replace(_CLOSE, _AS_PYTHON)


def _spans(order: Sequence[int], alternating: Sequence[Segment]) -> Spans:
    """Return the spans of the hidden texts (`order`), without counting empty segments."""
    ends = list(accumulate((bool(segment.text) for segment in alternating), initial=0))
    spans: dict[int, tuple[int, int]] = {}
    for index, start, end in zip(order, ends[1::2], ends[2::2], strict=False):
        spans[index] = (spans.get(index, (start,))[0], end)
    return spans


def in_json(text: str) -> str:
    """Return a text as it stands between the quotes of JSON."""
    return json.dumps(text, ensure_ascii=False)[1:-1]


_WRITTEN: Final[Mapping[str, Callable[[str], str]]] = {
    _CLOSE: str,
    _AS_JSON: in_json,
    _AS_PYTHON: repr,
}


def json_of_hidden(text: str) -> str:
    """Mark the sentinels in a piece of JSON, so that their texts are encoded as JSON."""
    return text.replace(_CLOSE, _AS_JSON)
