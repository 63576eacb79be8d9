"""Spend limits: the limits that administrators set, and the cap of the server."""

from collections.abc import Collection
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from antiphon.core.billing.money import cents, nano_dollars_of
from antiphon.core.errors import InvalidRequestError, NotFoundError
from antiphon.core.ids import ID_ENTROPY, spend_limit_id
from antiphon.core.limits.increases import LimitNow
from antiphon.core.limits.periods import Period
from antiphon.core.limits.spend import TIER_PERIOD, exceeds_tier
from antiphon.core.limits.values import Scope
from antiphon.core.pagination import TokenCursor, token_of_place
from antiphon.core.permissions import EVERYTHING, Reach
from antiphon.service.admin.keys import the_key
from antiphon.service.admin.transactions import Actor, AdminTransactions, Change, moment
from antiphon.service.admin.workspaces import the_workspace
from antiphon.settings import LimitSettings
from antiphon.store.accounts import KeyStatus, find_key
from antiphon.store.directory import LimitExcerpt, the_organization
from antiphon.store.limits import (
    SpendLimit,
    clear_spend_limit,
    find_spend_limit,
    list_spend_limits,
    page_of_spend_limits,
    set_spend_limit,
)
from antiphon.wire.admin.limits import (
    CreateSpendLimitParams,
    KeySpendScope,
    OrganizationSpendScope,
    SpendLimitInfo,
    SpendScope,
    WorkspaceSpendScope,
)
from antiphon.wire.admin.organizations import Deleted, TokenListing
from antiphon.wire.errors import shortened

if TYPE_CHECKING:
    from antiphon.store.database.connection import AsyncConnection


# The type of the scope of the server's cap.
_CAP = "usage_tier"


class SpendLimits:
    """The use cases of spend limits."""

    def __init__(self, transactions: AdminTransactions, settings: LimitSettings) -> None:
        self._transactions = transactions
        self._settings = settings

    async def page(
        self,
        cursor: TokenCursor,
        scopes: Collection[str] = (),
        workspace_id: str | None = None,
        reach: Reach = EVERYTHING,
    ) -> TokenListing:
        """Return a page of the spend limits, the newest first and the cap of the server last.

        `scopes` (types) and `workspace_id` filter them. Those of the organization are within every
        reach. Raises `NotFoundError` for an unknown workspace, and `InvalidRequestError` for a
        token of another listing.
        """
        limit = cursor.size
        async with self._transactions.read() as connection:
            if workspace_id is not None:
                await the_workspace(connection, workspace_id, reach)
            found = await page_of_spend_limits(
                connection,
                limit + 1,
                cursor.place,
                scopes={scope for scope in Scope if not scopes or scope.wire in scopes},
                workspace_id=workspace_id,
                workspace_ids=reach.workspaces,
            )
            with_cap = workspace_id is None and (not scopes or _CAP in scopes)
            caps = await self._cap(connection) if with_cap else ()
        infos = (*map(spend_limit_info, found), *caps)
        # The cap is the last of all, so the last one of a page with a next one is stored.
        last = found[limit - 1] if len(infos) > limit else None
        return TokenListing(
            data=infos[:limit],
            next_page=None if last is None else token_of_place(last.created_at, last.id),
        )

    async def all(self) -> tuple[SpendLimitInfo, ...]:
        """List every spend limit, the newest first and the cap of the server last."""
        async with self._transactions.read() as connection:
            limits = await list_spend_limits(connection)
            return (*map(spend_limit_info, reversed(limits)), *await self._cap(connection))

    async def one(self, wanted: str, reach: Reach = EVERYTHING) -> SpendLimitInfo:
        """Return a spend limit. Raises `NotFoundError`, also for one out of reach."""
        async with self._transactions.read() as connection:
            for cap in await self._cap(connection):
                if cap.id == wanted:
                    return cap
            limit = await _the_limit(connection, wanted)
            if not await sees_limits_of(connection, (limit.scope, limit.scope_id), reach):
                raise _no_limit(wanted)
            return spend_limit_info(limit)

    async def _cap(self, connection: "AsyncConnection") -> tuple[SpendLimitInfo, ...]:
        """Return the cap of the organization in the settings, if there is one."""
        tier = self._settings.monthly_nano_dollars
        if tier is None:
            return ()
        organization = await the_organization(connection)
        since = moment(organization.created_at)
        cap = SpendLimitInfo(
            id=cap_id(organization.id),
            scope={"type": _CAP},
            amount=cents(tier),
            period=TIER_PERIOD,
            created_at=since,
            updated_at=since,
        )
        return (cap,)

    async def set(self, actor: Actor, params: CreateSpendLimitParams) -> SpendLimitInfo:
        """Set the limit of a scope for a period; it replaces an existing one."""
        if params.amount is None:
            raise InvalidRequestError(
                "amount: nothing is inherited here that `null` could override; delete the limit"
            )
        now = self._transactions.now()
        async with self._transactions.change() as connection:
            scope, scope_id = await limit_owner(connection, params.scope)
            before = next(
                (
                    limit
                    for limit in await list_spend_limits(connection, [scope_id])
                    if limit.period == params.period
                ),
                None,
            )
            limit = SpendLimit(
                id=spend_limit_id(self._transactions.entropy()),
                scope=scope,
                scope_id=scope_id,
                period=params.period,
                amount=self._amount(params.amount, params.period),
                created_at=now,
                updated_at=now,
            )
            return await self._set(connection, actor, before, limit)

    async def change(self, actor: Actor, wanted: str, amount: str) -> SpendLimitInfo:
        """Change the amount of a spend limit."""
        async with self._transactions.change() as connection:
            before = await self._own_limit(connection, wanted)
            await _refuse_archived(connection, before)
            limit = replace(
                before,
                amount=self._amount(amount, before.period),
                updated_at=self._transactions.now(),
            )
            return await self._set(connection, actor, before, limit)

    async def _set(
        self,
        connection: "AsyncConnection",
        actor: Actor,
        before: SpendLimit | None,
        limit: SpendLimit,
    ) -> SpendLimitInfo:
        if before is not None and before.amount == limit.amount:
            # Nothing changes: neither its time nor the audit log.
            return spend_limit_info(before)
        after = spend_limit_info(await set_spend_limit(connection, limit))
        action = "spend_limit.update" if before else "spend_limit.create"
        change = Change(action, spend_limit_info(before) if before else None, after)
        await self._transactions.note(connection, actor, change)
        return after

    async def clear(self, actor: Actor, wanted: str) -> Deleted:
        """Remove a spend limit."""
        async with self._transactions.change() as connection:
            limit = await self._own_limit(connection, wanted)
            await clear_spend_limit(connection, limit)
            change = Change("spend_limit.delete", before=spend_limit_info(limit))
            await self._transactions.note(connection, actor, change)
        return Deleted(id=limit.id, type="spend_limit_deleted")

    async def _own_limit(self, connection: "AsyncConnection", wanted: str) -> SpendLimit:
        if wanted in {cap.id for cap in await self._cap(connection)}:
            raise InvalidRequestError(
                "This limit is the server's own: `monthly_spend` in its settings changes it."
            )
        return await _the_limit(connection, wanted)

    def present(self, limits: LimitExcerpt, owner: tuple[Scope, str], period: str) -> LimitNow:
        """Return the spend limit of an owner in a period; the server's cap is its ceiling."""
        own = limits.spend_limits.get(owner, ())
        return LimitNow(
            next((limit.amount for limit in own if limit.period == period), None),
            self._settings.monthly_nano_dollars if period == TIER_PERIOD else None,
        )

    def _amount(self, text: str, period: Period) -> int:
        try:
            amount = nano_dollars_of(text)
        except ValueError as error:
            raise InvalidRequestError(f"amount: {error}") from error
        tier = self._settings.monthly_nano_dollars
        if tier is not None and exceeds_tier(amount, period, tier):
            raise InvalidRequestError(
                f"amount: {cents(amount)} is above the cap of this server, {cents(tier)} cents"
            )
        return amount


