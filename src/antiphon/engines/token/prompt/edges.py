"""Finds the edges of a rendered prompt: the number of segments before each breakpoint.

The caller's texts are hidden in the order of the prompt, tools first, and are numbered. For each
complete block, `BlockEnds` notes the number of texts hidden so far. If a block ends with a text of
its own, its breakpoint lies right behind that text. If the template writes the end (of a tool, of a
call), the breakpoint lies before the next hidden text: the two are separated only by text of the
template, which is one segment.
"""

from collections.abc import Mapping, Sequence
from math import inf
from typing import Literal, TypeAlias

import msgspec

from antiphon.core.prompt import Breakpoint
from antiphon.engines.token.prompt.text_parts import BlockPosition

Spans: TypeAlias = Mapping[int, tuple[int, int]]
"""By the number of a rendered hidden text: the segments before it, and up to its end."""


_Order: TypeAlias = tuple[int, tuple[float, ...]]


class Edge(msgspec.Struct, frozen=True):
    """A breakpoint in a rendered prompt; `at` is the number of segments, parts or tokens before.

    `number` is that of the breakpoint in the request.
    """

    at: int
    ttl: Literal["5m", "1h"]
    number: int = 0

    def moved(self, at: int) -> "Edge":
        """Return the edge with its place in another unit."""
        return Edge(at, self.ttl, self.number)


class _End(msgspec.Struct, frozen=True):
    """The texts hidden when a block was complete, and whether it ended with the last of them."""

    hidden: int
    with_text: bool


class BlockEnds:
    """The ends of tools and blocks among the hidden texts of one rendering.

    `tools_move`: the template writes the tools before the last question, so that nothing ends with
    them in every longer conversation.
    """

    def __init__(self) -> None:
        self.tools_move = False
        self._ends: dict[BlockPosition, tuple[int, bool]] = {}
        self._turns_at: int | None = None

    def add(self, position: BlockPosition, hidden: int, *, with_text: bool) -> None:
        """Note that a block is complete when `hidden` texts have been hidden."""
        self._ends[position] = (hidden, with_text)

    def begin_turns(self, hidden: int) -> None:
        """Note that the tools and the system prompt end here."""
        if self._turns_at is None:
            self._turns_at = hidden

    def edges(self, breakpoints: Sequence[Breakpoint], spans: Spans) -> tuple[Edge, ...]:
        """Return the edges of breakpoints, in the order of the prompt.

        A breakpoint on a block without a text (reasoning, which templates drop later, or space)
        lies behind the block before it. It has no edge if it needs a hidden text behind it and
        none follows, or if nothing stands before it.
        """
        edges: list[Edge] = []
        ends = {_order(position): _End(*end) for position, end in self._ends.items()}
        for breakpoint_ in breakpoints:
            wanted = _order((breakpoint_.turn, breakpoint_.path))
            last = max((position for position in ends if position <= wanted), default=None)
            at = None if last is None else self._edge(last[0], ends[last], spans)
            if at:
                edges.append(Edge(at, breakpoint_.ttl, breakpoint_.number))
        return tuple(edges)

    def _edge(self, turn: int, end: _End, spans: Spans) -> int | None:
        """Return the first edge behind a block and behind all texts hidden before it.

        The block alone is not enough: a template may write tools behind the system prompt.
        """
        if self.tools_move:
            if turn < 0:
                return None
            spans = {text: span for text, span in spans.items() if text >= self._tools}
        elif self._has_bare_tools and end.hidden <= (self._turns_at or 0):
            # The position of such tools is unknown, but lies before the turns.
            end = _End(self._turns_at or 0, with_text=False)
        floor = max((span[1] for text, span in spans.items() if text < end.hidden), default=0)
        if end.with_text and spans[end.hidden - 1][1] == floor:
            return floor
        behind = (span[0] for text, span in spans.items() if text >= end.hidden)
        return min((at for at in behind if at >= floor), default=None)

    @property
    def _tools(self) -> int:
        """The number of texts hidden in tools."""
        return max(
            (hidden for (turn, _), (hidden, _) in self._ends.items() if turn is None), default=0
        )

    @property
    def _has_bare_tools(self) -> bool:
        """Whether the prompt has tools without any hidden text."""
        return any(turn is None and not hidden for (turn, _), (hidden, _) in self._ends.items())


def _order(position: BlockPosition) -> _Order:
    """Return a key that sorts blocks by their ends: tools first, a block behind its inner ones."""
    turn, path = position
    return (-1 if turn is None else turn, (*path, inf))
