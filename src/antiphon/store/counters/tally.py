"""The state of counters in memory. Nothing in here waits, so each call is one atomic step."""

from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping, Sequence
from heapq import heappop, heappush

from antiphon.core.limits import buckets as rates
from antiphon.core.limits.buckets import Bucket
from antiphon.core.limits.decision import admit
from antiphon.core.limits.spend import EMPTY, Account, charge, lifetime, release
from antiphon.core.limits.values import (
    Ask,
    Balance,
    Draw,
    Granted,
    Level,
    Reservation,
    Settlement,
    Unseeded,
    Verdict,
)
from antiphon.store.counters.base import UnseededError

# Settled ids that are remembered, so that a repetition changes nothing.
REMEMBERED = 8192
# How many old buckets or accounts are looked at for each new one.
LOOKED_AT = 2
# A full bucket is kept a little longer: if the clock is set back meanwhile, it is not full yet.
SLACK_MS = 60_000


class Tally:
    """Buckets, accounts and reservations. Time is an argument: Unix milliseconds.

    What is full again or long over is forgotten bit by bit: for each bucket or account that is
    new, two old ones are looked at. So there is never a pause, and never more than about twice
    what is in use.
    """

    def __init__(self) -> None:
        self._seeded = False
        self._buckets: dict[str, Bucket] = {}
        self._accounts: dict[str, Account] = {}
        self._reservations: dict[str, Reservation] = {}
        self._first_expiry = 0  # no reservation expires before
        self._settled: OrderedDict[str, None] = OrderedDict()
        self._bucket_names: deque[str] = deque()
        self._account_ends: list[tuple[int, str]] = []  # a heap: the first to be forgotten first

    def admit(self, ask: Ask, now: int) -> Verdict:
        """Decide an ask, and take everything or nothing.

        One whose reservation is there already, or was, is granted again and takes nothing.
        """
        if not self._seeded:
            return Unseeded()
        self._expire(now)
        if ask.id in self._reservations or ask.id in self._settled:
            return Granted(self.levels(ask.draws, now))
        decision = admit(ask, self._buckets, self._accounts, now)
        self._keep(decision.buckets, now)
        self._keep_accounts(decision.accounts, now)
        if type(decision.verdict) is Granted:
            self._reserve(ask, now)
        return decision.verdict

    def draw(self, draws: Iterable[Draw], now: int) -> None:
        """Take without asking."""
        for draw in draws:
            bucket = rates.take(self._buckets.get(draw.bucket), draw, now)
            self._keep({draw.bucket: bucket}, now)

    def settle(self, settlement: Settlement, now: int) -> bool:
        """Release and charge, once for each id; tells whether this was the time."""
        if not self._seeded:
            raise UnseededError("The counters do not know what has been spent")
        self._release(self._reservations.pop(settlement.id, None))
        if settlement.id in self._settled:
            return False
        self._remember(settlement.id)
        for name, cost in settlement.costs.items():
            account = charge(self._accounts.get(name, EMPTY), cost)
            self._keep_accounts({name: account}, now)
        self.draw(settlement.corrections, now)
        return True

    def renew(self, reservations: Iterable[str], lease_ms: int, now: int) -> None:
        """Let reservations that have not expired live on."""
        self._expire(now)
        expires_at = now + lease_ms
        self._first_expiry = min(self._first_expiry, expires_at)
        for name in reservations:
            if found := self._reservations.get(name):
                self._reservations[name] = Reservation(found.holds, expires_at)

    def levels(self, draws: Sequence[Draw], now: int) -> tuple[Level, ...]:
        """Look, and take nothing."""
        return tuple(rates.level(self._buckets.get(d.bucket), d.limit, now) for d in draws)

    def balance(self, accounts: Iterable[str], now: int) -> tuple[Balance, ...]:
        """Look what is spent and held."""
        self._expire(now)
        found = (self._accounts.get(name, EMPTY) for name in accounts)
        return tuple(Balance(account.spent, account.held) for account in found)

    def seed(self, spent: Mapping[str, int], settled: Iterable[str], now: int) -> None:
        """Learn what was spent before, unless that is known."""
        if self._seeded:
            return
        self._seeded = True
        self._keep_accounts({name: Account(amount) for name, amount in spent.items()}, now)
        for name in settled:
            self._remember(name)

    def _reserve(self, ask: Ask, now: int) -> None:
        expires_at = now + ask.lease_ms
        if not self._reservations or expires_at < self._first_expiry:
            self._first_expiry = expires_at
        self._reservations[ask.id] = Reservation(ask.holds, expires_at)

    def _release(self, reservation: Reservation | None) -> None:
        for hold in reservation.holds if reservation else ():
            # An account that was forgotten holds nothing.
            if account := self._accounts.get(hold.account):
                self._accounts[hold.account] = release(account, hold.amount)

    def _expire(self, now: int) -> None:
        if now < self._first_expiry or not self._reservations:
            return
        over = [name for name, found in self._reservations.items() if found.expires_at <= now]
        for name in over:
            self._release(self._reservations.pop(name))
        expiries = (found.expires_at for found in self._reservations.values())
        self._first_expiry = min(expiries, default=0)

    def _remember(self, settled: str) -> None:
        self._settled[settled] = None
        if len(self._settled) > REMEMBERED:
            self._settled.popitem(last=False)

    def _keep(self, buckets: Mapping[str, Bucket], now: int) -> None:
        for name, bucket in buckets.items():
            if name not in self._buckets:
                self._forget_buckets(now)
                self._bucket_names.append(name)
            self._buckets[name] = bucket

    def _forget_buckets(self, now: int) -> None:
        for _ in range(min(LOOKED_AT, len(self._bucket_names))):
            name = self._bucket_names.popleft()
            if self._buckets[name].full_at + SLACK_MS > now:
                self._bucket_names.append(name)
            else:
                del self._buckets[name]

    def _keep_accounts(self, accounts: Mapping[str, Account], now: int) -> None:
        for name, account in accounts.items():
            if name not in self._accounts and (found := lifetime(name)) is not None:
                # The clock of who asks may have been set back: what it still uses is not over.
                self._forget_accounts(min(now, found.begins_at))
                heappush(self._account_ends, (found.forget_at, name))
            self._accounts[name] = account

    def _forget_accounts(self, now: int) -> None:
        for _ in range(LOOKED_AT):
            if self._account_ends and self._account_ends[0][0] <= now:
                del self._accounts[heappop(self._account_ends)[1]]
