"""The work that one rendering may take: a template is a file from elsewhere.

A step is a turn of a loop, a call, or the making of some characters or items. The number of steps
is the same on every machine. The time of the processor is a second limit, for what steps measure
badly: it is larger than what all allowed steps take.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from time import thread_time
from typing import Any, Final

from jinja2.runtime import Undefined
from jinja2.utils import Namespace

CHARS_OF_STEP: Final = 16
SLICE: Final = 1024
"""Steps between two looks at the clock."""

MOST_DEPTH: Final = 500
"""Of a value that is written, compared or hashed."""

STEPS: Final = 300_000
STEPS_OF_PART: Final = 1000
STEPS_OF_PAIR: Final = 20
"""Some templates look at all other messages for each message."""
SECONDS: Final = 5.0
SECONDS_OF_PART: Final = 0.001

BRIEF_STEPS: Final = 200_000
BRIEF_SECONDS: Final = 0.05
"""For a rendering on the event loop. One that takes longer begins again in a thread."""

TRIAL_STEPS: Final = 3_000_000
TRIAL_SECONDS: Final = 20.0
"""For all trials of a template together, when it is compiled."""
VALUE_STEPS: Final = 100_000
VALUE_SECONDS: Final = 1.0
"""For a trial of a value of a variable, with which a template may not end; it is refused then."""


class TooLongError(Exception):
    """A template takes more work than it may; no `TemplateError`, for no other form takes less."""


class Budget:
    """The steps that are left of one rendering, or of several; `seconds` are those of the CPU.

    It is used in the thread that takes the first step.
    """

    __slots__ = ("_clock", "_end", "_granted", "_seconds", "_steps", "left", "trees")

    def __init__(
        self, steps: int, seconds: float, clock: Callable[[], float] = thread_time
    ) -> None:
        self._steps = steps
        self._seconds = seconds
        self._clock = clock
        self._end: float | None = None
        self._granted = SLICE
        self.left = SLICE
        """The steps that are left of a slice. Who takes some below zero has to refill it."""
        self.trees: frozenset[int] = frozenset()
        """The identities of values that are known to have no part twice, nor many of them."""

    @property
    def taken(self) -> int:
        """The steps that were taken."""
        return self._granted - self.left

    def take(self, steps: int = 1) -> None:
        """Take steps. Raises `TooLongError` if they are not left."""
        self.left -= steps
        if self.left < 0:
            self.refill()

    def take_chars(self, count: int) -> None:
        """Take the steps of making a text, or as many items."""
        self.left -= count // CHARS_OF_STEP
        if self.left < 0:
            self.refill()

    def counted(self, items: Iterable[Any], steps: int) -> Iterator[Any]:
        """Yield items; each takes steps."""
        for item in items:
            self.left -= steps
            if self.left < 0:
                self.refill()
            yield item

    def refill(self) -> None:
        """Look at the limits, and grant another slice beyond what was taken.

        The first slice is granted without a look: most renderings take no more.
        """
        if self.taken > self._steps:
            raise TooLongError(f"it takes more than {self._steps:,} steps")
        if self._end is None:
            self._end = self._clock() + self._seconds
        elif self._clock() > self._end:
            raise TooLongError(f"it takes more than {self._seconds:g} seconds")
        self._granted += SLICE - self.left
        self.left = SLICE

    def weigh(self, value: Any) -> int:
        """Take a step for each part of a value, in which a list may be there many times.

        Python takes as many to write, to compare or to hash it. Returns the depth.
        """
        depth = 0
        pending = [(value, 1)]
        while pending:
            part, level = pending.pop()
            self.take()
            if isinstance(part, str):
                self.take_chars(len(part))
            elif isinstance(part, range):
                self.take(len(part))
            elif type(part) not in SCALARS:
                depth = max(depth, level)
                if depth > MOST_DEPTH:
                    # Python has no limit of its own where it hashes.
                    raise TooLongError("it nests too deeply")
                pending += [(one, level + 1) for one in _parts(part)]
        return depth


def budget_for(parts: int, *, brief: bool) -> Budget:
    """Return the budget for a prompt with so many turns, blocks and tools."""
    if brief:
        return Budget(BRIEF_STEPS, BRIEF_SECONDS)
    steps = STEPS + STEPS_OF_PART * parts + STEPS_OF_PAIR * parts * parts
    return Budget(steps, SECONDS + SECONDS_OF_PART * parts)


def _parts(value: Any) -> Collection[Any]:
    kind = type(value)
    if kind in _LISTS:
        parts: Collection[Any] = value
        return parts
    if kind is Namespace:
        value = object.__getattribute__(value, "_Namespace__attrs")
    return (*value.keys(), *value.values()) if isinstance(value, dict) else ()


_LISTS: Final = frozenset({list, tuple, type({}.keys()), type({}.values()), type({}.items())})
SCALARS: Final = frozenset({str, int, float, bool, type(None), Undefined})
"""Types of values without parts; most values are of one of them."""
