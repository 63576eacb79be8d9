"""The time of an exam, shared among its parts."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

SHARES: Final[Mapping[str, float]] = {
    "speed": 1.0,
    "calls": 3.0,
    "objects": 1.5,
    "edits": 2.0,
    "long_context": 2.5,
}
"""The parts in their order. Each gets such a share of what is left for it and those behind it."""


class OutOfTimeError(Exception):
    """The time of a part is over."""


class Budget:
    """Gives each part its share of `seconds`; what a part leaves is for those behind it."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._end = clock() + seconds
        self._left = dict(SHARES)

    def part(self, name: str) -> "PartTime":
        """Begin a part."""
        rest = max(0.0, self._end - self._clock())
        share = self._left.pop(name)
        return PartTime(self._clock, rest * share / (share + sum(self._left.values())))


class PartTime:
    """The time of one part."""

    def __init__(self, clock: Callable[[], float], seconds: float) -> None:
        self._clock = clock
        self._began = clock()
        self._end = self._began + seconds

    @property
    def left_s(self) -> float:
        return max(0.0, self._end - self._clock())

    @property
    def used_s(self) -> float:
        return self._clock() - self._began

    @asynccontextmanager
    async def task(self) -> AsyncGenerator[None]:
        """Bound one task of the part by its time. Raises `OutOfTimeError`."""
        left = self.left_s
        if left <= 0:
            raise OutOfTimeError
        try:
            async with asyncio.timeout(left):
                yield
        except TimeoutError as error:
            raise OutOfTimeError from error