def cap_id(organization_id: str) -> str:
    """Return the id of the server's cap. It is derived, as the cap is not stored."""
    return spend_limit_id(sha256(f"usage_tier:{organization_id}".encode()).digest()[:ID_ENTROPY])


def spend_limit_info(limit: SpendLimit) -> SpendLimitInfo:
    """Return a spend limit as the API shows it."""
    return SpendLimitInfo(
        id=limit.id,
        scope=scope_info(limit.scope, limit.scope_id),
        amount=cents(limit.amount),
        period=limit.period,
        created_at=moment(limit.created_at),
        updated_at=moment(limit.updated_at),
    )


def scope_info(scope: str, scope_id: str) -> dict[str, Any]:
    """Return a scope in the format of the wire."""
    wire = Scope(scope).wire
    return {"type": wire} if scope == Scope.ORGANIZATION else {"type": wire, f"{wire}_id": scope_id}


async def _the_limit(connection: "AsyncConnection", wanted: str) -> SpendLimit:
    limit = await find_spend_limit(connection, wanted)
    if limit is None:
        raise _no_limit(wanted)
    return limit


def _no_limit(wanted: str) -> NotFoundError:
    return NotFoundError(f"Spend limit {shortened(wanted)} not found.")


async def sees_limits_of(
    connection: "AsyncConnection", owner: tuple[str, str], reach: Reach
) -> bool:
    """Return whether the limits of an owner, its scope and its id, are within reach."""
    scope, scope_id = owner
    if reach is EVERYTHING or scope == Scope.ORGANIZATION:
        return True
    if scope == Scope.WORKSPACE:
        return reach.sees(scope_id)
    key = await find_key(connection, scope_id)
    return key is not None and reach.sees(key.workspace_id)


async def _refuse_archived(connection: "AsyncConnection", limit: SpendLimit) -> None:
    """Refuse a change of a limit of an archived scope; such a limit can only be removed."""
    match limit.scope:
        case Scope.WORKSPACE:
            await limit_owner(connection, WorkspaceSpendScope(workspace_id=limit.scope_id))
        case Scope.KEY:
            await limit_owner(connection, KeySpendScope(api_key_id=limit.scope_id))
        case _:
            pass


async def limit_owner(
    connection: "AsyncConnection", scope: SpendScope, reach: Reach = EVERYTHING
) -> tuple[Scope, str]:
    """Return the owner of limits that a scope within reach means.

    Raises `NotFoundError`, and `InvalidRequestError` for an owner that gets no limits any more.
    """
    match scope:
        case OrganizationSpendScope():
            return Scope.ORGANIZATION, (await the_organization(connection)).id
        case WorkspaceSpendScope(workspace_id=wanted):
            workspace = await the_workspace(connection, wanted, reach)
            if workspace.is_default:
                raise InvalidRequestError("The Default workspace cannot have limits of its own.")
            if workspace.archived_at is not None:
                raise InvalidRequestError("scope.workspace_id: this workspace is archived")
            return Scope.WORKSPACE, workspace.id
        case KeySpendScope(api_key_id=wanted):
            key = await the_key(connection, wanted, reach=reach)
            if key.status is KeyStatus.ARCHIVED:
                raise InvalidRequestError("scope.api_key_id: this key is archived")
            return Scope.KEY, key.id
