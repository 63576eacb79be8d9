"""Where the breakpoints of a prompt lie when it is rendered: behind how many segments.

The caller's texts are hidden in the order of the prompt, tools first, and are numbered. Of each
block it is noted how many texts have been hidden when it is complete. Where the block ends with a
text of its own, its breakpoint lies right behind that text. Where the template writes the end (of
a tool, of a call), it lies before the next hidden text: between these two, only the template's own
text stands, of which a segment cannot be cut.
"""

from collections.abc import Mapping, Sequence
from math import inf
from typing import Literal, TypeAlias

import msgspec

from antiphon.core.prompt import Breakpoint
from antiphon.engines.token.prompt.text_parts import BlockPosition

Spans: TypeAlias = Mapping[int, tuple[int, int]]
"""Of each hidden text that came out: how many segments stand before it, and up to its end."""


_Order: TypeAlias = tuple[int, tuple[float, ...]]


class Edge(msgspec.Struct, frozen=True):
    """A breakpoint in a rendered prompt: behind how many segments, parts or tokens it lies."""

    at: int
    ttl: Literal["5m", "1h"]


class _End(msgspec.Struct, frozen=True):
    """How many texts were hidden when a block was complete; whether it ended with the last."""

    hidden: int
    with_text: bool


class BlockEnds:
    """The ends of tools and blocks among the hidden texts of one rendering."""

    def __init__(self) -> None:
        self._ends: dict[BlockPosition, tuple[int, bool]] = {}
        self._turns_at: int | None = None

    def add(self, position: BlockPosition, hidden: int, *, with_text: bool) -> None:
        """Note that a block is complete, `hidden` texts behind the beginning."""
        self._ends[position] = (hidden, with_text)

    def begin_turns(self, hidden: int) -> None:
        """Note that what comes now is no tool and no system prompt any more."""
        if self._turns_at is None:
            self._turns_at = hidden

    def edges(self, breakpoints: Sequence[Breakpoint], spans: Spans) -> tuple[Edge, ...]:
        """Place breakpoints, of which of several at one edge the first remains.

        One on a block without a text (reasoning, which templates drop later, or space) lies
        behind the block before it. One behind which no hidden text follows where one has to, or
        before which there is nothing, has no edge.
        """
        edges: dict[int, Edge] = {}
        ends = {_order(position): _End(*end) for position, end in self._ends.items()}
        for breakpoint_ in breakpoints:
            wanted = _order((breakpoint_.turn, breakpoint_.path))
            last = max((position for position in ends if position <= wanted), default=None)
            at = None if last is None else self._edge(ends[last], spans)
            if at and at not in edges:
                edges[at] = Edge(at, breakpoint_.ttl)
        return tuple(edges.values())

    def _edge(self, end: _End, spans: Spans) -> int | None:
        """Return the first edge behind a block and behind all that is hidden before it.

        Not only behind the block: a template may write tools behind the system prompt.
        """
        if self._has_bare_tools and end.hidden <= (self._turns_at or 0):
            # Where such tools come out is not known, but they do before the turns.
            end = _End(self._turns_at or 0, with_text=False)
        floor = max((span[1] for text, span in spans.items() if text < end.hidden), default=0)
        if end.with_text and spans[end.hidden - 1][1] == floor:
            return floor
        behind = (span[0] for text, span in spans.items() if text >= end.hidden)
        return min((at for at in behind if at >= floor), default=None)

    @property
    def _has_bare_tools(self) -> bool:
        """Whether there are tools in which no text had to be hidden."""
        return any(turn is None and not hidden for (turn, _), (hidden, _) in self._ends.items())


def _order(position: BlockPosition) -> _Order:
    """Return what orders places by where their blocks end: tools first, a block behind its own."""
    turn, path = position
    return (-1 if turn is None else turn, (*path, inf))
