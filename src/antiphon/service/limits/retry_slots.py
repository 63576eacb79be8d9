"""Places at a rate limit for clients that come back when they are told to.

If all who are refused were told the moment at which there is room for one, all would come back
then, one would be served, and a client that tries three times would fail. So whoever says that it
retries (`x-stainless-retry-count`, which the official SDKs send with every try) is given a place:
what it asks for is drawn in advance, into debt, and `retry-after` is the time in which that is
paid back. The next one gets a later place, and those who were not there before come after both.

A place is kept for `GRACE_MS`; then it is given back. A key that lets too many lapse gets none for
a while, so that nobody can fill a line with ghosts. The lines are where the counters are, so a
retry may come to any of the servers; the one that promised a place sees to it that it ends.
"""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from heapq import heappop, heappush

from msgspec import msgpack

from antiphon.core.limits.values import Draw
from antiphon.store.counters.base import Counters

# Further ahead nobody is promised anything.
HORIZON_MS = 60_000
# How long after the time that was told a retry may come.
GRACE_MS = 5_000
# What is told is rounded up to seconds.
KEPT_MS = GRACE_MS + 1_000
MOST_SLOTS = 10_000
# So many places may a key let lapse before it gets no more for a while.
TRUST = 10
MOST_TRUST = 100
DISTRUST_MS = 60_000

_MINUTE_MS = 60_000
_SECOND_MS = 1000


@dataclass(slots=True, eq=False)
class RetrySlot:
    """What was drawn in advance for somebody who asks for this."""

    key_id: str
    asked: tuple[Draw, ...]

    @property
    def line(self) -> str:
        """Name the line of those who ask for the same with the same key."""
        return f"{self.key_id}:{sha256(msgpack.encode(self.asked)).hexdigest()[:32]}"

    @property
    def drawn(self) -> tuple[Draw, ...]:
        return _known(self.asked)


class RetrySlots:
    """The places that are promised. `clock` tells Unix milliseconds that never go back."""

    def __init__(self, counters: Counters, clock: Callable[[], int]) -> None:
        self._counters = counters
        self._clock = clock
        # Those that this process promised and that are not over, and in which order they end.
        self._promised: dict[str, RetrySlot] = {}
        self._ending: list[tuple[int, str]] = []
        self._trust: dict[str, tuple[int, int]] = {}

    @property
    def untidy(self) -> bool:
        """Whether the time of a place is over."""
        return bool(self._ending) and self._ending[0][0] <= self._clock()

    async def tidy(self) -> None:
        """Give back what was kept for those who did not come."""
        while self.untidy:
            name = heappop(self._ending)[1]
            place = self._promised.pop(name, None)
            if place is None:
                continue
            lapsed = await self._counters.drop_place(place.line, name)
            self._judge(place.key_id, -1 if lapsed else 1)
            if lapsed:
                await self.give_back(place)

    async def claim(self, key_id: str, asked: tuple[Draw, ...]) -> RetrySlot | int | None:
        """Take the first place that was promised for this; or learn in how many ms it is due."""
        place = RetrySlot(key_id, asked)
        due = await self._counters.take_place(place.line, KEPT_MS)
        if due is None:
            return None
        if due.in_ms:
            return due.in_ms
        if self._promised.pop(due.place, None) is not None:
            self._judge(key_id, 1)
        return place

    async def promise(self, key_id: str, asked: tuple[Draw, ...], wait_ms: int) -> int | None:
        """Draw in advance what was refused; returns the time in which it is there, in ms.

        Nothing is drawn and returned if there is no place to be had: if it would be too far
        ahead, or is for more than the limit, or for somebody who never comes.
        """
        drawn = _known(asked)
        now = self._clock()
        if (
            wait_ms > HORIZON_MS
            or any(draw.amount > draw.limit for draw in drawn)
            or len(self._promised) >= MOST_SLOTS
            or not self._trusts(key_id, now)
        ):
            return None
        await self._counters.draw(drawn)
        levels = await self._counters.levels(drawn)
        # A minute's worth fits into a bucket: what is beyond is the debt.
        wait_ms = max(1, *(level.full_in_ms - _MINUTE_MS for level in levels))
        told = -(-wait_ms // _SECOND_MS) * _SECOND_MS
        place = RetrySlot(key_id, asked)
        name = await self._counters.add_place(place.line, wait_ms, KEPT_MS)
        self._promised[name] = place
        heappush(self._ending, (now + told + GRACE_MS, name))
        return wait_ms

    async def give_back(self, place: RetrySlot) -> None:
        """Undo what was drawn for a place that is not used."""
        back = (Draw(draw.bucket, draw.limit, -draw.amount) for draw in place.drawn)
        await self._counters.draw(tuple(back))

    def _judge(self, key_id: str, came: int) -> None:
        trust, since = self._trust.get(key_id, (TRUST, 0))
        self._trust[key_id] = min(MOST_TRUST, trust + came), self._clock() if came < 0 else since

    def _trusts(self, key_id: str, now: int) -> bool:
        trust, since = self._trust.get(key_id, (TRUST, 0))
        if trust <= 0 and now - since >= DISTRUST_MS:
            del self._trust[key_id]
            return True
        return trust > 0


def _known(draws: tuple[Draw, ...]) -> tuple[Draw, ...]:
    """Return what can be drawn in advance: not the output, of which nobody knows how much."""
    return tuple(draw for draw in draws if not draw.needs_positive and draw.amount)
