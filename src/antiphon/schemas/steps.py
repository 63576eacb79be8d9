"""Counts work in steps, so that a schema that needs too much is refused on every machine alike.

A step is one small operation: reading a keyword, comparing two views, finding a state of an
automaton, reading a character of a text. Steps are counted, not timed: a fast and a slow machine
give the same answer to the same request, except for a schema right at the edge of its budget.
"""

from typing import Final

STEPS: Final = 300_000
"""The default budget of one schema: up to two seconds on one core of a small server, where a step
takes between 0.5 and 4 µs."""


class TooComplexError(Exception):
    """A schema, or the check of a value against it, needs more steps than its budget has."""


class Steps:
    """A budget of steps."""

    def __init__(self, most: int = STEPS) -> None:
        self.taken = 0
        self.most = most

    def take(self, count: int = 1) -> None:
        """Take `count` steps. Raises `TooComplexError` if that exceeds the budget."""
        self.taken += count
        if self.taken > self.most:
            raise TooComplexError
