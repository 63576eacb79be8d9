"""The port: what every implementation of the counters does, and how it fails."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from antiphon.core.limits.values import Ask, Balance, Draw, Level, Settlement, Verdict


class CountersError(Exception):
    """The counters are set up so that they cannot keep their promise."""


class CountersAwayError(CountersError):
    """The counters cannot be asked now. Nobody knows whether a limit holds: refuse."""


class UnseededError(CountersAwayError):
    """The counters have lost what has been spent; a settlement has to come again when they know."""


@dataclass(frozen=True, slots=True)
class DueSlot:
    """A place in a line, and the time until it is due; once that is 0 it was taken."""

    place: str
    in_ms: int


class Counters(Protocol):
    """Rate-limit buckets, spend accounts, and lines of those who were told to come back.

    Each call is one atomic step, whoever else calls, in whichever process. Where counters are
    not in this process, each may raise `CountersAwayError`.
    """

    async def admit(self, ask: Ask) -> Verdict:
        """Decide whether a request may begin; if so, take its draws and holds.

        Spend is decided before rate limits, and a refusal charges nothing anywhere. Answers
        `Unseeded` until `seed` was called. An ask that was settled before it came, as one that was
        cut off on its way can be, takes nothing: nobody would give it back.
        """
        ...

    async def draw(self, draws: Sequence[Draw]) -> None:
        """Take without asking: output as it is produced, corrections. Buckets may go below zero.

        A negative amount gives back, and no bucket gets fuller than full.
        """
        ...

    async def settle(self, settlement: Settlement) -> None:
        """Give up what a reservation holds, and count what was spent: once for each id."""
        ...

    async def renew(self, reservations: Sequence[str], lease_ms: int) -> None:
        """Let these reservations live `lease_ms` from now; those that are unknown stay so."""
        ...

    async def levels(self, draws: Sequence[Draw]) -> tuple[Level, ...]:
        """Look how full these buckets are under these limits, and take nothing."""
        ...

    async def balance(self, accounts: Sequence[str]) -> tuple[Balance, ...]:
        """Look what is spent and held; an account that nobody has used has zero of both."""
        ...

    async def seed(self, spent: Mapping[str, int], settled: Iterable[str] = ()) -> None:
        """Set what was spent on every account that is not over, from the sums of the ledger.

        Accounts that are not named have spent nothing. `settled` are the ids of the requests
        whose settlement may still be on its way although the sums contain it: what the ledger
        has recorded in the last hour. Counters that are seeded already stay as they are.
        """
        ...

    async def add_place(self, line: str, due_in_ms: int, kept_ms: int) -> str:
        """Remember that somebody has a place in a line from then on; returns its id.

        It is there `kept_ms` longer than until it is due, or until it is taken or dropped.
        """
        ...

    async def take_place(self, line: str, kept_ms: int) -> DueSlot | None:
        """Take the first place of a line if it is due; else tell when it is, if there is one."""
        ...

    async def drop_place(self, line: str, place: str) -> bool:
        """Forget a place; tells whether it was there, and so taken by nobody."""
        ...

    async def aclose(self) -> None: ...
