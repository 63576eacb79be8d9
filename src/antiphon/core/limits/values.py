"""What is asked of the counters behind rate limits and spend limits, and what they answer.

Values only: `core.limits.buckets` and `core.limits.spend` decide, `store.counters` keeps count.
All numbers are integers: tokens (or requests), milliseconds and nano-dollars.
"""

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

# Up to here a program that counts in doubles, as a Lua script does, is exact to the unit.
LARGEST_LIMIT = 10**10  # tokens or requests a minute
LARGEST_SPEND = 9 * 10**15  # nano-dollars: nine million dollars


class Draw(msgspec.Struct, frozen=True, gc=False):
    """Tokens (or requests) to be taken out of a bucket that holds a minute's worth of `limit`.

    A bucket is made by its first draw, and full. `limit` is what applies now, from 1 to
    `LARGEST_LIMIT`; it may differ from draw to draw. In one ask a bucket stands once.

    `needs_positive` is for amounts that are not known yet, as output is at admission: it is
    granted while the bucket holds at least one token, and then takes `amount`, mostly 0.
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


class Hold(msgspec.Struct, frozen=True, gc=False):
    """The worst that a request can cost, in nano-dollars, to be set aside on an account.

    Without a `limit` the account is only kept track of. In one ask an account stands once. It is
    one scope in one period; `core.spend.account_name` names it, and the name says when it can be
    forgotten.
    """

    account: str
    limit: int | None
    amount: int


class Ask(msgspec.Struct, frozen=True, gc=False):
    """May this request begin? Decided in one step: everything is taken, or nothing.

    `id` names the reservation; the settlement has the same. A reservation that is neither settled
    nor renewed within `lease_ms` is given up, as its process has died. `waits` says that the
    asker comes back after `Busy`: for a moment its place is kept before those who come later, so
    that small requests do not starve a large one.
    """

    id: str
    draws: tuple[Draw, ...]
    holds: tuple[Hold, ...]
    lease_ms: int
    waits: bool = False


class Level(msgspec.Struct, frozen=True, gc=False):
    """How full a bucket is: whole tokens, never below 0, and the time until it is full."""

    remaining: int
    full_in_ms: int


class Granted(msgspec.Struct, frozen=True, gc=False):
    """The request may begin. `levels` are those after its draws, in their order."""

    levels: tuple[Level, ...]


class Limited(msgspec.Struct, frozen=True, gc=False):
    """A rate limit refuses: `draws[index]`, of those that refuse the one that lasts longest.

    The same ask is granted after `retry_after_ms`, and not before, if nobody else draws. `levels`
    are those that there are, in the order of the draws.
    """

    index: int
    retry_after_ms: int
    levels: tuple[Level, ...]


class Exceeded(msgspec.Struct, frozen=True, gc=False):
    """A spend limit refuses: `holds[index]` does not fit beside what has been spent."""

    index: int


class Busy(msgspec.Struct, frozen=True, gc=False):
    """`holds[index]` may fit when requests that are running are settled: wait and ask again."""

    index: int


class Unseeded(msgspec.Struct, frozen=True, gc=False):
    """The counters do not know yet what has been spent, so nothing can be granted."""


Verdict: TypeAlias = Granted | Limited | Exceeded | Busy | Unseeded


class Reservation(msgspec.Struct, frozen=True, gc=False):
    """What a granted ask holds, and until when it lives without being settled or renewed."""

    holds: tuple[Hold, ...]
    expires_at: int


class Settlement(msgspec.Struct, frozen=True):
    """What a request has really cost. The first one of an `id` counts, repetitions add nothing.

    It gives up everything that the reservation `id` holds, adds `costs` (nano-dollars by account)
    to what has been spent, and draws `corrections` without asking. That is so too when the
    reservation is unknown, because its lease has run out or the counters were lost.
    """

    id: str
    costs: Mapping[str, int]
    corrections: tuple[Draw, ...] = ()


class Balance(msgspec.Struct, frozen=True, gc=False):
    """What has been spent on an account, and what running requests hold of it; nano-dollars."""

    spent: int
    held: int
