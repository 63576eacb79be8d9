"""The rule of the limiter: who may send when. Pure; time is an argument, in seconds.

A limit is a bucket that refills all the time, as the server's (`core.limits.buckets`). Here it is a
line: each call takes a *place* behind the one before it, at a distance of what it costs, and may be
sent when the *front* has reached its place. The front moves by the limit's rate, and never further
ahead of the last call that was sent than the bucket holds. So calls are sent in their order, each
at its own moment, and what turns out cheaper than it was taken for moves the front for everybody.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

MINUTE_S: Final = 60.0
LATE_S: Final = 1.0
"""Calls arrive this much apart from how they were sent, at most: the front keeps behind by it."""

PROBES: Final = 4
"""As long as nothing is known of a limit, so many calls run at once."""

ASKED_AGAIN_S: Final = 5.0
"""Nobody waits longer without asking again: the front may have moved."""

GONE_S: Final = 30.0
"""A call that has not asked again for so long was given up, and gives its place back."""

LOOKED_S: Final = 10.0
"""How often such calls are looked for: for each that waits it is a step."""

MOVED_UP_S: Final = 0.25
"""Those behind a call that left move up at most so often: for each of them it is a step."""

LONGEST_HOLD_S: Final = 60.0
"""A refusal holds the others no longer: in a minute every limit has come back."""

LEFT_BY_A_STOP: Final = 0.7
SMALLEST_SHARE: Final = 0.05
SHARE_BACK: Final = 0.005
"""A refusal leaves this part of the rate; so much of the whole comes back each second."""

TOGETHER_S: Final = 3.0
"""Refusals within so many seconds are one."""

REMEMBERED: Final = 4096
"""Of so many calls at least it is remembered when they were sent."""

REQUESTS, INPUT, OUTPUT = "requests", "input-tokens", "output-tokens"
KINDS: Final = (REQUESTS, INPUT, OUTPUT)


class Told(msgspec.Struct, frozen=True):
    """What an answer says of one limit: what it allows in a minute, and what is left of it."""

    limit: float
    remaining: float


class Line:
    """One limit: the places that were taken, and the front."""

    def __init__(self, limit: float | None, burst: float, now: float) -> None:
        self._burst = burst
        self._limit: float | None = None
        self._set_by_caller = limit
        self.taken = 0.0
        self._sent = 0.0
        self._front = 0.0
        self._at = now
        # Of what comes back: less than all after a refusal.
        self._share = 1.0
        self._stopped_at = -TOGETHER_S
        # When the last call was sent, and its place: what may have reached the server by when.
        self._sent_times: list[float] = []
        self._sent_places: list[float] = []
        if limit is not None:
            self._set(limit, now)

    @property
    def is_known(self) -> bool:
        return self._limit is not None

    def take(self, cost: float) -> float:
        """Take a place behind all others; return it."""
        self.taken += cost
        return self.taken

    def wait(self, place: float, cost: float, now: float) -> float:
        """Return the seconds until a call may be sent, if the front moves by its rate alone."""
        if self._limit is None or cost <= 0:
            return 0.0
        self._move(now)
        # What no bucket holds is granted by a full one, which is then in debt.
        needed = min(cost, self._held) + self._late
        return max(0.0, (place - cost + needed - self._front) / self._rate)

    def send(self, place: float, now: float) -> None:
        """Note that the call of a place is sent."""
        self._move(now)
        self._sent = max(self._sent, place)
        if len(self._sent_times) >= 2 * REMEMBERED:
            del self._sent_times[:REMEMBERED], self._sent_places[:REMEMBERED]
        self._sent_times.append(now)
        self._sent_places.append(self._sent)

    def give_back(self, amount: float, now: float) -> None:
        """Move the front by what was sent and not used; a negative amount moves it back.

        A full bucket gets no fuller.
        """
        self._move(now)
        moved = self._front + amount
        full = self._sent + self._held + self._late
        self._front = moved if self._limit is None else min(moved, max(self._front, full))

    def close_gaps(self, gaps: Sequence[tuple[float, float]]) -> None:
        """Forget places, and what they cost, that were left before their calls were sent."""
        self.taken -= sum(cost for _, cost in gaps)
        # Calls behind them may have been sent already.
        self._sent -= sum(cost for place, cost in gaps if place < self._sent)

    def learn(self, told: Told, sent_at: float, now: float) -> None:
        """Take over what an answer says of the limit, of about the moment when its call was sent.

        Others may use the limit as well: then less is left than was counted here, and the front
        goes back. Calls that were sent a little later may have come first, so they count. The front
        does not go ahead, as calls that are on their way may not be counted there.
        """
        limit = told.limit
        if self._set_by_caller is not None:
            limit = min(limit, self._set_by_caller)
        if limit != self._limit:
            self._set(limit, now)
        self._move(now)
        since = (now - sent_at) * limit / MINUTE_S
        at = bisect_right(self._sent_times, sent_at + LATE_S) - 1
        sent = self._sent_places[at] if at >= 0 else self._sent
        self._front = min(self._front, sent + told.remaining + since)

    def stop(self, now: float) -> None:
        """Note that the bucket is empty: the server has refused a call.

        That happens if others use the limit as well. Then they need a share of what comes back.
        """
        self._move(now)
        self._front = min(self._front, self._sent)
        if now - self._stopped_at >= TOGETHER_S:
            self._stopped_at = now
            self._share = max(SMALLEST_SHARE, self._share * LEFT_BY_A_STOP)

    def _set(self, limit: float, now: float) -> None:
        if self._limit is None:
            self._limit, self._at = limit, now
            self._front = self._sent + self._held + self._late
        else:
            self._move(now)
            self._limit = limit

    @property
    def _held(self) -> float:
        """How much may be sent at once."""
        return max((self._limit or 0.0) * self._burst, min(self._limit or 0.0, 1.0))

    @property
    def _rate(self) -> float:
        """How far the front moves in a second."""
        return (self._limit or 0.0) / MINUTE_S * self._share

    @property
    def _late(self) -> float:
        """How far the front is kept ahead, as calls do not arrive as they were sent."""
        return (self._limit or 0.0) / MINUTE_S * LATE_S

    def _move(self, now: float) -> None:
        passed = max(0.0, now - self._at)
        self._at = max(self._at, now)
        if self._limit is not None:
            moved = self._front + passed * self._rate
            full = self._sent + self._held + self._late
            self._front = min(moved, max(self._front, full))
            self._share = min(1.0, self._share + passed * SHARE_BACK)


class Waiter(msgspec.Struct):
    """One call that waits, or was sent: what it may cost, and its places."""

    costs: dict[str, float]
    places: dict[str, float]
    since: float
    asks_at: float
    sent_at: float | None = None


class Queue:
    """The calls that share limits, in the order in which they came."""

    def __init__(self, limits: Mapping[str, float | None], burst: float, now: float) -> None:
        self.lines = {kind: Line(limits.get(kind), burst, now) for kind in KINDS}
        self._waiting: dict[int, Waiter] = {}
        self._running = 0
        self._has_answer = any(line.is_known for line in self.lines.values())
        self._held_until = now
        self._looked_at = now
        self._left: list[Waiter] = []
        self._moved_up_at = now

    def enter(self, costs: Mapping[str, float], now: float) -> Waiter:
        """Let a call take its places behind all others."""
        waiter = Waiter(
            costs=dict(costs),
            places={kind: line.take(costs[kind]) for kind, line in self.lines.items()},
            since=now,
            asks_at=now,
        )
        self._waiting[id(waiter)] = waiter
        return waiter

    def wait(self, waiter: Waiter, now: float) -> float:
        """Return the seconds until a call may be sent, as far as is known now."""
        waits = [
            line.wait(waiter.places[kind], waiter.costs[kind], now)
            for kind, line in self.lines.items()
        ]
        return max(*waits, self._held_until - now, 0.0)

    def ask(self, waiter: Waiter, now: float) -> float:
        """Return 0 if a call is to be sent now, else the seconds after which it asks again."""
        self._drop_gone(now)
        self._move_up(now)
        # One that was taken for gone has lost its places, and comes back behind the others.
        if id(waiter) not in self._waiting:
            again = self.enter(waiter.costs, now)
            del self._waiting[id(again)]
            waiter.places = again.places
            self._waiting[id(waiter)] = waiter
        wait = self.wait(waiter, now)
        if not self._has_answer and self._running >= PROBES:
            # The more wait for the first answer, the more seldom each of them asks.
            wait = max(wait, 0.1 + 0.005 * len(self._waiting))
        if wait > 0:
            # So short a wait that no clock moves would be asked for again for ever.
            wait = max(0.001, min(wait, ASKED_AGAIN_S))
            waiter.asks_at = now + wait
            return wait
        del self._waiting[id(waiter)]
        self._running += 1
        waiter.sent_at = now
        for kind, line in self.lines.items():
            line.send(waiter.places[kind], now)
        return 0.0

    def leave(self, waiter: Waiter) -> None:
        """Give the places of a waiting call back, to those behind it."""
        if self._waiting.pop(id(waiter), None) is not None:
            self._left.append(waiter)

    def lose(self) -> None:
        """Note that a call that was sent gets no answer. What it may have used stays taken."""
        self._running = max(0, self._running - 1)

    def refused(self, waiter: Waiter, told: Mapping[str, Told], retry_s: float, now: float) -> None:
        """Note a refusal for a limit: it was not charged, and nobody else is sent for a while."""
        self.lose()
        self._has_answer = True
        self._held_until = max(self._held_until, now + min(retry_s, LONGEST_HOLD_S))
        self._learn(waiter, told, now)
        for kind, line in self.lines.items():
            line.give_back(waiter.costs[kind], now)
            if kind not in told or told[kind].remaining < max(1.0, waiter.costs[kind]):
                line.stop(now)

    def answered(
        self, waiter: Waiter, told: Mapping[str, Told], used: Mapping[str, float], now: float
    ) -> None:
        """Note an answer, and what it has used of the limits of which it says that."""
        self.lose()
        self._has_answer = True
        self.correct(waiter, used, now)
        self._learn(waiter, told, now)

    def correct(self, waiter: Waiter, used: Mapping[str, float], now: float) -> None:
        """Note what a call has used, in place of what was guessed."""
        for kind, amount in used.items():
            self.lines[kind].give_back(waiter.costs[kind] - amount, now)

    def _learn(self, waiter: Waiter, told: Mapping[str, Told], now: float) -> None:
        sent_at = now if waiter.sent_at is None else waiter.sent_at
        for kind, said in told.items():
            self.lines[kind].learn(said, sent_at, now)

    def _drop_gone(self, now: float) -> None:
        if now - self._looked_at >= LOOKED_S:
            self._looked_at = now
            for waiter in list(self._waiting.values()):
                if now - waiter.asks_at > GONE_S:
                    self.leave(waiter)

    def _move_up(self, now: float) -> None:
        """Let those behind a call that left move up. Those before it have nothing of that."""
        if not self._left or now - self._moved_up_at < MOVED_UP_S:
            return
        self._moved_up_at = now
        left, self._left = self._left, []
        waiting = list(self._waiting.values())
        for kind, line in self.lines.items():
            gaps = sorted((waiter.places[kind], waiter.costs[kind]) for waiter in left)
            line.close_gaps(gaps)
            closed, rest = 0.0, deque(gaps)
            for waiter in waiting:
                while rest and rest[0][0] < waiter.places[kind]:
                    closed += rest.popleft()[1]
                waiter.places[kind] -= closed
