"""The accounts for requests, read in one transaction and kept in memory."""

from collections.abc import Iterable, Mapping
from typing import TypeVar

import msgspec

from antiphon.core.limits.values import Scope
from antiphon.store.accounts import ActiveSecret, active_secrets
from antiphon.store.database.connection import AsyncConnection
from antiphon.store.database.errors import StoreError
from antiphon.store.limits import RateLimit, SpendLimit, list_rate_limits, list_spend_limits
from antiphon.store.organizations import Organization, find_organization
from antiphon.store.workspaces import Workspace, list_workspaces

L = TypeVar("L", RateLimit, SpendLimit)


class LimitDirectory(msgspec.Struct, frozen=True, kw_only=True):
    """The organization, its workspaces, and all limits, by their scope and its id."""

    organization: Organization
    default_workspace: Workspace
    workspaces: Mapping[str, Workspace]
    rate_limits: Mapping[tuple[Scope, str], tuple[RateLimit, ...]]
    spend_limits: Mapping[tuple[Scope, str], tuple[SpendLimit, ...]]


class Directory(LimitDirectory, frozen=True, kw_only=True):
    """One state of the accounts: what limits say, and whose a secret is."""

    active_secrets: Mapping[bytes, ActiveSecret]


async def read_directory(connection: AsyncConnection) -> Directory:
    """Read the accounts. Raises `StoreError` before the organization is founded.

    Of a hundred thousand keys that takes a second, in which the event loop does little else.
    """
    limits = await read_limit_directory(connection)
    return Directory(
        **{name: getattr(limits, name) for name in LimitDirectory.__struct_fields__},
        active_secrets=await active_secrets(connection),
    )


async def read_limit_directory(connection: AsyncConnection) -> LimitDirectory:
    """Read the accounts without their keys. Raises `StoreError` as `read_directory` does."""
    organization = await find_organization(connection)
    if organization is None:
        raise StoreError("The database has no organization yet")
    workspaces = {workspace.id: workspace for workspace in await list_workspaces(connection)}
    return LimitDirectory(
        organization=organization,
        default_workspace=next(one for one in workspaces.values() if one.is_default),
        workspaces=workspaces,
        rate_limits=_by_scope(await list_rate_limits(connection)),
        spend_limits=_by_scope(await list_spend_limits(connection)),
    )


def _by_scope(limits: Iterable[L]) -> dict[tuple[Scope, str], tuple[L, ...]]:
    found: dict[tuple[Scope, str], list[L]] = {}
    for limit in limits:
        found.setdefault((limit.scope, limit.scope_id), []).append(limit)
    return {owner: tuple(own) for owner, own in found.items()}
