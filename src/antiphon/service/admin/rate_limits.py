"""Rate limits of the organization, its workspaces and its keys: listed and set."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

import msgspec

from antiphon.core.errors import InvalidRequestError
from antiphon.core.limits.rate_limits import LimitType
from antiphon.core.limits.values import Scope
from antiphon.core.permissions import EVERYTHING, Reach
from antiphon.service.admin.keys import the_key
from antiphon.service.admin.rate_limit_groups import (
    Group,
    all_groups,
    group_of_model,
    rate_limit_id,
    the_group,
)
from antiphon.service.admin.rate_limit_views import RateLimitView
from antiphon.service.admin.transactions import Actor, AdminTransactions, Change
from antiphon.service.admin.workspaces import refuse_archived, the_workspace
from antiphon.service.models import LimitGroups
from antiphon.settings import LimitSettings
from antiphon.store.accounts import KeyStatus
from antiphon.store.directory import read_limit_directory, read_limits_of
from antiphon.store.limits import RateLimit, clear_rate_limit, limited_groups, set_rate_limit
from antiphon.wire.admin.limits import (
    KeyRateLimitInfo,
    LimitParam,
    RateLimitInfo,
    WorkspaceRateLimitInfo,
)

if TYPE_CHECKING:
    from antiphon.store.database.connection import AsyncConnection


N = TypeVar("N", WorkspaceRateLimitInfo, KeyRateLimitInfo)


class Narrowing(msgspec.Struct, Generic[N], frozen=True):
    """Limits to set or clear for a workspace or a key; `info` returns their state afterwards."""

    owner: tuple[Scope, str]
    rate_limit_id: str
    limits: Sequence[LimitParam]
    info: Callable[[RateLimitView, Group], N]


class RateLimits:
    """The use cases of rate limits. `models` returns the groups of the served models."""

    def __init__(
        self,
        transactions: AdminTransactions,
        settings: LimitSettings,
        models: Callable[[], LimitGroups],
    ) -> None:
        self._transactions = transactions
        self._settings = settings
        self._models = models

    async def view(
        self, connection: "AsyncConnection", owners: Collection[str] = ()
    ) -> RateLimitView:
        """Read the limits of the organization and of these owners, and no others."""
        limits = await read_limits_of(connection, owners)
        groups = all_groups(self._models(), await limited_groups(connection))
        return RateLimitView(limits, self._settings, groups)

    async def groups(self, model: str | None = None) -> tuple[Group, ...]:
        """Return every group, or the group of the model that answers to a name.

        Raises `NotFoundError` for an unknown name.
        """
        async with self._transactions.read() as connection:
            groups = all_groups(self._models(), await limited_groups(connection))
        return groups if model is None else (group_of_model(groups, self._models(), model),)

    async def everywhere(
        self,
    ) -> tuple[RateLimitInfo | WorkspaceRateLimitInfo | KeyRateLimitInfo, ...]:
        """List the organization's limits, and every limit of a workspace or a key, also archived.

        One read of the directory, however many workspaces and keys there are.
        """
        async with self._transactions.read() as connection:
            directory = await read_limit_directory(connection)
            groups = all_groups(self._models(), await limited_groups(connection))
        view = RateLimitView(directory, self._settings, groups)
        found: list[RateLimitInfo | WorkspaceRateLimitInfo | KeyRateLimitInfo] = []
        found += view.organization_infos()
        for scope, owner in directory.rate_limits:
            match scope:
                case Scope.WORKSPACE:
                    found += [view.workspace_info(owner, one) for one in groups]
                case Scope.KEY:
                    found += [view.key_info(owner, one) for one in groups]
                case _:
                    pass
        return tuple(info for info in found if info.limits)

    async def of_organization(
        self, group_type: str | None = None, model: str | None = None
    ) -> tuple[RateLimitInfo, ...]:
        """List the organization's limits."""
        async with self._transactions.read() as connection:
            view = await self.view(connection)
        groups = view.groups
        if model is not None:
            groups = (group_of_model(groups, self._models(), model),)
        return tuple(view.organization_infos(_of_type(groups, group_type)))

    async def of_workspace(
        self,
        wanted: str,
        group_type: str | None = None,
        *,
        include_inherited: bool = False,
        reach: Reach = EVERYTHING,
    ) -> tuple[WorkspaceRateLimitInfo, ...]:
        """List the limits of a workspace, with `include_inherited` also the organization's."""
        async with self._transactions.read() as connection:
            await the_workspace(connection, wanted, reach)
            view = await self.view(connection, [wanted])
        infos = [
            view.workspace_info(wanted, group, inherited=include_inherited)
            for group in _of_type(view.groups, group_type)
        ]
        return tuple(info for info in infos if info.limits)

    async def of_key(self, wanted: str, reach: Reach = EVERYTHING) -> tuple[KeyRateLimitInfo, ...]:
        """List the limits of a key."""
        async with self._transactions.read() as connection:
            await the_key(connection, wanted, reach=reach)
            view = await self.view(connection, [wanted])
        infos = [view.key_info(wanted, group) for group in view.groups]
        return tuple(info for info in infos if info.limits)

    async def set_for_organization(
        self, actor: Actor, rate_limit_id: str, limits: Sequence[LimitParam]
    ) -> RateLimitInfo:
        """Set or clear limits of the organization; a cleared limit falls back to the settings."""
        async with self._transactions.change() as connection:
            view = await self.view(connection)
            group = the_group(view.groups, rate_limit_id)
            organization = view.limits.organization.id
            before = view.organization_info(group)
            await _set(connection, (Scope.ORGANIZATION, organization), group, limits)
            after = (await self.view(connection)).organization_info(group)
            await self._transactions.note(
                connection, actor, Change("rate_limit.update", before, after)
            )
        return after

    async def set_for_workspace(
        self,
        actor: Actor,
        target: tuple[str, str],
        limits: Sequence[LimitParam],
    ) -> WorkspaceRateLimitInfo:
        """Set or clear limits of a workspace; none may be above the organization's.

        `target` is the id of the workspace and the id of the rate limit.
        """
        wanted, limit_id = target
        async with self._transactions.change() as connection:
            the_group((await self.view(connection)).groups, limit_id)
            workspace = await the_workspace(connection, wanted)
            if workspace.is_default:
                raise InvalidRequestError("The Default workspace cannot have limits of its own.")
            refuse_archived(workspace)
            narrowing = Narrowing(
                (Scope.WORKSPACE, wanted),
                limit_id,
                limits,
                lambda view, group: view.workspace_info(wanted, group),
            )
            return await self._narrow(connection, actor, narrowing)

    async def set_for_key(
        self,
        actor: Actor,
        target: tuple[str, str],
        limits: Sequence[LimitParam],
    ) -> KeyRateLimitInfo:
        """Set or clear limits of a key. `target` is the id of the key and of the rate limit."""
        wanted, limit_id = target
        async with self._transactions.change() as connection:
            the_group((await self.view(connection)).groups, limit_id)
            if (await the_key(connection, wanted)).status is KeyStatus.ARCHIVED:
                raise InvalidRequestError("This API key is archived and cannot be changed.")
            narrowing = Narrowing(
                (Scope.KEY, wanted),
                limit_id,
                limits,
                lambda view, group: view.key_info(wanted, group),
            )
            return await self._narrow(connection, actor, narrowing)

    async def set(
        self, actor: Actor, owner: tuple[Scope, str], group_id: str, limits: Mapping[str, int]
    ) -> None:
        """Set limits of any owner for a group, by their types."""
        scope, owner_id = owner
        given = [
            LimitParam(type=kind, value=value)  # type: ignore[arg-type]  # the rows are ours
            for kind, value in limits.items()
        ]
        limit_id = rate_limit_id(group_id)
        match scope:
            case Scope.ORGANIZATION:
                await self.set_for_organization(actor, limit_id, given)
            case Scope.WORKSPACE:
                await self.set_for_workspace(actor, (owner_id, limit_id), given)
            case Scope.KEY:
                await self.set_for_key(actor, (owner_id, limit_id), given)

    async def _narrow(
        self, connection: "AsyncConnection", actor: Actor, narrowing: Narrowing[N]
    ) -> N:
        owner_id = narrowing.owner[1]
        view = await self.view(connection, [owner_id])
        group = the_group(view.groups, narrowing.rate_limit_id)
        _check_below(view, group, narrowing.limits)
        before = narrowing.info(view, group)
        await _set(connection, narrowing.owner, group, narrowing.limits)
        after = narrowing.info(await self.view(connection, [owner_id]), group)
        named = f"{owner_id}/{group.rate_limit_id}"
        change = Change("rate_limit.update", before, after, of=("rate_limit", named))
        await self._transactions.note(connection, actor, change)
        return after


