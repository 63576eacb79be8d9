"""Retry slots: a client that retries after its `retry-after` is served.

If all refused clients got the time at which one request fits, all would retry then, one would be
served, and a client that tries three times would fail. So a client that declares its retries
(`x-stainless-retry-count`, which the official SDKs send with every try) gets a slot: its request is
drawn in advance, into debt, and `retry-after` is the time in which the debt is paid back. The next
client gets a later slot, and new requests come after both.

A slot is kept for `GRACE_MS`; then its draws are given back. A key that lets too many slots lapse
gets none for a while, so that it cannot fill a queue with requests that never come. The queues are
kept by the counters, so a retry may go to any server; the server that promised a slot ends it.
"""

from collections.abc import Callable
from hashlib import sha256
from heapq import heappop, heappush

import msgspec
from msgspec import msgpack

from antiphon.core.limits.values import Draw
from antiphon.store.counters.base import Counters

# The longest wait for which a slot is promised.
HORIZON_MS = 60_000
# The time after `retry-after` within which a retry may come.
GRACE_MS = 5_000
# `retry-after` is in whole seconds, rounded up.
KEPT_MS = GRACE_MS + 1_000
MOST_SLOTS = 10_000
# The number of slots that a key may let lapse before it gets no more for a while.
TRUST = 10
MOST_TRUST = 100
DISTRUST_MS = 60_000

_MINUTE_MS = 60_000
_SECOND_MS = 1000


class RetrySlot(msgspec.Struct, eq=False):
    """The draws that were made in advance for the retry of a request."""

    key_id: str
    draws: tuple[Draw, ...]

    @property
    def queue(self) -> str:
        """Return the name of the queue of the same request with the same key."""
        return f"{self.key_id}:{sha256(msgpack.encode(self.draws)).hexdigest()[:32]}"

    @property
    def drawn(self) -> tuple[Draw, ...]:
        return _known(self.draws)


class RetrySlots:
    """The promised slots. `clock` returns Unix milliseconds that never go back."""

    def __init__(self, counters: Counters, clock: Callable[[], int]) -> None:
        self._counters = counters
        self._clock = clock
        # The slots of this process that are not over, and the order of their ends.
        self._promised: dict[str, RetrySlot] = {}
        self._ending: list[tuple[int, str]] = []
        self._trust: dict[str, tuple[int, int]] = {}

    @property
    def untidy(self) -> bool:
        """Whether the time of a slot is over."""
        return bool(self._ending) and self._ending[0][0] <= self._clock()

    async def tidy(self) -> None:
        """Give back the draws of lapsed slots."""
        while self.untidy:
            name = heappop(self._ending)[1]
            slot = self._promised.pop(name, None)
            if slot is None:
                continue
            lapsed = await self._counters.drop_retry_slot(slot.queue, name)
            self._judge(slot.key_id, -1 if lapsed else 1)
            if lapsed:
                await self.give_back(slot)

    async def claim(self, key_id: str, draws: tuple[Draw, ...]) -> RetrySlot | int | None:
        """Take the first slot of this request, or return the milliseconds until it is due.

        Returns `None` if the request has no slot.
        """
        slot = RetrySlot(key_id, draws)
        due = await self._counters.take_retry_slot(slot.queue, KEPT_MS)
        if due is None:
            return None
        if due.in_ms:
            return due.in_ms
        if self._promised.pop(due.slot, None) is not None:
            self._judge(key_id, 1)
        return slot

    async def promise(self, key_id: str, draws: tuple[Draw, ...], wait_ms: int) -> int | None:
        """Draw a refused request in advance; return the milliseconds after which it is granted.

        Draws nothing and returns `None` without a slot: if the wait is too long, the request is
        larger than a limit, or the key lets its slots lapse.
        """
        drawn = _known(draws)
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
        # A minute's worth fits into a bucket; the rest is the debt.
        wait_ms = max(1, *(level.full_in_ms - _MINUTE_MS for level in levels))
        retry_after_ms = -(-wait_ms // _SECOND_MS) * _SECOND_MS
        slot = RetrySlot(key_id, draws)
        name = await self._counters.add_retry_slot(slot.queue, wait_ms, KEPT_MS)
        self._promised[name] = slot
        heappush(self._ending, (now + retry_after_ms + GRACE_MS, name))
        return wait_ms

    async def give_back(self, slot: RetrySlot) -> None:
        """Undo the draws of an unused slot."""
        back = (Draw(draw.bucket, draw.limit, -draw.amount) for draw in slot.drawn)
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
    """Return the draws with an amount known in advance: all but those of output."""
    return tuple(draw for draw in draws if not draw.needs_positive and draw.amount)
