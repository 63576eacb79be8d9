"""Rate limits in the form of answers: of the organization, and of some owners below it."""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from antiphon.core.errors import InvalidRequestError
from antiphon.core.limits.increases import LimitNow
from antiphon.core.limits.rate_limits import LimitType
from antiphon.core.limits.values import Scope
from antiphon.service.admin.rate_limit_groups import Group, the_group
from antiphon.service.limits.applied import scope_limits
from antiphon.settings import LimitSettings
from antiphon.store.directory import LimitExcerpt
from antiphon.wire.admin.limits import (
    KeyRateLimitInfo,
    LimitSource,
    LimitValue,
    NarrowerLimitValue,
    RateLimitInfo,
    WorkspaceRateLimitInfo,
)


class RateLimitView(msgspec.Struct, frozen=True):
    """One state of the rate limits of the organization and of some owners, for every group."""

    limits: LimitExcerpt
    settings: LimitSettings
    groups: tuple[Group, ...]

    def of_organization(self, group: Group) -> Mapping[LimitType, int]:
        """Return the organization's limits for a group, which bound those below it."""
        owner = (Scope.ORGANIZATION, self.limits.organization.id)
        found = scope_limits(self.limits, self.settings, *owner, group.id)
        if not group.is_unserved:
            return found
        # The defaults are limits of served models.
        limits = self.limits.rate_limits.get(owner, ())
        set_ = {limit.type for limit in limits if limit.group_id == group.id}
        return {kind: value for kind, value in found.items() if kind in set_}

    def organization_info(self, group: Group) -> RateLimitInfo:
        """Return the organization's limits as the API shows them."""
        limits = self.of_organization(group)
        return RateLimitInfo(
            id=group.rate_limit_id,
            group=group.info,
            models=group.models,
            limits=tuple(LimitValue(type=kind, value=value) for kind, value in limits.items()),
        )

    def organization_infos(self, groups: Sequence[Group] | None = None) -> list[RateLimitInfo]:
        """Return the organization's limits for some groups, or for all."""
        infos = map(self.organization_info, self.groups if groups is None else groups)
        return [info for info in infos if info.limits]

    def workspace_info(
        self, wanted: str, group: Group, *, inherited: bool = False
    ) -> WorkspaceRateLimitInfo:
        """Return a workspace's limits as the API shows them."""
        return WorkspaceRateLimitInfo(
            rate_limit_id=group.rate_limit_id,
            workspace_id=wanted,
            group=group.info,
            models=group.models,
            limits=self._narrower((Scope.WORKSPACE, wanted), group, inherited=inherited),
        )

    def key_info(self, wanted: str, group: Group) -> KeyRateLimitInfo:
        """Return a key's limits as the API shows them."""
        return KeyRateLimitInfo(
            rate_limit_id=group.rate_limit_id,
            api_key_id=wanted,
            group=group.info,
            models=group.models,
            limits=self._narrower((Scope.KEY, wanted), group),
        )

    def _narrower(
        self, owner: tuple[Scope, str], group: Group, *, inherited: bool = False
    ) -> tuple[NarrowerLimitValue, ...]:
        above = self.of_organization(group)
        own = scope_limits(self.limits, self.settings, *owner, group.id)
        source = LimitSource(type=owner[0].wire)  # type: ignore[arg-type]  # one of the three
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

    def limited_group(self, limit_id: str, kind: str) -> str:
        """Return the id of the group of a rate limit, which has a limit of this type.

        Raises `NotFoundError`, and `InvalidRequestError` if no such limit can be set.
        """
        group = the_group(self.groups, limit_id)
        if kind not in group.limit_types:
            raise InvalidRequestError(f"limit_type: this group has no limit of type '{kind}'")
        if group.is_unserved:
            raise InvalidRequestError("rate_limit_id: no model is in this group any more")
        return group.id

    @property
    def present(self) -> Callable[[tuple[Scope, str], str, str], LimitNow]:
        """What tells the present limit of an owner for a group, by its type.

        The limit of the organization is the ceiling of the others.
        """
        groups = {group.id: group for group in self.groups}

        def present(owner: tuple[Scope, str], group_id: str, kind: str) -> LimitNow:
            if (group := groups.get(group_id)) is None:
                return LimitNow(None)
            above = self.of_organization(group).get(LimitType(kind))
            if owner[0] is Scope.ORGANIZATION:
                return LimitNow(above)
            own = scope_limits(self.limits, self.settings, *owner, group.id)
            return LimitNow(own.get(LimitType(kind)), above)

        return present
