"""Spend limits: accounts of integer nano-dollars.

Before a request the worst that it can cost is held, afterwards the truth is settled. What is spent
and what is held never exceed a limit together, so no order of events overspends; and a request is
refused for good only if it would not fit even if everything that runs turned out to be free.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import cast

import msgspec

from antiphon.core.errors import ApiError, InvalidRequestError, RateLimitError
from antiphon.core.limits.periods import PERIODS, Period, day_of, end_of, midnight, start_of
from antiphon.core.limits.values import Ask, Busy, Exceeded, Hold

# How long the one that waits first keeps its place without asking again.
TURN_MS = 1000
# A request settles in the period in which it began, also after that is over; and a clock that is
# set back by as much as a month finds the accounts as it has left them.
_GRACE = timedelta(days=32)

_PERIOD = re.compile(r":(daily|weekly|monthly):(\d{4}-\d{2}-\d{2})\Z")


class Account(msgspec.Struct, frozen=True, gc=False):
    """What one scope has spent in one period, and what its running requests may yet cost.

    `first` is the ask that waits for money here; until `first_until` it comes before all others.
    """

    spent: int = 0
    held: int = 0
    first: str | None = None
    first_until: int = 0

    def awaited_by_another(self, ask_id: str, now: int) -> bool:
        """Tell whether somebody else has its turn."""
        return self.first is not None and self.first != ask_id and now < self.first_until


EMPTY = Account()


def account_name(scope: str, period: Period, start: date) -> str:
    """Name the account of a scope for the period that begins on `start`, in UTC.

    >>> account_name("organization:1", "monthly", date(2026, 11, 1))
    'organization:1:monthly:2026-11-01'
    """
    return f"{scope}:{period}:{start.isoformat()}"


class Lifetime(msgspec.Struct, frozen=True, gc=False):
    """When an account's period begins, and when it can be forgotten; in Unix milliseconds."""

    begins_at: int
    forget_at: int


def lifetime(account: str) -> Lifetime | None:
    """Return how long an account is needed; `None` if its name does not end with a period.

    Those are kept for ever.
    """
    found = _PERIOD.search(account)
    if found is None:
        return None
    try:
        start = date.fromisoformat(found[2])
        forget_at = midnight(end_of(cast("Period", found[1]), start)) + _GRACE
    except (ValueError, OverflowError):  # no such day, or none after it
        return None
    return Lifetime(_ms(midnight(start)), _ms(forget_at))


def forget_at_ms(account: str) -> int | None:
    """Return when an account can be forgotten, some time after its period; `None` is never."""
    found = lifetime(account)
    return None if found is None else found.forget_at


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def reserve(
    ask: Ask, accounts: Mapping[str, Account], now: int
) -> tuple[Exceeded | Busy | None, dict[str, Account]]:
    """Hold the worst case on every account, or on none; `None` means that all of it fits.

    The accounts that are other than before are returned as well: an ask that waits gets its turn
    at the account that was busy, unless somebody else has it; any other answer ends its turn.
    """
    busy = None
    for index, hold in enumerate(ask.holds):
        # What costs nothing is never too expensive.
        if hold.limit is None or hold.amount <= 0:
            continue
        account = accounts.get(hold.account, EMPTY)
        if account.spent + hold.amount > hold.limit:
            return Exceeded(index), without_turn(ask, accounts)
        full = account.spent + account.held + hold.amount > hold.limit
        if busy is None and (full or account.awaited_by_another(ask.id, now)):
            busy = Busy(index)
    if busy is not None:
        return busy, _with_turn(ask, ask.holds[busy.index].account, accounts, now)
    return None, {hold.account: _held(ask, hold, accounts) for hold in ask.holds}


def without_turn(ask: Ask, accounts: Mapping[str, Account]) -> dict[str, Account]:
    """Let others come where this ask came first, for it waits no more."""
    found = ((hold.account, accounts.get(hold.account, EMPTY)) for hold in ask.holds)
    return {
        name: Account(account.spent, account.held)
        for name, account in found
        if account.first == ask.id
    }


def release(account: Account, amount: int) -> Account:
    """Give up what was held."""
    return Account(account.spent, account.held - amount, account.first, account.first_until)


def charge(account: Account, cost: int) -> Account:
    """Add what was really spent: in full, whatever was held and whatever the limit is."""
    return Account(account.spent + cost, account.held, account.first, account.first_until)


def _held(ask: Ask, hold: Hold, accounts: Mapping[str, Account]) -> Account:
    account = accounts.get(hold.account, EMPTY)
    held = account.held + hold.amount
    if account.first == ask.id:
        return Account(account.spent, held)
    return Account(account.spent, held, account.first, account.first_until)


def _with_turn(
    ask: Ask, name: str, accounts: Mapping[str, Account], now: int
) -> dict[str, Account]:
    if not ask.waits:
        return without_turn(ask, accounts)
    account = accounts.get(name, EMPTY)
    if account.awaited_by_another(ask.id, now):
        return {}
    return {name: Account(account.spent, account.held, ask.id, now + TURN_MS)}


class SpendCap(msgspec.Struct, frozen=True):
    """So many nano-dollars in a period, for a scope.

    `tier` is the cap that the operator sets for the whole organization, and not one of its own.
    """

    scope: str
    scope_id: str
    period: Period
    amount: int
    tier: bool = False

    def account(self, moment: datetime) -> str:
        """Name the account that the limit applies to at this moment."""
        return account_name(
            f"{self.scope}:{self.scope_id}", self.period, start_of(self.period, day_of(moment))
        )


def accounts_of(scopes: Iterable[tuple[str, str]], moment: datetime) -> tuple[str, ...]:
    """Name every account that a request is charged to, given its scopes and their ids."""
    day = day_of(moment)
    starts = [(period, start_of(period, day)) for period in PERIODS]
    return tuple(
        account_name(f"{scope}:{scope_id}", period, start)
        for scope, scope_id in scopes
        for period, start in starts
    )


def spend_error(cap: SpendCap, moment: datetime) -> ApiError:
    """Refuse in the wire's words: 400 for a limit that the customer set, 429 for the tier's cap.

    Neither has a `retry-after`: clients would wait for weeks.
    """
    until = f"You will regain access on {end_of(cap.period, day_of(moment))} at 00:00 UTC."
    if cap.tier:
        return RateLimitError(
            "You have reached your API usage limits: your organization has crossed its monthly API "
            f"usage threshold, set based on your organization's API tier. {until}",
            error_code="enforced_spend_limit_reached",
        )
    if cap.scope == "key":
        return InvalidRequestError(f"You have reached the usage limits of this API key. {until}")
    owner = "workspace " if cap.scope == "workspace" else ""
    return InvalidRequestError(f"You have reached your specified {owner}API usage limits. {until}")
