"""Prefixes that are being read: other prompts that begin with one wait for it.

So requests that arrive together read what they share once.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from antiphon.engines.llama.snapshots.prefixes import TOKEN_BYTES, PrefixIndex


class Flight:
    """A prefix that one prompt reads; it has `landed` when it is kept, or was given up."""

    def __init__(self, tokens: bytes, land: "Callable[[Flight], None]") -> None:
        self.tokens = tokens
        self.landed = asyncio.Event()
        self._land = land
        self._kept: asyncio.Task[Any] | None = None

    @property
    def size(self) -> int:
        return len(self.tokens) // TOKEN_BYTES

    def lands_with(self, kept: "asyncio.Task[Any]") -> None:
        """Let the flight land when the task has ended that keeps its prefix."""
        self._kept = kept
        kept.add_done_callback(lambda _: self._land(self))

    def give_up(self) -> None:
        """Let the flight land, unless its prefix is being kept."""
        if self._kept is None:
            self._land(self)


class Flights:
    """The flights of one llama.cpp, by salt and packed tokens."""

    def __init__(self) -> None:
        self._flights: PrefixIndex[Flight] = PrefixIndex()

    def longest(self, salt: str, tokens: bytes) -> Flight | None:
        """Return the longest flight that the tokens of a prompt begin with."""
        return self._flights.longest(salt, tokens, lambda _: True)

    def begin(self, salt: str, prefixes: Iterable[bytes]) -> list[Flight]:
        """Begin flights for those of the prefixes that have none."""

        def land(flight: Flight) -> None:
            if not flight.landed.is_set():
                flight.landed.set()
                self._flights.remove(salt, flight.tokens)

        begun = []
        for tokens in prefixes:
            if self._flights.get(salt, tokens) is None:
                begun.append(Flight(tokens, land))
                self._flights.add(salt, tokens, begun[-1])
        return begun