def _of_type(groups: Sequence[Group], group_type: str | None) -> list[Group]:
    return [group for group in groups if group_type in {None, group.type}]


async def _set(
    connection: "AsyncConnection",
    owner: tuple[Scope, str],
    group: Group,
    limits: Sequence[LimitParam],
) -> None:
    for index, limit in enumerate(limits):
        if limit.type not in group.limit_types:
            raise InvalidRequestError(
                f"limits.{index}.type: this group has no limit of type '{limit.type}'"
            )
        if group.is_unserved and limit.value is not None:
            raise InvalidRequestError(
                f"limits.{index}.value: no model is in this group any more, so its limits can "
                "only be cleared (null)"
            )
        if limit.value is None:
            await clear_rate_limit(connection, *owner, group.id, limit.type)
        else:
            row = RateLimit(
                scope=owner[0],
                scope_id=owner[1],
                group_id=group.id,
                type=limit.type,
                value=limit.value,
            )
            await set_rate_limit(connection, row)


def _check_below(view: RateLimitView, group: Group, limits: Sequence[LimitParam]) -> None:
    above = view.of_organization(group)
    for index, limit in enumerate(limits):
        most = above.get(LimitType(limit.type))
        if limit.value is not None and most is not None and limit.value > most:
            raise InvalidRequestError(
                f"limits.{index}.value: {limit.value} is above the organization's limit of {most}"
            )
