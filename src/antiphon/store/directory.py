"""The accounts for requests, read in one transaction and kept in memory."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from antiphon.core.limits.values import Scope
from antiphon.store.accounts import ActiveSecret, active_secrets, secrets_of
from antiphon.store.database.changes import AccountChange, ChangeKind
from antiphon.store.database.connection import AsyncConnection
from antiphon.store.database.errors import StoreError
from antiphon.store.limits import RateLimit, SpendLimit, list_rate_limits, list_spend_limits
from antiphon.store.organizations import Organization, find_organization
from antiphon.store.workspaces import Workspace, find_workspaces, list_workspaces

K = TypeVar("K")
V = TypeVar("V")
L = TypeVar("L", RateLimit, SpendLimit)


class LimitExcerpt(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of the organization and of some owners, by their scope and its id."""

    organization: Organization
    rate_limits: Mapping[tuple[Scope, str], tuple[RateLimit, ...]]
    spend_limits: Mapping[tuple[Scope, str], tuple[SpendLimit, ...]]


class LimitDirectory(LimitExcerpt, frozen=True, kw_only=True):
    """The organization, its workspaces, and all limits."""

    default_workspace: Workspace
    workspaces: Mapping[str, Workspace]


class Directory(LimitDirectory, frozen=True, kw_only=True):
    """One state of the accounts: what limits say, and whose a secret is."""

    active_secrets: Mapping[bytes, ActiveSecret]


async def read_directory(connection: AsyncConnection) -> Directory:
    """Read the accounts. Raises `StoreError` before the organization is founded.

    Of a hundred thousand keys that takes a second or two, but they are read in portions.
    """
    limits = await read_limit_directory(connection)
    return Directory(**_fields(limits), active_secrets=await active_secrets(connection))


async def changed_directory(
    connection: AsyncConnection, known: Directory, changes: Collection[AccountChange]
) -> Directory:
    """Return a directory with what has changed since; the known one if that is not in it.

    It reads the changed keys, workspaces and owners of limits, in portions. The worst is a copy of
    the map of all secrets, a millisecond of a hundred thousand, and twenty if a workspace was
    archived.
    """
    of = {kind: {one.object_id for one in changes if one.kind is kind} for kind in ChangeKind}
    changed: dict[str, Any] = {}
    if keys := of[ChangeKind.KEY]:
        changed["active_secrets"] = _put(known.active_secrets, await secrets_of(connection, keys))
    if archived := of[ChangeKind.ARCHIVED_KEYS]:
        secrets = changed.get("active_secrets", known.active_secrets)
        changed["active_secrets"] = {
            digest: secret
            for digest, secret in secrets.items()
            if secret.key.workspace_id not in archived
        }
    if workspaces := of[ChangeKind.WORKSPACE]:
        changed["workspaces"] = _put(
            known.workspaces, await find_workspaces(connection, workspaces)
        )
    if owners := of[ChangeKind.RATE_LIMITS]:
        rates = _by_scope(await list_rate_limits(connection, owners))
        changed["rate_limits"] = _put(known.rate_limits, {**_without(owners), **rates})
    if owners := of[ChangeKind.SPEND_LIMITS]:
        spends = _by_scope(await list_spend_limits(connection, owners))
        changed["spend_limits"] = _put(known.spend_limits, {**_without(owners), **spends})
    return replace(known, **changed) if changed else known


def _without(owners: Iterable[str]) -> dict[tuple[Scope, str], None]:
    """Return that these owners have no limits, whatever they are."""
    return {(scope, owner): None for owner in owners for scope in Scope}


def _put(known: Mapping[K, V], changed: Mapping[K, V | None]) -> dict[K, V]:
    """Return a map with changed values; what is `None` is not in it."""
    found = dict(known)
    for key, value in changed.items():
        if value is None:
            found.pop(key, None)
        else:
            found[key] = value
    return found


async def read_limit_directory(connection: AsyncConnection) -> LimitDirectory:
    """Read the accounts without their keys. Raises `StoreError` as `read_directory` does.

    It reads all workspaces and limits, however many there are.
    """
    organization = await the_organization(connection)
    workspaces = {workspace.id: workspace for workspace in await list_workspaces(connection)}
    return LimitDirectory(
        organization=organization,
        default_workspace=next(one for one in workspaces.values() if one.is_default),
        workspaces=workspaces,
        rate_limits=_by_scope(await list_rate_limits(connection)),
        spend_limits=_by_scope(await list_spend_limits(connection)),
    )


async def read_limits_of(connection: AsyncConnection, owners: Collection[str]) -> LimitExcerpt:
    """Read the limits of the organization and of these owners. Raises `StoreError` as above."""
    organization = await the_organization(connection)
    wanted = {organization.id, *owners}
    return LimitExcerpt(
        organization=organization,
        rate_limits=_by_scope(await list_rate_limits(connection, wanted)),
        spend_limits=_by_scope(await list_spend_limits(connection, wanted)),
    )


async def the_organization(connection: AsyncConnection) -> Organization:
    """Return the organization. Raises `StoreError` before it is founded."""
    organization = await find_organization(connection)
    if organization is None:
        raise StoreError("The database has no organization yet")
    return organization


def _by_scope(limits: Iterable[L]) -> dict[tuple[Scope, str], tuple[L, ...]]:
    found: dict[tuple[Scope, str], list[L]] = {}
    for limit in limits:
        found.setdefault((limit.scope, limit.scope_id), []).append(limit)
    return {owner: tuple(own) for owner, own in found.items()}


def _fields(limits: LimitDirectory) -> dict[str, Any]:
    return {name: getattr(limits, name) for name in LimitDirectory.__struct_fields__}
