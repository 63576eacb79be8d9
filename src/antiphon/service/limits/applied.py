"""The limits of a caller, computed once for each state of the accounts, not for each request."""

from collections.abc import Mapping
from datetime import datetime

import msgspec

from antiphon.core.limits.rate_limits import (
    BATCH,
    FILES,
    TOKEN_COUNT,
    LimitType,
    RateLimits,
    ScopeLimits,
    applied,
)
from antiphon.core.limits.spend import SpendCap, accounts_of, spend_caps
from antiphon.core.limits.values import Account, Scope
from antiphon.service.access import Caller
from antiphon.settings import LimitSettings
from antiphon.store.directory import Directory, LimitExcerpt


class AppliedLimits(msgspec.Struct, frozen=True, eq=False):
    """The limits of one caller for one group of models, and the scopes that are charged.

    They compare by identity, so that they can be the keys of a cache.
    """

    scopes: tuple[tuple[Scope, str], ...]
    rates: RateLimits
    caps: tuple[SpendCap, ...]


def limited_accounts(
    limits: AppliedLimits, moment: datetime
) -> tuple[tuple[Account, int | None], ...]:
    """Return every account that a request is charged to, and its limit if it has one.

    Accounts with a limit come first, in the order of `limits.caps`.
    """
    limited = {cap.account(moment): cap.amount for cap in limits.caps}
    accounts = accounts_of(limits.scopes, moment)
    return (*limited.items(), *((one, None) for one in accounts if one not in limited))


class LimitFinder:
    """Finds the limits of a caller."""

    def __init__(self, settings: LimitSettings) -> None:
        self._settings = settings
        self._directory: Directory | None = None
        self._found: dict[tuple[str, str | None, str], AppliedLimits] = {}

    def find(self, caller: Caller, group: str) -> AppliedLimits:
        """Return the current limits of a caller for the models of a group."""
        if caller.directory is not self._directory:
            self._directory = caller.directory
            self._found.clear()
        key = (caller.key_id, caller.workspace_id, group)
        limits = self._found.get(key)
        if limits is None:
            limits = self._found[key] = self._compute(caller, group)
        return limits

    def _compute(self, caller: Caller, group: str) -> AppliedLimits:
        directory = caller.directory
        scopes = [(Scope.ORGANIZATION, directory.organization.id)]
        if caller.workspace_id is not None:
            scopes.append((Scope.WORKSPACE, caller.workspace_id))
        # A batch of the command line has no key.
        if caller.key_id:
            scopes.append((Scope.KEY, caller.key_id))
        rates = [
            (*scope, scope_limits(directory, self._settings, *scope, group)) for scope in scopes
        ]
        return AppliedLimits(tuple(scopes), applied(rates, group), self._caps(directory, scopes))

    def _caps(
        self, directory: LimitExcerpt, scopes: list[tuple[Scope, str]]
    ) -> tuple[SpendCap, ...]:
        caps = [
            cap
            for scope, scope_id in scopes
            for cap in spend_caps(
                scope,
                scope_id,
                {
                    limit.period: limit.amount
                    for limit in directory.spend_limits.get((scope, scope_id), ())
                },
                self._settings.monthly_nano_dollars,
            ).values()
        ]
        # Of several exceeded limits the first is reported: one that the customer can change.
        return tuple(sorted(caps, key=lambda cap: cap.tier))


def scope_limits(
    limits: LimitExcerpt, settings: LimitSettings, scope: Scope, scope_id: str, group: str
) -> ScopeLimits:
    """Return the limits of one scope: those of administrators, else the organization's defaults."""
    defaults = default_limits(settings, group) if scope is Scope.ORGANIZATION else {}
    own = {
        LimitType(limit.type): limit.value
        for limit in limits.rate_limits.get((scope, scope_id), ())
        if limit.group_id == group
    }
    return {**defaults, **own}


def default_limits(settings: LimitSettings, group: str) -> Mapping[LimitType, int]:
    """Return the default limits of the organization for a group."""
    if group == TOKEN_COUNT:
        return {LimitType.REQUESTS: settings.count_requests_per_minute}
    if group == BATCH:
        return {LimitType.REQUESTS: settings.batch_requests_per_minute}
    if group == FILES:
        return {LimitType.REQUESTS: settings.file_requests_per_minute}
    return {
        LimitType.REQUESTS: settings.requests_per_minute,
        LimitType.INPUT: settings.input_tokens_per_minute,
        LimitType.OUTPUT: settings.output_tokens_per_minute,
    }
