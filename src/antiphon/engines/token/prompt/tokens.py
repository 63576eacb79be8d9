"""Prompts to tokens, each segment once: the counted tokens are those that are sent."""

import asyncio
from array import array
from collections import OrderedDict
from collections.abc import Awaitable, Iterable, Sequence
from itertools import accumulate
from typing import Final, Protocol

import msgspec

from antiphon.engines.token.prompt.edges import Edge
from antiphon.engines.token.prompt.placeholders import Rendered, Segment

CACHED_CHARS: Final = 4_000_000
"""At most some 16 MB of text and 4 MB of tokens."""


class RenderedPrompt(msgspec.Struct, frozen=True):
    """A prompt as tokens, and the edges of its breakpoints among them.

    `stays` is the number of tokens before the first reasoning that an earlier prompt may have
    shown, and this one does not; 0 if there is none.
    The tokens up to a breakpoint are the same in every prompt that begins with the same blocks.
    They are an array: a list of the millions that a text of 32 MB has would take a gigabyte.
    """

    tokens: Sequence[int]
    breakpoints: tuple[Edge, ...] = ()
    stays: int = 0

    @property
    def prefix_sizes(self) -> tuple[int, ...]:
        """The tokens up to each breakpoint of the request, 0 for one that is not in the prompt."""
        sizes = [0] * (1 + max((edge.number for edge in self.breakpoints), default=-1))
        last = 0
        for edge in self.breakpoints:
            # A template that moves blocks may end a later prefix first.
            last = sizes[edge.number] = max(last, edge.at)
        return tuple(sizes)


class Tokenize(Protocol):
    """Tokenizes a text. With `control`, spellings of control tokens in it are control tokens."""

    def __call__(
        self, text: str, *, control: bool, ends: bool = False
    ) -> Awaitable[Sequence[int]]: ...


class Tokenizer:
    """Tokenizes segments, and caches those used last.

    `begin` holds the first token of every prompt, if the model has one. Conversations repeat: all
    but the last message of turn n+1 was in turn n.
    """

    def __init__(self, tokenize: Tokenize, begin: Sequence[int], limit: int = CACHED_CHARS) -> None:
        self._tokenize = tokenize
        self.begin = list(begin)
        self._limit = limit
        self._known: OrderedDict[Segment, Sequence[int]] = OrderedDict()
        self._chars = 0

    @classmethod
    async def open(cls, tokenize: Tokenize) -> "Tokenizer":
        """Return a tokenizer with the first token that the model wants."""
        ends = await tokenize("", control=True, ends=True)
        return cls(tokenize, list(ends[:1]))

    async def encode(self, rendered: Rendered) -> RenderedPrompt:
        """Tokenize a prompt, and convert its edges to numbers of tokens."""
        parts = await self.each(rendered.segments)
        tokens = array("i")
        for part in parts:
            tokens.extend(part)
        ends = list(accumulate(map(len, parts), initial=0))
        # A template may write the token itself.
        begin = array("i", self.begin)
        if tokens[: len(begin)] == begin:
            begin = array("i")
        edges = (edge.moved(len(begin) + ends[edge.at]) for edge in rendered.edges)
        stays = len(begin) + ends[rendered.stays] if rendered.stays else 0
        return RenderedPrompt(begin + tokens, tuple(edges), stays)

    async def each(self, segments: Sequence[Segment]) -> list[Sequence[int]]:
        """Tokenize each segment by itself, without the first token of a prompt."""
        known = dict(zip(segments, map(self._recall, segments), strict=True))
        fresh = [segment for segment, tokens in known.items() if tokens is None]
        known.update(zip(fresh, await self._ask(fresh), strict=True))
        return [known[segment] or () for segment in segments]

    async def is_control(self, text: str) -> bool:
        """Return whether the model has one control token for this text."""
        mark, plain = await self.each([Segment(text, control=is_mark) for is_mark in (True, False)])
        return len(mark) == 1 and list(mark) != list(plain)

    async def _ask(self, segments: Iterable[Segment]) -> list[Sequence[int]]:
        return list(await asyncio.gather(*map(self._learn, segments)))

    def _recall(self, segment: Segment) -> Sequence[int] | None:
        tokens = self._known.get(segment)
        if tokens is not None:
            self._known.move_to_end(segment)
        return tokens

    async def _learn(self, segment: Segment) -> Sequence[int]:
        tokens = await self._tokenize(segment.text, control=segment.control)
        if not isinstance(tokens, array):
            tokens = array("i", tokens)
        if segment not in self._known and len(segment.text) <= self._limit:
            self._known[segment] = tokens
            self._chars += len(segment.text)
        while self._chars > self._limit:
            forgotten, _ = self._known.popitem(last=False)
            self._chars -= len(forgotten.text)
        return tokens
