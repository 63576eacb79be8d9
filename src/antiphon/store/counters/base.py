"""The port: the operations of every implementation of the counters, and its errors."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

from antiphon.core.limits.values import Account, Ask, Balance, Draw, Level, Settlement, Verdict


class CountersError(Exception):
    """A configuration with which the counters cannot work reliably."""


class CountersAwayError(CountersError):
    """The counters do not answer. The limits cannot be checked, so requests are refused."""


class UnseededError(CountersAwayError):
    """The counters have lost the spent amounts; settle again when they are seeded."""


class DueSlot(msgspec.Struct, frozen=True):
    """A retry slot, and the time until it is due; a due slot has been taken."""

    slot: str
    in_ms: int


class Counters(Protocol):
    """Rate-limit buckets, spend accounts, and queues of retry slots.

    Each call is one atomic step, also when several processes call at once. Each call to counters
    outside of this process may raise `CountersAwayError`.
    """

    async def admit(self, ask: Ask) -> Verdict:
        """Decide whether a request may begin; if so, take its draws and holds.

        Spend is decided before rate limits, and a refusal charges nothing. The verdict is
        `Unseeded` until `seed` was called. An ask whose settlement came first, because the ask
        was delayed and its request ended, takes nothing: no further settlement would release it.
        """
        ...

    async def draw(self, draws: Sequence[Draw]) -> None:
        """Draw unconditionally: produced output, corrections. Buckets may go below zero.

        A negative amount gives back, up to a full bucket.
        """
        ...

    async def settle(self, *settlements: Settlement) -> None:
        """Release the holds of reservations, and add their real costs: once for each id."""
        ...

    async def renew(self, reservations: Sequence[str], lease_ms: int) -> None:
        """Renew the leases of these reservations for `lease_ms`; unknown ones stay unknown."""
        ...

    async def levels(self, draws: Sequence[Draw]) -> tuple[Level, ...]:
        """Return the levels of these buckets under these limits, and draw nothing."""
        ...

    async def balance(self, accounts: Sequence[Account]) -> tuple[Balance, ...]:
        """Return the money spent and held; an account without any use has zero of both."""
        ...

    async def seed(self, spent: Mapping[Account, int], settled: Iterable[str] = ()) -> None:
        """Set the money spent on every account of a current period, from the ledger's sums.

        Accounts without a sum have spent nothing. `settled` are the ids of requests in the sums
        whose settlement may still arrive: the ledger's entries of the last hour. Seeded counters
        stay unchanged.
        """
        ...

    async def add_retry_slot(self, queue: str, due_in_ms: int, kept_ms: int) -> str:
        """Add a slot to a queue, due in `due_in_ms`; return its id.

        It stays until `kept_ms` after it is due, or until it is taken or dropped.
        """
        ...

    async def take_retry_slot(self, queue: str, kept_ms: int) -> DueSlot | None:
        """Take the first slot of a queue if it is due; else return the time until it is due."""
        ...

    async def drop_retry_slot(self, queue: str, slot: str) -> bool:
        """Remove a slot; return whether it was still in the queue."""
        ...

    async def aclose(self) -> None: ...
