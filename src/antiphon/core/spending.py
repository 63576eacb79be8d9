"""Which spend limits apply to a request, in which periods, and how they refuse.

What a request costs belongs to the periods in which it was admitted, on the accounts of its
organization, its workspace and its key.
"""

from collections.abc import Iterable
from datetime import datetime

import msgspec

from antiphon.core.errors import ApiError, InvalidRequestError, RateLimitError
from antiphon.core.periods import PERIODS, Period, day_of, end_of, start_of
from antiphon.core.spend import account_name


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
