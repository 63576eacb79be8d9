"""A child of llama.cpp that stands still for a while, and a clock that stands still with it."""

import time
from collections.abc import Callable
from typing import Protocol


class StillChild(Protocol):
    """A process that can stand still: it computes nothing, and keeps all that it has."""

    def stand_still(self) -> None: ...
    def go_on(self) -> None: ...


class Standstill:
    """Lets one child after the other stand still.

    A child that stands still is silent and answers no health check, which says nothing about it:
    `times` counts how often it began, and `now` is a clock in seconds without these times.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.times = 0
        self._clock = clock
        self._child: StillChild | None = None
        self._since: float | None = None
        self._still_s = 0.0

    @property
    def is_still(self) -> bool:
        return self._since is not None

    def now(self) -> float:
        """Return the seconds in which no child stood still, from some moment on."""
        return (self._clock() if self._since is None else self._since) - self._still_s

    def take(self, child: StillChild) -> None:
        """Take a child that is about to load its model."""
        self._child = child
        if self.is_still:
            child.stand_still()

    def begin(self) -> None:
        if self._since is None:
            self._since = self._clock()
            self.times += 1
            if self._child is not None:
                self._child.stand_still()

    def end(self) -> None:
        if self._since is not None:
            self._still_s += self._clock() - self._since
            self._since = None
            if self._child is not None:
                self._child.go_on()
