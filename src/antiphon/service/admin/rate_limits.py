"""Rate limits of the organization, its workspaces and its keys: listed and set."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

import msgspec

from antiphon.core.errors import InvalidRequestError, NotFoundError
from antiphon.core.limits.increases import LimitNow
from antiphon.core.limits.rate_limits import BATCH, CALL_GROUPS, LimitType
from antiphon.core.limits.values import Scope
from antiphon.core.permissions import EVERYTHING, Reach
from antiphon.service.admin.keys import the_key
from antiphon.service.admin.transactions import Actor, AdminTransactions, Change
from antiphon.service.admin.workspaces import refuse_archived, the_workspace
from antiphon.service.limits.applied import scope_limits
from antiphon.service.models import LimitGroups
from antiphon.settings import LimitSettings
from antiphon.store.accounts import KeyStatus
from antiphon.store.directory import LimitDirectory, read_limit_directory
from antiphon.store.limits import RateLimit, clear_rate_limit, set_rate_limit
from antiphon.wire.admin.limits import (
    BatchGroup,
    GroupInfo,
    KeyRateLimitInfo,
    LimitParam,
    LimitSource,
    LimitValue,
    ModelGroup,
    NarrowerLimitValue,
    RateLimitInfo,
    TokenCountGroup,
    WorkspaceRateLimitInfo,
)
from antiphon.wire.errors import shortened

if TYPE_CHECKING:
    from antiphon.store.database.connection import AsyncConnection


N = TypeVar("N", WorkspaceRateLimitInfo, KeyRateLimitInfo)


class Group(msgspec.Struct, frozen=True):
    """A group with common limits: models with all their names, or the calls of some endpoints.

    `models` is `None` for the calls of endpoints, and empty for a group whose limits are still set
    although no served model is in it any more.
    """

    id: str
    models: tuple[str, ...] | None

    @property
    def is_unserved(self) -> bool:
        return self.models == ()

    @property
    def rate_limit_id(self) -> str:
        """Return the id of the group's limits."""
        return rate_limit_id(self.id)

    @property
    def info(self) -> GroupInfo:
        if self.models is None:
            return BatchGroup(id=self.id) if self.id == BATCH else TokenCountGroup(id=self.id)
        return ModelGroup(id=self.id, display_name=self.id)

    @property
    def type(self) -> str:
        return self.id if self.models is None else "model_group"


def rate_limit_id(group_id: str) -> str:
    """Return the id of the limits of a group, derived from the group's id."""
    return f"rl_{group_id}"


