"""The state of counters in memory. No method waits, so each call is one atomic step."""

from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping, Sequence
from heapq import heappop, heappush

from antiphon.core.limits import buckets as rates
from antiphon.core.limits.buckets import Bucket
from antiphon.core.limits.decision import admit
from antiphon.core.limits.spend import EMPTY, AccountState, charge, lifetime, release
from antiphon.core.limits.values import (
    Account,
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

# The settled ids that are kept, so that a repeated settlement changes nothing.
REMEMBERED = 8192
# The old buckets or accounts that are examined for each new one.
LOOKED_AT = 2
# A full bucket is kept a little longer: if the clock is set back meanwhile, it is not full yet.
SLACK_MS = 60_000


class Tally:
    """Buckets, accounts and reservations. Time is an argument: Unix milliseconds.

    Full buckets and expired accounts are removed step by step: for each new bucket or account, two
    old ones are examined. So there is never a pause, and the tally keeps at most about twice the
    buckets and accounts in use.
    """

    def __init__(self) -> None:
        self._seeded = False
        self._buckets: dict[str, Bucket] = {}
        self._accounts: dict[Account, AccountState] = {}
        self._reservations: dict[str, Reservation] = {}
        self._first_expiry = 0  # no reservation expires before
        self._settled: OrderedDict[str, None] = OrderedDict()
        self._bucket_names: deque[str] = deque()
        self._account_ends: list[
            tuple[int, Account]
        ] = []  # a heap: the first to be forgotten first

    def admit(self, ask: Ask, now: int) -> Verdict:
        """Decide an ask, and take everything or nothing.

        An ask whose reservation exists, or was settled, is granted again and takes nothing.
        """
        if not self._seeded:
            return Unseeded()
        self._expire(now)
        if ask.id in self._reservations or ask.id in self._settled:
            return Granted(self.levels(ask.draws, now))
        decision = admit(ask, self._buckets, self._accounts, now)
        self._keep(decision.buckets, now)
        if decision.accounts:
            self._keep_accounts(decision.accounts, now)
        if type(decision.verdict) is Granted:
            self._reserve(ask, now)
        return decision.verdict

    def draw(self, draws: Iterable[Draw], now: int) -> None:
        """Draw unconditionally."""
        for draw in draws:
            bucket = rates.take(self._buckets.get(draw.bucket), draw, now)
            self._keep({draw.bucket: bucket}, now)

    def settle(self, settlement: Settlement, now: int) -> bool:
        """Release and charge, once for each id; return whether this settlement counted."""
        if not self._seeded:
            raise UnseededError("The counters have not learned the spent amounts")
        self._release(self._reservations.pop(settlement.id, None))
        if settlement.id in self._settled:
            return False
        self._remember(settlement.id)
        if settlement.costs:
            known = self._accounts
            charged = {
                account: charge(known.get(account, EMPTY), cost)
                for account, cost in settlement.costs.items()
            }
            self._keep_accounts(charged, now)
        if settlement.corrections:
            self.draw(settlement.corrections, now)
        return True

    def renew(self, reservations: Iterable[str], lease_ms: int, now: int) -> None:
        """Renew the leases of reservations that have not expired."""
        self._expire(now)
        expires_at = now + lease_ms
        self._first_expiry = min(self._first_expiry, expires_at)
        for name in reservations:
            if found := self._reservations.get(name):
                self._reservations[name] = Reservation(found.holds, expires_at)

    def levels(self, draws: Sequence[Draw], now: int) -> tuple[Level, ...]:
        """Return the levels of the buckets, and draw nothing."""
        return tuple(rates.level(self._buckets.get(d.bucket), d.limit, now) for d in draws)

    def balance(self, accounts: Iterable[Account], now: int) -> tuple[Balance, ...]:
        """Return the money spent and held on these accounts."""
        self._expire(now)
        found = (self._accounts.get(account, EMPTY) for account in accounts)
        return tuple(Balance(state.spent, state.held) for state in found)

    def seed(self, spent: Mapping[Account, int], settled: Iterable[str], now: int) -> None:
        """Set the money spent before, unless the tally is seeded."""
        if self._seeded:
            return
        self._seeded = True
        states = {account: AccountState(amount) for account, amount in spent.items()}
        self._keep_accounts(states, now)
        for name in settled:
            self._remember(name)

    def _reserve(self, ask: Ask, now: int) -> None:
        expires_at = now + ask.lease_ms
        if not self._reservations or expires_at < self._first_expiry:
            self._first_expiry = expires_at
        self._reservations[ask.id] = Reservation(ask.holds, expires_at)

    def _release(self, reservation: Reservation | None) -> None:
        for hold in reservation.holds if reservation else ():
            # A removed account holds nothing.
            if state := self._accounts.get(hold.account):
                self._accounts[hold.account] = release(state, hold.amount)

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
        if buckets.keys() <= self._buckets.keys():
            self._buckets.update(buckets)
            return
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

    def _keep_accounts(self, accounts: Mapping[Account, AccountState], now: int) -> None:
        if accounts.keys() <= self._accounts.keys():
            self._accounts.update(accounts)
            return
        for account, state in accounts.items():
            if account not in self._accounts and (found := lifetime(account)) is not None:
                # The caller's clock may have been set back: a used account must not expire.
                self._forget_accounts(min(now, found.begins_at))
                heappush(self._account_ends, (found.forget_at, account))
            self._accounts[account] = state

    def _forget_accounts(self, now: int) -> None:
        for _ in range(LOOKED_AT):
            if self._account_ends and self._account_ends[0][0] <= now:
                del self._accounts[heappop(self._account_ends)[1]]
