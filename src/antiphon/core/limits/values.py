"""The questions to the counters behind rate limits and spend limits, and their answers.

Values only: `core.limits.buckets` and `core.limits.spend` decide, `store.counters` keeps count.
All numbers are integers: tokens (or requests), milliseconds and nano-dollars.
"""

from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from typing import TypeAlias

import msgspec

from antiphon.core.limits.periods import Period

# The largest amounts that a program with doubles, as a Lua script, counts exactly to the unit.
LARGEST_LIMIT = 10**10  # tokens or requests a minute
LARGEST_SPEND = 9 * 10**15  # nano-dollars: nine million dollars


class Scope(StrEnum):
    """The kinds of owner that a limit can have."""

    ORGANIZATION = "organization"
    WORKSPACE = "workspace"
    KEY = "key"

    @property
    def wire(self) -> str:
        """The name of the scope in the Admin API."""
        return "api_key" if self is Scope.KEY else self.value


class Draw(msgspec.Struct, frozen=True, gc=False):
    """Tokens (or requests) to be taken out of a bucket that holds a minute's worth of `limit`.

    The first draw makes the bucket, full. `limit` is the limit that applies now, from 1 to
    `LARGEST_LIMIT`; it may differ from draw to draw. An ask names each bucket once.

    `needs_positive` is for amounts that are not known yet, as output is at admission: such a draw
    is granted while the bucket holds at least one token, and then takes `amount`, mostly 0.
    As a correction, a negative `amount` gives back.
    """

    bucket: str
    limit: int
    amount: int
    needs_positive: bool = False

    def __post_init__(self) -> None:
        """Refuse a limit with which no retry could ever succeed, and one too large to count."""
        if not 1 <= self.limit <= LARGEST_LIMIT:
            raise ValueError(f"{self.bucket}: a rate limit is from 1 to {LARGEST_LIMIT} a minute")


class Account(msgspec.Struct, frozen=True, gc=False, order=True, cache_hash=True):
    """The name of the account of one scope in one period, whose first day in UTC is `start`.

    `core.limits.spend.lifetime` derives from it how long the account is needed.
    """

    scope: str
    scope_id: str
    period: Period
    start: date


class Hold(msgspec.Struct, frozen=True, gc=False):
    """The worst case of a request, in nano-dollars, to be set aside on an account.

    Without a `limit` the account is only kept track of. An ask names each account once.
    """

    account: Account
    limit: int | None
    amount: int


class Ask(msgspec.Struct, frozen=True, gc=False):
    """The question whether a request may begin. One step takes everything or nothing.

    `id` names the reservation; the settlement has the same. A reservation that is neither settled
    nor renewed within `lease_ms` is released, as its process has died. `waits` says that the
    request is asked for again after `Busy`: for a moment it keeps its turn before later requests,
    so that small ones do not starve a large one.
    """

    id: str
    draws: tuple[Draw, ...]
    holds: tuple[Hold, ...]
    lease_ms: int
    waits: bool = False


class Level(msgspec.Struct, frozen=True, gc=False):
    """The level of a bucket: whole tokens, never below 0, and the time until it is full."""

    remaining: int
    full_in_ms: int


class Granted(msgspec.Struct, frozen=True, gc=False):
    """The request may begin. `levels` are those after its draws, in their order."""

    levels: tuple[Level, ...]


class Limited(msgspec.Struct, frozen=True, gc=False):
    """A rate limit refuses: `draws[index]`, the refusing draw with the longest wait.

    The same ask is granted after `retry_after_ms`, and not before, if there are no other draws.
    `levels` are the present ones, in the order of the draws.
    """

    index: int
    retry_after_ms: int
    levels: tuple[Level, ...]


class Exceeded(msgspec.Struct, frozen=True, gc=False):
    """A spend limit refuses: `holds[index]` does not fit beside the money already spent."""

    index: int


class Busy(msgspec.Struct, frozen=True, gc=False):
    """`holds[index]` may fit when requests that are running are settled: wait and ask again."""

    index: int


class Unseeded(msgspec.Struct, frozen=True, gc=False):
    """The counters do not have the spent amounts yet, so they grant nothing."""


Verdict: TypeAlias = Granted | Limited | Exceeded | Busy | Unseeded


class Reservation(msgspec.Struct, frozen=True, gc=False):
    """The holds of a granted ask, and the time at which they expire unless renewed."""

    holds: tuple[Hold, ...]
    expires_at: int


class Settlement(msgspec.Struct, frozen=True):
    """The real cost of a request. The first settlement of an `id` counts, repetitions do nothing.

    It releases everything that the reservation `id` holds, adds `costs` (nano-dollars by account)
    to the money spent, and draws `corrections` unconditionally. An unknown reservation, whose
    lease has run out or whose counters were lost, is settled in the same way.
    """

    id: str
    costs: Mapping[Account, int]
    corrections: tuple[Draw, ...] = ()


class Balance(msgspec.Struct, frozen=True, gc=False):
    """The money spent on an account, and the money that running requests hold; nano-dollars."""

    spent: int
    held: int