class Narrowing(msgspec.Struct, Generic[N], frozen=True):
    """Limits to set or clear for a workspace or a key; `info` returns their state afterwards."""

    owner: tuple[Scope, str]
    group: Group
    limits: Sequence[LimitParam]
    info: Callable[[LimitDirectory], N]


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

    async def groups(self, model: str | None = None) -> tuple[Group, ...]:
        """Return every group, or the group of the model that answers to a name.

        Raises `NotFoundError` for an unknown name.
        """
        return self._groups(await self._directory(), model=model)

    def _groups(
        self, directory: LimitDirectory, group_type: str | None = None, model: str | None = None
    ) -> tuple[Group, ...]:
        served = self._models()
        found = [Group(group, tuple(names)) for group, names in served.names.items()]
        limited = {one.group_id for limits in directory.rate_limits.values() for one in limits}
        unserved = sorted(limited - served.names.keys() - set(CALL_GROUPS))
        if model is None:
            found += [Group(group, None) for group in CALL_GROUPS]
            found += [Group(group, ()) for group in unserved]
            return tuple(group for group in found if group_type in {None, group.type})
        try:
            its = served.of(model)
        except NotFoundError:
            if model not in unserved:
                raise
            return (Group(model, ()),)
        return tuple(
            group for group in found if group.id == its and group_type in {None, group.type}
        )

    async def _directory(self) -> LimitDirectory:
        async with self._transactions.read() as connection:
            return await read_limit_directory(connection)

    async def everywhere(
        self,
    ) -> tuple[RateLimitInfo | WorkspaceRateLimitInfo | KeyRateLimitInfo, ...]:
        """List the organization's limits, and every limit of a workspace or a key, also archived.

        One read of the directory, however many workspaces and keys there are.
        """
        directory = await self._directory()
        groups = self._groups(directory)
        found: list[RateLimitInfo | WorkspaceRateLimitInfo | KeyRateLimitInfo] = []
        found += self._organization_infos(directory, groups)
        for scope, owner in directory.rate_limits:
            match scope:
                case Scope.WORKSPACE:
                    found += [self._workspace_info(directory, owner, one) for one in groups]
                case Scope.KEY:
                    found += [self._key_info(directory, owner, one) for one in groups]
                case _:
                    pass
        return tuple(info for info in found if info.limits)

    async def of_organization(
        self, group_type: str | None = None, model: str | None = None
    ) -> tuple[RateLimitInfo, ...]:
        """List the organization's limits."""
        directory = await self._directory()
        return self._organization_infos(directory, self._groups(directory, group_type, model))

    def _organization_infos(
        self, directory: LimitDirectory, groups: Sequence[Group]
    ) -> tuple[RateLimitInfo, ...]:
        infos = (self._organization_info(directory, group) for group in groups)
        return tuple(info for info in infos if info.limits)

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
            directory = await read_limit_directory(connection)
        infos = [
            self._workspace_info(directory, wanted, group, inherited=include_inherited)
            for group in self._groups(directory, group_type)
        ]
        return tuple(info for info in infos if info.limits)

    async def of_key(self, wanted: str, reach: Reach = EVERYTHING) -> tuple[KeyRateLimitInfo, ...]:
        """List the limits of a key."""
        async with self._transactions.read() as connection:
            await the_key(connection, wanted, reach=reach)
            directory = await read_limit_directory(connection)
        infos = [self._key_info(directory, wanted, group) for group in self._groups(directory)]
        return tuple(info for info in infos if info.limits)

    async def set_for_organization(
        self, actor: Actor, rate_limit_id: str, limits: Sequence[LimitParam]
    ) -> RateLimitInfo:
        """Set or clear limits of the organization; a cleared limit falls back to the settings."""
        async with self._transactions.change() as connection:
            directory = await read_limit_directory(connection)
            group = self._group(directory, rate_limit_id)
            organization = directory.organization.id
            before = self._organization_info(directory, group)
            await self._set(connection, (Scope.ORGANIZATION, organization), group, limits)
            now = await read_limit_directory(connection)
            after = self._organization_info(now, group)
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
        wanted, rate_limit_id = target
        async with self._transactions.change() as connection:
            group = self._group(await read_limit_directory(connection), rate_limit_id)
            workspace = await the_workspace(connection, wanted)
            if workspace.is_default:
                raise InvalidRequestError("The Default workspace cannot have limits of its own.")
            refuse_archived(workspace)
            narrowing = Narrowing(
                (Scope.WORKSPACE, wanted),
                group,
                limits,
                lambda directory: self._workspace_info(directory, wanted, group),
            )
            return await self._narrow(connection, actor, narrowing)

    async def set_for_key(
        self,
        actor: Actor,
        target: tuple[str, str],
        limits: Sequence[LimitParam],
    ) -> KeyRateLimitInfo:
        """Set or clear limits of a key. `target` is the id of the key and of the rate limit."""
        wanted, rate_limit_id = target
        async with self._transactions.change() as connection:
            group = self._group(await read_limit_directory(connection), rate_limit_id)
            if (await the_key(connection, wanted)).status is KeyStatus.ARCHIVED:
                raise InvalidRequestError("This API key is archived and cannot be changed.")
            narrowing = Narrowing(
                (Scope.KEY, wanted),
                group,
                limits,
                lambda directory: self._key_info(directory, wanted, group),
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

    def limited_group(self, directory: LimitDirectory, limit_id: str, kind: str) -> str:
        """Return the id of the group of a rate limit, which has a limit of this type.

        Raises `NotFoundError`, and `InvalidRequestError` if no such limit can be set.
        """
        group = self._group(directory, limit_id)
        if kind not in self._known_types(group):
            raise InvalidRequestError(f"limit_type: this group has no limit of type '{kind}'")
        if group.is_unserved:
            raise InvalidRequestError("rate_limit_id: no model is in this group any more")
        return group.id

    def present(
        self, directory: LimitDirectory
    ) -> Callable[[tuple[Scope, str], str, str], LimitNow]:
        """Return what tells the present limit of an owner for a group, by its type.

        The limit of the organization is the ceiling of the others.
        """
        groups = {group.id: group for group in self._groups(directory)}

        def present(owner: tuple[Scope, str], group_id: str, kind: str) -> LimitNow:
            if (group := groups.get(group_id)) is None:
                return LimitNow(None)
            above = self._of_organization(directory, group).get(LimitType(kind))
            if owner[0] is Scope.ORGANIZATION:
                return LimitNow(above)
            own = scope_limits(directory, self._settings, *owner, group.id)
            return LimitNow(own.get(LimitType(kind)), above)

        return present

    async def _narrow(
        self, connection: "AsyncConnection", actor: Actor, narrowing: Narrowing[N]
    ) -> N:
        directory = await read_limit_directory(connection)
        group, limits = narrowing.group, narrowing.limits
        self._check_below(directory, group, limits)
        before = narrowing.info(directory)
        await self._set(connection, narrowing.owner, group, limits)
        after = narrowing.info(await read_limit_directory(connection))
        named = f"{narrowing.owner[1]}/{group.rate_limit_id}"
        change = Change("rate_limit.update", before, after, of=("rate_limit", named))
        await self._transactions.note(connection, actor, change)
        return after

    def _group(self, directory: LimitDirectory, rate_limit_id: str) -> Group:
        for group in self._groups(directory):
            if group.rate_limit_id == rate_limit_id:
                return group
        raise NotFoundError(f"Rate limit {shortened(rate_limit_id)} not found.")

    async def _set(
        self,
        connection: "AsyncConnection",
        owner: tuple[Scope, str],
        group: Group,
        limits: Sequence[LimitParam],
    ) -> None:
        known = self._known_types(group)
        for index, limit in enumerate(limits):
            if limit.type not in known:
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

    def _known_types(self, group: Group) -> Sequence[LimitType]:
        return (LimitType.REQUESTS,) if group.models is None else tuple(LimitType)

    def _check_below(
        self, directory: LimitDirectory, group: Group, limits: Sequence[LimitParam]
    ) -> None:
        above = self._of_organization(directory, group)
        for index, limit in enumerate(limits):
            most = above.get(LimitType(limit.type))
            if limit.value is not None and most is not None and limit.value > most:
                raise InvalidRequestError(
                    f"limits.{index}.value: {limit.value} is above the organization's limit of "
                    f"{most}"
                )

    def _of_organization(self, directory: LimitDirectory, group: Group) -> Mapping[LimitType, int]:
        owner = (Scope.ORGANIZATION, directory.organization.id)
        found = scope_limits(directory, self._settings, *owner, group.id)
        if not group.is_unserved:
            return found
        # The defaults are limits of served models.
        limits = directory.rate_limits.get(owner, ())
        set_ = {limit.type for limit in limits if limit.group_id == group.id}
        return {kind: value for kind, value in found.items() if kind in set_}

    def _organization_info(self, directory: LimitDirectory, group: Group) -> RateLimitInfo:
        limits = self._of_organization(directory, group)
        return RateLimitInfo(
            id=group.rate_limit_id,
            group=group.info,
            models=group.models,
            limits=tuple(LimitValue(type=kind, value=value) for kind, value in limits.items()),
        )

    def _workspace_info(
        self,
        directory: LimitDirectory,
        wanted: str,
        group: Group,
        *,
        inherited: bool = False,
    ) -> WorkspaceRateLimitInfo:
        return WorkspaceRateLimitInfo(
            rate_limit_id=group.rate_limit_id,
            workspace_id=wanted,
            group=group.info,
            models=group.models,
            limits=self._narrower(directory, (Scope.WORKSPACE, wanted), group, inherited=inherited),
        )

    def _key_info(self, directory: LimitDirectory, wanted: str, group: Group) -> KeyRateLimitInfo:
        return KeyRateLimitInfo(
            rate_limit_id=group.rate_limit_id,
            api_key_id=wanted,
            group=group.info,
            models=group.models,
            limits=self._narrower(directory, (Scope.KEY, wanted), group),
        )

    def _narrower(
        self,
        directory: LimitDirectory,
        owner: tuple[Scope, str],
        group: Group,
        *,
        inherited: bool = False,
    ) -> tuple[NarrowerLimitValue, ...]:
        above = self._of_organization(directory, group)
        own = scope_limits(directory, self._settings, *owner, group.id)
        source = LimitSource(type="workspace" if owner[0] is Scope.WORKSPACE else "api_key")
        found = {
            kind: NarrowerLimitValue(
                type=kind, value=value, org_limit=above.get(kind), source=source
            )
            for kind, value in own.items()
        }
        if inherited:
            from_above = LimitSource(type="organization")
            for kind, value in above.items():
                found.setdefault(
                    kind,
                    NarrowerLimitValue(type=kind, value=value, org_limit=value, source=from_above),
                )
        return tuple(found[kind] for kind in LimitType if kind in found)
