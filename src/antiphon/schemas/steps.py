"""Work is counted in steps, so that a schema which asks for too much is refused everywhere alike.

A step is one small thing done: a word of a schema read, a pair of schemas compared, a state of an
automaton found, a character of a text walked. Steps are counted, not timed: the same request is
answered alike on a fast and on a slow machine, but for a schema right at the edge of its budget.
"""

from typing import Final

STEPS: Final = 300_000
"""What one schema may cost unless the caller says otherwise: up to two seconds on one core of
a small server. A step takes between a half and four microseconds there."""


class TooComplexError(Exception):
    """A schema, or a value beside it, asks for more work than there is a budget for."""


class Steps:
    """The steps that some work may take together."""

    def __init__(self, most: int = STEPS) -> None:
        self.taken = 0
        self.most = most

    def take(self, count: int = 1) -> None:
        """Take some more; raises `TooComplexError` from the first on that is too many."""
        self.taken += count
        if self.taken > self.most:
            raise TooComplexError
