"""What limits a caller: worked out once for each state of the accounts, not for each request."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from antiphon.core.limits.rate_limits import TOKEN_COUNT, Applied, LimitType, ScopeLimits, applied
from antiphon.core.limits.spend import SpendCap, accounts_of
from antiphon.service.access import Caller
from antiphon.settings import LimitSettings
from antiphon.store.directory import Directory
from antiphon.store.limits import Scope


@dataclass(frozen=True, slots=True, eq=False)
class AppliedLimits:
    """The limits of one caller for one group of models, and the scopes that pay.

    Plans compare by identity, so that what follows from one can be looked up by it.
    """

    scopes: tuple[tuple[Scope, str], ...]
    rates: tuple[Applied, ...]
    caps: tuple[SpendCap, ...]


def limited_accounts(plan: AppliedLimits, moment: datetime) -> tuple[tuple[str, int | None], ...]:
    """Name every account that a request is charged to, and its limit if it has one.

    Those that have one come first, in the order of `plan.caps`.
    """
    limited = {cap.account(moment): cap.amount for cap in plan.caps}
    names = accounts_of(plan.scopes, moment)
    return (*limited.items(), *((name, None) for name in names if name not in limited))


class LimitFinder:
    """Finds the plan of a caller."""

    def __init__(self, settings: LimitSettings) -> None:
        self._settings = settings
        self._directory: Directory | None = None
        self._plans: dict[tuple[str, str | None, str], AppliedLimits] = {}

    def find(self, caller: Caller, group: str) -> AppliedLimits:
        """Return what applies now to this caller, for the models of this group."""
        if caller.directory is not self._directory:
            self._directory = caller.directory
            self._plans.clear()
        place = (caller.key_id, caller.workspace_id, group)
        plan = self._plans.get(place)
        if plan is None:
            plan = self._plans[place] = self._make(caller, group)
        return plan

    def _make(self, caller: Caller, group: str) -> AppliedLimits:
        directory = caller.directory
        scopes = [(Scope.ORGANIZATION, directory.organization.id)]
        if caller.workspace_id is not None:
            scopes.append((Scope.WORKSPACE, caller.workspace_id))
        scopes.append((Scope.KEY, caller.key_id))
        return AppliedLimits(
            scopes=tuple(scopes),
            rates=applied(
                (
                    (*scope, scope_limits(directory, self._settings, *scope, group))
                    for scope in scopes
                ),
                group,
            ),
            caps=self._caps(directory, scopes),
        )

    def _caps(self, directory: Directory, scopes: list[tuple[Scope, str]]) -> tuple[SpendCap, ...]:
        """Return the limit of each account: of the organization's own and the tier's the tighter.

        An account stands once, for what is held on it twice would be given up twice.
        """
        caps = {
            (scope, limit.period): SpendCap(scope, scope_id, limit.period, limit.amount)
            for scope, scope_id in scopes
            for limit in directory.spend_limits.get((scope, scope_id), ())
        }
        tier = self._settings.monthly_nano_dollars
        own = caps.get((Scope.ORGANIZATION, "monthly"))
        if tier is not None and (own is None or tier < own.amount):
            house = directory.organization.id
            cap = SpendCap(Scope.ORGANIZATION, house, "monthly", tier, tier=True)
            caps[Scope.ORGANIZATION, "monthly"] = cap
        return tuple(caps.values())


def scope_limits(
    directory: Directory, settings: LimitSettings, scope: Scope, scope_id: str, group: str
) -> ScopeLimits:
    """Return the limits of one scope: what was set, and for the organization also what was not."""
    found = default_limits(settings, group) if scope is Scope.ORGANIZATION else {}
    was_set = {
        LimitType(limit.type): limit.value
        for limit in directory.rate_limits.get((scope, scope_id), ())
        if limit.group_id == group
    }
    return {**found, **was_set}


def default_limits(settings: LimitSettings, group: str) -> Mapping[LimitType, int]:
    """Return the limits that the organization has for a group where none was set."""
    if group == TOKEN_COUNT:
        return {LimitType.REQUESTS: settings.count_requests_per_minute}
    return {
        LimitType.REQUESTS: settings.requests_per_minute,
        LimitType.INPUT: settings.input_tokens_per_minute,
        LimitType.OUTPUT: settings.output_tokens_per_minute,
    }
