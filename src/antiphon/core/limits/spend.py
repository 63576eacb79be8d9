"""Spend limits: accounts of integer nano-dollars.

Before a request its worst case is held, afterwards its real cost is settled. Money spent and money
held never exceed a limit together, so no order of events overspends; and a request is refused for
good only if it would not fit even if all running requests turned out to be free.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

import msgspec

from antiphon.core.billing.money import dollars
from antiphon.core.errors import ApiError, InvalidRequestError, RateLimitError
from antiphon.core.limits.periods import PERIODS, Period, day_of, end_of, midnight, start_of
from antiphon.core.limits.values import Account, Ask, Busy, Exceeded, Hold, Scope
from antiphon.wire.errors import shortened

# The time for which the first waiting ask keeps its turn without asking again.
TURN_MS = 1000
# The operator caps the organization's month.
TIER_PERIOD: Period = "monthly"
# A request settles in the period in which it began, also after the period is over; and a clock
# that is set back by as much as a month finds the accounts unchanged.
_GRACE = timedelta(days=32)


class AccountState(msgspec.Struct, frozen=True, gc=False):
    """The money spent on an account, and the money that running requests hold.

    `first` is the id of the ask that has its turn here: until `first_until`, in milliseconds, it
    comes before all others.
    """

    spent: int = 0
    held: int = 0
    first: str | None = None
    first_until: int = 0

    def awaited_by_another(self, ask_id: str, now: int) -> bool:
        """Return whether another ask has its turn."""
        return self.first is not None and self.first != ask_id and now < self.first_until


EMPTY = AccountState()


class Lifetime(msgspec.Struct, frozen=True, gc=False):
    """When an account's period begins, and when it can be forgotten; in Unix milliseconds."""

    begins_at: int
    forget_at: int


def lifetime(account: Account) -> Lifetime | None:
    """Return the lifetime of an account; `None` if its period ends after the calendar does."""
    try:
        forget_at = midnight(end_of(account.period, account.start)) + _GRACE
    except OverflowError:
        return None
    return Lifetime(_ms(midnight(account.start)), _ms(forget_at))


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def reserve(
    ask: Ask, accounts: Mapping[Account, AccountState], now: int
) -> tuple[Exceeded | Busy | None, dict[Account, AccountState]]:
    """Hold the worst case on every account, or on none; `None` means that all of it fits.

    Also returns the accounts that change: an ask that waits gets its turn at the busy account,
    unless another ask has it; any other answer ends its turn.
    """
    busy = None
    for index, hold in enumerate(ask.holds):
        # A free request is never too expensive.
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


def without_turn(ask: Ask, accounts: Mapping[Account, AccountState]) -> dict[Account, AccountState]:
    """End the turns of an ask that waits no more."""
    found = ((hold.account, accounts.get(hold.account, EMPTY)) for hold in ask.holds)
    return {
        account: AccountState(state.spent, state.held)
        for account, state in found
        if state.first == ask.id
    }


def release(state: AccountState, amount: int) -> AccountState:
    """Release a hold."""
    return AccountState(state.spent, state.held - amount, state.first, state.first_until)


def charge(state: AccountState, cost: int) -> AccountState:
    """Add a real cost in full, regardless of the hold and the limit."""
    return AccountState(state.spent + cost, state.held, state.first, state.first_until)


def _held(ask: Ask, hold: Hold, accounts: Mapping[Account, AccountState]) -> AccountState:
    state = accounts.get(hold.account, EMPTY)
    held = state.held + hold.amount
    if state.first == ask.id:
        return AccountState(state.spent, held)
    return AccountState(state.spent, held, state.first, state.first_until)


def _with_turn(
    ask: Ask, account: Account, accounts: Mapping[Account, AccountState], now: int
) -> dict[Account, AccountState]:
    if not ask.waits:
        return without_turn(ask, accounts)
    state = accounts.get(account, EMPTY)
    if state.awaited_by_another(ask.id, now):
        return {}
    return {account: AccountState(state.spent, state.held, ask.id, now + TURN_MS)}


def accounts_of(scopes: Iterable[tuple[str, str]], moment: datetime) -> tuple[Account, ...]:
    """Return every account that a request is charged to, given its scopes and their ids."""
    day = day_of(moment)
    starts = [(period, start_of(period, day)) for period in PERIODS]
    return tuple(
        Account(scope, scope_id, period, start)
        for scope, scope_id in scopes
        for period, start in starts
    )


