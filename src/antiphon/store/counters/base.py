"""The port: the operations of every implementation of the counters, and its errors."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from antiphon.core.limits.values import Account, Ask, Balance, Draw, Level, Settlement, Verdict


class CountersError(Exception):
    """The counters are set up so that they cannot keep their promise."""


class CountersAwayError(CountersError):
    """The counters do not answer. Whether a limit holds is unknown: refuse."""


class UnseededError(CountersAwayError):
    """The counters have lost the spent amounts; settle again when they have learned them."""


@dataclass(frozen=True, slots=True)
class DueSlot:
    """A retry slot, and the time until it is due; a slot that is due has been taken."""

    slot: str
    in_ms: int


class Counters(Protocol):
    """Rate-limit buckets, spend accounts, and queues of retry slots.

    Each call is one atomic step, also when several processes call at once. Where counters are
    not in this process, each may raise `CountersAwayError`.
    """

    async def admit(self, ask: Ask) -> Verdict:
        """Decide whether a request may begin; if so, take its draws and holds.

        Spend is decided before rate limits, and a refusal charges nothing. Answers `Unseeded`
        until `seed` was called. An ask that was settled before it came, as one that was cut off
        on its way can be, takes nothing: its caller is gone and would not give it back.
        """
        ...

    async def draw(self, draws: Sequence[Draw]) -> None:
        """Take without asking: output as it is produced, corrections. Buckets may go below zero.

        A negative amount gives back, up to a full bucket.
        """
        ...

    async def settle(self, settlement: Settlement) -> None:
        """Give up the holds of a reservation, and add its real cost: once for each id."""
        ...

    async def renew(self, reservations: Sequence[str], lease_ms: int) -> None:
        """Let these reservations live `lease_ms` from now; unknown ones stay unknown."""
        ...

    async def levels(self, draws: Sequence[Draw]) -> tuple[Level, ...]:
        """Return how full these buckets are under these limits, and take nothing."""
        ...

    async def balance(self, accounts: Sequence[Account]) -> tuple[Balance, ...]:
        """Return the money spent and held; an account without any use has zero of both."""
        ...

    async def seed(self, spent: Mapping[Account, int], settled: Iterable[str] = ()) -> None:
        """Set the money spent on every account of a running period, from the ledger's sums.

        Accounts that are not named have spent nothing. `settled` are the ids of requests whose
        settlement may still be on its way although the sums contain it: the ledger's entries of
        the last hour. Counters that are seeded already stay as they are.
        """
        ...

    async def add_retry_slot(self, queue: str, due_in_ms: int, kept_ms: int) -> str:
        """Add a slot to a queue, due from then on; return its id.

        It stays until `kept_ms` after it is due, or until it is taken or dropped.
        """
        ...

    async def take_retry_slot(self, queue: str, kept_ms: int) -> DueSlot | None:
        """Take the first slot of a queue if it is due; else return when it is, if there is one."""
        ...

    async def drop_retry_slot(self, queue: str, slot: str) -> bool:
        """Remove a slot; return whether it was there, and so was not taken."""
        ...

    async def aclose(self) -> None: ...
