"""What all workers of one process have in hand: how much they take, and when they take more.

They share it, because a suspected request has to be alone in its process: whatever another worker
runs could end the process as well. Requests that are set aside (`InHand`) leave their room to
others.
"""

import asyncio
from collections import Counter
from collections.abc import Collection
from typing import Final

MOST_IN_HAND: Final = 500
"""Requests that the workers of a process own at once: twice what one transaction commits."""
FEWEST_IN_HAND: Final = 8
MOST_BYTES: Final = 64 * 1024 * 1024
"""Bytes of params in hand. Nothing is claimed above a half of them, and a claim takes 8 MiB or one
request of up to 32, so there are never more."""
MOST_ASIDE: Final = MOST_IN_HAND // 2
"""Requests that are set aside before a model has begun them: others need room as well."""
QUICK_S: Final = 1.0
SLOW_S: Final = 4.0
"""Times in which half of what is in hand is done, after which more or less is taken."""


class Hand:
    """The requests that the workers of a process own: their number and bytes, by tenure.

    A claim asks for `room`, and notes what it took, while it has the lock `claiming`.
    """

    def __init__(self) -> None:
        self.claiming = asyncio.Lock()
        self._most = FEWEST_IN_HAND
        self._counts: Counter[str] = Counter()
        self._sizes: Counter[str] = Counter()
        self._aside: Counter[str] = Counter()
        self._changed = asyncio.Event()

    @property
    def count(self) -> int:
        return self._counts.total()

    @property
    def aside(self) -> int:
        """How many keep their places before their models, and leave their room to others."""
        return self._aside.total()

    @property
    def one_by_one(self) -> bool:
        """Whether the next request is to be alone: then those set aside count as well."""
        return self._most == 1

    @property
    def room(self) -> int:
        """How many more may be claimed now."""
        return max(0, min(self._most - self._counted, MOST_IN_HAND - self.count))

    @property
    def _counted(self) -> int:
        return self.count if self.one_by_one else self.count - self.aside

    def take(self, tenure: str, sizes: Collection[int]) -> None:
        """Note that a tenure has taken requests of so many bytes."""
        self._counts[tenure] += len(sizes)
        self._sizes[tenure] += sum(sizes)

    def give(self, tenure: str, sizes: Collection[int]) -> None:
        """Note that requests of so many bytes are no longer a tenure's."""
        self._counts[tenure] -= len(sizes)
        self._sizes[tenure] -= sum(sizes)
        self._changed.set()

    def set_aside(self, tenure: str, number: int) -> None:
        """Note how many of a tenure's requests are set aside now."""
        self._aside[tenure] = number
        self._changed.set()

    def drop(self, tenure: str) -> None:
        """Note that a tenure has ended."""
        del self._counts[tenure], self._sizes[tenure], self._aside[tenure]
        self._changed.set()

    def take_one_by_one(self) -> None:
        """Take one request at a time from now on, until it is seen to be quick."""
        self._most = 1

    def adapt(self, seconds: float) -> None:
        """Take enough for a second or two of work: much where it is quick, little where slow."""
        if seconds < QUICK_S:
            self._most = min(2 * self._most, MOST_IN_HAND)
        elif seconds > SLOW_S:
            self._most = max(self._most // 2, FEWEST_IN_HAND)

    async def half_done(self, patience_s: float | None = None) -> bool:
        """Wait until half of what may be in hand is finished; return whether it was in time."""
        try:
            async with asyncio.timeout(patience_s):
                while self._counted > self._most // 2 or self._sizes.total() > MOST_BYTES // 2:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True