class SpendCap(msgspec.Struct, frozen=True):
    """At most `amount` nano-dollars in a period, for a scope.

    `tier` marks the cap that the operator sets for the whole organization.
    """

    scope: str
    scope_id: str
    period: Period
    amount: int
    tier: bool = False

    def account(self, moment: datetime) -> Account:
        """Return the account that the cap applies to at this moment."""
        start = start_of(self.period, day_of(moment))
        return Account(self.scope, self.scope_id, self.period, start)


def spend_caps(
    scope: str, scope_id: str, limits: Mapping[Period, int], tier: int | None
) -> dict[Period, SpendCap]:
    """Return the cap that binds a scope in each period, given its own limits.

    `tier` is the operator's cap for the organization's month. It and the organization's own limit
    are one account, so only the tighter of the two applies: an account that an ask named twice
    would be held and released twice. Of two equal ones the organization's own limit applies.
    """
    caps = {period: SpendCap(scope, scope_id, period, amount) for period, amount in limits.items()}
    if scope == Scope.ORGANIZATION and tier is not None:
        own = caps.get(TIER_PERIOD)
        if own is None or exceeds_tier(own.amount, TIER_PERIOD, tier):
            caps[TIER_PERIOD] = SpendCap(scope, scope_id, TIER_PERIOD, tier, tier=True)
    return caps


def exceeds_tier(amount: int, period: Period, tier: int) -> bool:
    """Return whether a limit for a period is above the operator's cap."""
    return period == TIER_PERIOD and amount > tier


class Attempt(msgspec.Struct, frozen=True):
    """What a refused request could have cost, in nano-dollars.

    `most` is its worst case, `least` that of the same request with the shortest answer. `left` is
    what its limit leaves, `None` where that is not known.
    """

    most: int
    least: int
    left: int | None


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What a refusal tells its caller beside the API's own sentences.

    `amount`: whether the caller may know the amount of the limit. `key_name` is the name of the
    caller's key.
    """

    amount: bool = True
    key_name: str | None = None
    attempt: Attempt | None = None


WHOLE: Final = Told()
"""What operators are told."""


def named(cap: SpendCap, told: Told = WHOLE) -> str:
    """Return the name of a limit in a sentence: its period, its amount if that is told, its scope.

    >>> named(SpendCap("workspace", "wrkspc_01", "daily", 5_000_000_000))
    'the daily limit of $5.00 of workspace wrkspc_01'
    """
    if cap.scope == Scope.ORGANIZATION:
        owner = "the server for the organization" if cap.tier else "the organization"
    elif cap.scope == Scope.KEY:
        called = f"{shortened(told.key_name)!r}, " if told.key_name else ""
        owner = f"API key {called}{cap.scope_id}"
    else:
        owner = f"{cap.scope} {cap.scope_id}"
    amount = f" of ${dollars(cap.amount)}" if told.amount else ""
    return f"the {cap.period} limit{amount} of {owner}"


def spend_error(cap: SpendCap, moment: datetime, told: Told = WHOLE) -> ApiError:
    """Return the refusal in the wire's words: 400 for a customer's limit, 429 for the tier's cap.

    Sentences follow that name the limit, as of several a caller cannot know which one it is, and
    what the caller can do. Neither has a `retry-after`: clients would wait for weeks.
    """
    until = f"You will regain access on {end_of(cap.period, day_of(moment))} at 00:00 UTC."
    until = f"{until} This is {named(cap, told)}.{_helps(told.attempt)}"
    if cap.tier:
        return RateLimitError(
            "You have reached your API usage limits: your organization has crossed its monthly API "
            f"usage threshold, set based on your organization's API tier. {until}",
            error_code="enforced_spend_limit_reached",
        )
    if told.attempt is not None:
        until = f"{until} You may also contact an administrator to request a higher limit."
    if cap.scope == Scope.KEY:
        return InvalidRequestError(f"You have reached the usage limits of this API key. {until}")
    owner = "workspace " if cap.scope == Scope.WORKSPACE else ""
    return InvalidRequestError(f"You have reached your specified {owner}API usage limits. {until}")


def _helps(attempt: Attempt | None) -> str:
    """Return the sentences about a refused request: what it could have cost, and what lowers it."""
    if attempt is None:
        return ""
    said = f" This request could cost up to ${dollars(attempt.most)}."
    if attempt.left is None or attempt.least == attempt.most:
        return said
    if attempt.least <= attempt.left:
        return f"{said} A smaller `max_tokens` can make it fit."
    return f"{said} A smaller `max_tokens` alone does not make it fit."
