"""All use cases of administration, over one database."""

from collections.abc import Callable, Collection

import msgspec

from antiphon.service.admin.audit import AuditLog
from antiphon.service.admin.balances import Balances
from antiphon.service.admin.current_spending import CurrentSpending
from antiphon.service.admin.increases import Increases
from antiphon.service.admin.keys import ORDINARY, KeyRing
from antiphon.service.admin.people import People
from antiphon.service.admin.rate_levels import RateLevels
from antiphon.service.admin.rate_limits import RateLimits
from antiphon.service.admin.spend_limits import SpendLimits
from antiphon.service.admin.spending import MemberSpending
from antiphon.service.admin.transactions import AdminTransactions
from antiphon.service.admin.workspaces import Workspaces
from antiphon.service.models import LimitGroups
from antiphon.settings import LimitSettings
from antiphon.store.accounts import KeyKind
from antiphon.store.counters.base import Counters


class Administration(msgspec.Struct, frozen=True):
    """The use cases of administrators, by family."""

    people: People
    workspaces: Workspaces
    keys: KeyRing
    rate_limits: RateLimits
    rate_levels: RateLevels
    spend_limits: SpendLimits
    balances: Balances
    spending: MemberSpending
    increases: Increases
    audit: AuditLog


def build_administration(  # noqa: PLR0913 - what all use cases need
    transactions: AdminTransactions,
    settings: LimitSettings,
    counters: Counters,
    groups: Callable[[], LimitGroups],
    *,
    kinds: Collection[KeyKind] = ORDINARY,
    cancelled: Callable[[str], None] = lambda _: None,
) -> Administration:
    """Return the use cases.

    `groups` returns the models that share limits; `kinds` are the visible kinds of keys. Each
    batch that an administrator cancels is told to `cancelled` by its id.
    """
    rates = RateLimits(transactions, settings, groups)
    spends, current = SpendLimits(transactions, settings), CurrentSpending(settings, counters)
    return Administration(
        people=People(transactions),
        workspaces=Workspaces(transactions, cancelled),
        keys=KeyRing(transactions, kinds),
        rate_limits=rates,
        rate_levels=RateLevels(transactions, rates, counters),
        spend_limits=spends,
        balances=Balances(transactions, current),
        spending=MemberSpending(transactions, current),
        increases=Increases(transactions, rates, spends),
        audit=AuditLog(transactions),
    )
