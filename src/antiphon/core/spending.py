"""Which spend limits apply to a request, in which periods, and how they refuse.

Days, weeks (from Monday) and months begin at midnight UTC. What a request costs belongs to the
periods in which it was admitted, on the accounts of its organization, its workspace and its key.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

import msgspec

from antiphon.core.errors import ApiError, InvalidRequestError, RateLimitError
from antiphon.core.spend import Period, account_name

PERIODS: tuple[Period, ...] = ("daily", "weekly", "monthly")

_DECEMBER = 12


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
            f"{self.scope}:{self.scope_id}", self.period, start_of(self.period, moment)
        )


def start_of(period: Period, moment: datetime) -> date:
    """Return the first day of the period that a moment is in."""
    day = moment.astimezone(UTC).date()
    match period:
        case "daily":
            return day
        case "weekly":
            return day - timedelta(days=day.weekday())
        case _:
            return day.replace(day=1)


def end_of(period: Period, moment: datetime) -> date:
    """Return the first day of the next period."""
    start = start_of(period, moment)
    match period:
        case "daily":
            return start + timedelta(days=1)
        case "weekly":
            return start + timedelta(days=7)
        case _:
            next_year = start.month == _DECEMBER
            return date(start.year + next_year, 1 if next_year else start.month + 1, 1)


def accounts_of(scopes: Iterable[tuple[str, str]], moment: datetime) -> tuple[str, ...]:
    """Name every account that a request is charged to, given its scopes and their ids."""
    starts = [(period, start_of(period, moment)) for period in PERIODS]
    return tuple(
        account_name(f"{scope}:{scope_id}", period, start)
        for scope, scope_id in scopes
        for period, start in starts
    )


def spend_error(cap: SpendCap, moment: datetime) -> ApiError:
    """Refuse in the wire's words: 400 for a limit that the customer set, 429 for the tier's cap.

    Neither has a `retry-after`: clients would wait for weeks.
    """
    until = f"You will regain access on {end_of(cap.period, moment)} at 00:00 UTC."
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
