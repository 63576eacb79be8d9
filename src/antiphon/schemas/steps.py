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


class WorkStoppedError(Exception):
    """The work was stopped before its end, by its `most` or by `stop`."""


class Steps:
    """A budget of steps."""

    __slots__ = ("error", "most", "taken")

    def __init__(self, most: int = STEPS) -> None:
        self.taken = 0
        self.most = most
        self.error: type[Exception] = TooComplexError

    def take(self, count: int = 1) -> None:
        """Take `count` steps. Raises `TooComplexError` if that exceeds the budget."""
        self.taken += count
        if self.taken > self.most:
            raise self.error


class Work:
    """A piece of work that takes its steps from budgets, and that another thread can stop.

    With `most`, it stops by itself when all its budgets together have given so many steps. Stopped
    work raises `WorkStoppedError` at its next step.
    """

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self._budgets: list[Steps] = []
        self._stopped = False

    @property
    def taken(self) -> int:
        """The number of steps of all budgets so far."""
        return sum(steps.taken for steps in self._budgets)

    def budget(self, most: int = STEPS) -> Steps:
        """Return a new budget for a part of the work."""
        steps = Steps(most)
        if self._most is not None:
            left = self._most - self.taken if self._budgets else self._most
            if left < most:
                steps.most, steps.error = left, WorkStoppedError
        self._budgets.append(steps)
        if self._stopped:
            _end(steps)
        return steps

    def stop(self) -> None:
        """End the work at its next step. Safe to call from any thread, at any time."""
        self._stopped = True
        for steps in tuple(self._budgets):
            _end(steps)


def _end(steps: Steps) -> None:
    steps.error = WorkStoppedError
    steps.most = -1
