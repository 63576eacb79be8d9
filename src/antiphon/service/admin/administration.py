"""All use cases of administration, over one office."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from antiphon.service.admin.audit import AuditLog
from antiphon.service.admin.balances import Balances
from antiphon.service.admin.keys import ORDINARY, KeyRing
from antiphon.service.admin.people import People
from antiphon.service.admin.rate_limits import RateLimits
from antiphon.service.admin.spend_limits import SpendLimits
from antiphon.service.admin.transactions import AdminTransactions
from antiphon.service.admin.workspaces import Workspaces
from antiphon.service.models import LimitGroups
from antiphon.settings import LimitSettings
from antiphon.store.accounts import KeyKind
from antiphon.store.counters.base import Counters


@dataclass(frozen=True, slots=True)
class Administration:
    """What administrators do."""

    people: People
    workspaces: Workspaces
    keys: KeyRing
    rate_limits: RateLimits
    spend_limits: SpendLimits
    balances: Balances
    audit: AuditLog


def build_administration(
    office: AdminTransactions,
    settings: LimitSettings,
    counters: Counters,
    groups: Callable[[], LimitGroups],
    kinds: Collection[KeyKind] = ORDINARY,
) -> Administration:
    """Make the use cases.

    `groups` says which models share limits; `kinds` are the kinds of keys that can be seen.
    """
    return Administration(
        people=People(office),
        workspaces=Workspaces(office),
        keys=KeyRing(office, kinds),
        rate_limits=RateLimits(office, settings, groups),
        spend_limits=SpendLimits(office, settings),
        balances=Balances(office, settings, counters),
        audit=AuditLog(office),
    )
