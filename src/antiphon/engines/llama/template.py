"""Turns to prompt, by the model's own chat template, in which callers' text stays plain text.

The text of every turn is replaced by a sentinel, the template is rendered, and the result is cut
at the sentinels: what lies between them is the template's and may hold control tokens; what the
sentinels stand for is the caller's and never does. Because each sentinel has to come out once and
in order, a template that drops, hoists or reorders a turn is noticed instead of obeyed.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, groupby
from typing import Any, Final, NoReturn

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from antiphon.core.generation import Turn

BLOCK_SEPARATOR: Final = "\n"
"""Between the text blocks of one turn. Templates take one string; llama.cpp and vLLM join blocks
with a newline too, and nothing in between would glue the words of two messages together."""

TURN_SEPARATOR: Final = "\n\n"
"""Between turns that a template cannot tell apart and that share one of its messages."""

_OPEN: Final = "\ue000"
_CLOSE: Final = "\ue001"
_DIGITS: Final = "\ue002\ue003\ue004\ue005\ue006\ue007\ue008\ue009\ue00a\ue00b"
_TO_DIGITS: Final = str.maketrans("0123456789", _DIGITS)
_FROM_DIGITS: Final = str.maketrans(_DIGITS, "0123456789")

# What a template written for something else may stumble over, beside Jinja's own errors.
_TEMPLATE_ERRORS: Final = (
    jinja2.TemplateError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError,
)  # fmt: skip


class TemplateUnusableError(Exception):
    """A template is not valid, or cannot express a conversation."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of the prompt. `control` says that control tokens in it are meant as such."""

    text: str
    control: bool


@dataclass(frozen=True, slots=True)
class _Voice:
    """A turn as templates know it: a role, and the texts that it consists of."""

    role: str
    texts: tuple[str, ...]


class ChatTemplate:
    """A model's template, compiled. `now` is for templates that write the date."""

    def __init__(
        self, source: str, *, bos: str, eos: str, now: Callable[[], datetime] = datetime.now
    ) -> None:
        self._tokens = {"bos_token": bos, "eos_token": eos}
        # As many as the template has itself in a row, and one more: never part of its own text.
        self._mark = _OPEN * (1 + max(map(len, re.findall(f"{_OPEN}+", source)), default=0))
        try:
            self._template = _environment(now).from_string(source)
        except jinja2.TemplateSyntaxError as error:
            raise TemplateUnusableError(f"line {error.lineno}: {error.message}") from error

    def render(self, turns: Sequence[Turn]) -> list[Segment]:
        """Render the conversation and what makes the model answer it, or go on with its prefill.

        What a template cannot express as it stands is tried with later system turns, then with
        all of them, spoken by the user at the same place.
        """
        complaint = "it drops or reorders turns"
        for voices in _expressions(turns):
            try:
                rendered = self._render(voices)
            except _TEMPLATE_ERRORS as error:
                complaint = str(error) or type(error).__name__
                continue
            if rendered is not None:
                return rendered
        raise TemplateUnusableError(complaint)

    def _render(self, voices: Sequence[_Voice]) -> list[Segment] | None:
        prefilled = voices[-1].role == "assistant"
        caller = _Caller(self._mark)
        messages = [
            {
                "role": voice.role,
                "content": caller.content(voice.texts, last=prefilled and voice is voices[-1]),
            }
            for voice in voices
        ]
        text = self._template.render(
            messages=messages,
            add_generation_prompt=not prefilled,
            tools=None,
            documents=None,
            **self._tokens,
        )
        if prefilled:
            text = caller.cut_after_last(text)
        return caller.segments(text)


class _Caller:
    """The caller's texts of one rendering, and the sentinels that stand for them."""

    def __init__(self, mark: str) -> None:
        self._mark = mark
        self._texts: list[str] = []
        self._tail = ""

    def content(self, texts: Sequence[str], *, last: bool) -> str:
        hidden = [self._hide(text, keep=False) for text in texts[:-1]]
        hidden.append(self._hide(texts[-1], keep=last))
        return TURN_SEPARATOR.join(hidden)

    def _hide(self, text: str, *, keep: bool) -> str:
        """Put a sentinel for `text`, leaving the space around it to templates that trim.

        A text of spaces has nothing to hide; as a prefill (`keep`) it marks the end all the same.
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
        """End the prompt where the prefill ends, which keeps the space that it ends with."""
        sentinel = self._sentinel(len(self._texts) - 1)
        before, found, _ = text.rpartition(sentinel)
        return before + found + self._tail

    def segments(self, text: str) -> list[Segment] | None:
        """Cut `text` at its sentinels, unless they are not all there, once and in order."""
        parts = re.split(f"{self._mark}([{_DIGITS}]+){_CLOSE}", text)
        order = [int(digits.translate(_FROM_DIGITS)) for digits in parts[1::2]]
        if order != list(range(len(self._texts))):
            return None
        between = (Segment(part, control=True) for part in parts[::2])
        hidden = (Segment(own, control=False) for own in [*self._texts, ""])
        alternating = chain.from_iterable(zip(between, hidden, strict=True))
        return [segment for segment in alternating if segment.text]


def turn_text(turn: Turn) -> str:
    """Make one string of a turn, which is what templates take."""
    return BLOCK_SEPARATOR.join(turn.texts)


def _expressions(turns: Sequence[Turn]) -> Iterator[list[_Voice]]:
    """Say the same turns in the same order in other ways, the truest first, none twice."""
    seen: list[list[_Voice]] = []
    for system_until in (len(turns), 1, 0):
        roles = [
            "user" if turn.role == "system" and place >= system_until else turn.role
            for place, turn in enumerate(turns)
        ]
        # As they stand, turns are left apart; turns whose role was changed join their neighbours.
        voices = _apart(roles, turns) if system_until == len(turns) else _joined(roles, turns)
        if voices not in seen:
            seen.append(voices)
            yield voices


def _apart(roles: Sequence[str], turns: Sequence[Turn]) -> list[_Voice]:
    return [_Voice(role, (turn_text(turn),)) for role, turn in zip(roles, turns, strict=True)]


def _joined(roles: Sequence[str], turns: Sequence[Turn]) -> list[_Voice]:
    pairs = groupby(zip(roles, turns, strict=True), key=lambda pair: pair[0])
    return [_Voice(role, tuple(turn_text(turn) for _, turn in group)) for role, group in pairs]


def _environment(now: Callable[[], datetime]) -> ImmutableSandboxedEnvironment:
    """Build the environment that templates are written for, which is that of transformers."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[_Generation, jinja2.ext.loopcontrols],
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = lambda form: now().strftime(form)
    return environment


class _Generation(jinja2.ext.Extension):
    """`{% generation %}` marks what to train on; at inference it is transparent."""

    tags = {"generation"}  # noqa: RUF012 - declared so by Jinja

    def parse(self, parser: jinja2.parser.Parser) -> list[jinja2.nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _raise_exception(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def _to_json(value: Any, indent: int | None = None, **options: Any) -> str:
    # Jinja's own filter escapes HTML, which models have not been trained on.
    return json.dumps(value, ensure_ascii=False, indent=indent, **options)
