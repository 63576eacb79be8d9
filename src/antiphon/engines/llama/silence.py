"""Notices a llama.cpp that falls silent while it works on a completion.

Its HTTP threads may answer health checks while its computing thread hangs, and a process that is
stopped answers nothing. In both cases the events of a completion stop.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

SUSPECT_S: Final = 5.0
"""A silence after which llama.cpp is asked for its health, well above the time of a token."""
LOOK_EVERY_S: Final = 0.5


class SilenceWatch:
    """Watches one completion: calls `suspect` after a short silence and `give_up` at the limit.

    Only time between `waiting` and `heard` counts: a reader that is slow is no silence.
    """

    def __init__(
        self,
        limit_s: float,
        suspect: Callable[[], Awaitable[None]],
        give_up: Callable[[], None],
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.expired = False
        self._limit_s = limit_s
        self._suspect = suspect
        self._give_up = give_up
        self._now = now
        self._sleep = sleep
        self._since: float | None = None

    def waiting(self) -> None:
        """Note that an event is awaited from now on."""
        self._since = self._now()

    def heard(self) -> None:
        """Note that an event has come."""
        self._since = None

    async def run(self) -> None:
        """Look at the silence until it reaches the limit."""
        suspected: float | None = None
        look_every_s = min(LOOK_EVERY_S, self._limit_s / 2)
        while True:
            await self._sleep(look_every_s)
            since = self._since
            if since is None:
                continue
            silent_s = self._now() - since
            if silent_s >= self._limit_s:
                self.expired = True
                self._give_up()
                return
            if silent_s >= SUSPECT_S and suspected != since:
                suspected = since
                await self._suspect()
