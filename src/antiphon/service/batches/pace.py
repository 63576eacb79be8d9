"""The pace of a model's batch work, driven by a clock: once a second it is judged anew."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from antiphon.core.batches import MOST_TIMES, Pace

EVERY_S: Final = 1.0
CEILING: Final = 64
"""Requests of batches that one model runs at once, at most."""


class ModelPace:
    """What the lane of a model asks (`service.limits.batch_lane.Pacing`)."""

    def __init__(
        self, ceiling: int = CEILING, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._pace = Pace(ceiling=ceiling)
        self._sleep = sleep
        # The first tokens since the last judgement, in milliseconds: there are thousands a second.
        self._alone: deque[float] = deque(maxlen=MOST_TIMES)
        self._beside: deque[float] = deque(maxlen=MOST_TIMES)

    def window(self) -> int:
        return self._pace.window

    def note_first_token(self, seconds: float, *, beside_batches: bool) -> None:
        """Note the first token of an interactive request."""
        (self._beside if beside_batches else self._alone).append(1000 * seconds)

    async def run(self, widened: Callable[[], None]) -> None:
        """Judge again and again; `widened` is called when more may run."""
        while True:
            await self._sleep(EVERY_S)
            before = self._pace.window
            self._judge()
            if self._pace.window > before:
                widened()

    def _judge(self) -> None:
        pace = self._pace
        for beside_batch, times in ((False, self._alone), (True, self._beside)):
            for milliseconds in times:
                pace = pace.observed(milliseconds, beside_batch=beside_batch)
            times.clear()
        self._pace = pace.after_interval()
