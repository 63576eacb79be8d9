"""The marks that stand between an answer and the next turn, learned by rendering them."""

from collections.abc import Callable, Sequence
from itertools import islice

from antiphon.engines.token.notation.lab import ASKED, FIRST, MARK, TEXT, Message, RefusedError


def learn_turn_marks(render: Callable[[Sequence[Message]], str]) -> tuple[str, ...]:
    """Return the mark that stands behind every answer, and the one that follows it, if any.

    `render` renders messages; it may raise `RefusedError`. What is no mark (`User:`) may stand in
    any text, and is not learned.
    """
    more = [{"role": "assistant", "content": TEXT}, {"role": "user", "content": FIRST}]
    try:
        text = render([ASKED, *more])
    except RefusedError:
        return ()
    _, said_it, behind = text.rpartition(TEXT)
    between, asked_more, _ = behind.partition(FIRST)
    return tuple(islice(_leading_marks(between), 2)) if said_it and asked_more else ()


def _leading_marks(text: str) -> Sequence[str]:
    marks: list[str] = []
    while found := MARK.match(text := text.lstrip()):
        marks.append(found[0])
        text = text[found.end() :]
    return marks
