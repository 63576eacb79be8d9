"""The groups of models, or of the calls of endpoints, that share rate limits."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import msgspec

from antiphon.core.errors import NotFoundError
from antiphon.core.limits.rate_limits import BATCH, CALL_GROUPS, FILES, TOKEN_COUNT, LimitType
from antiphon.service.models import LimitGroups
from antiphon.wire.admin.limits import (
    BatchGroup,
    FilesGroup,
    GroupInfo,
    ModelGroup,
    TokenCountGroup,
)
from antiphon.wire.errors import shortened

_CALLS: Final[Mapping[str, type[TokenCountGroup | BatchGroup | FilesGroup]]] = {
    TOKEN_COUNT: TokenCountGroup,
    BATCH: BatchGroup,
    FILES: FilesGroup,
}


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
            return _CALLS[self.id](id=self.id)
        return ModelGroup(id=self.id, display_name=self.id)

    @property
    def type(self) -> str:
        return self.id if self.models is None else "model_group"

    @property
    def limit_types(self) -> Sequence[LimitType]:
        """The types of limits that the group can have."""
        return (LimitType.REQUESTS,) if self.models is None else tuple(LimitType)


def rate_limit_id(group_id: str) -> str:
    """Return the id of the limits of a group, derived from the group's id."""
    return f"rl_{group_id}"


def all_groups(served: LimitGroups, limited: Collection[str]) -> tuple[Group, ...]:
    """Return every group; `limited` are the ids of those that have limits of administrators."""
    unserved = sorted(set(limited) - served.names.keys() - set(CALL_GROUPS))
    return (
        *(Group(group, tuple(names)) for group, names in served.names.items()),
        *(Group(group, None) for group in CALL_GROUPS),
        *(Group(group, ()) for group in unserved),
    )


def group_of_model(groups: Sequence[Group], served: LimitGroups, model: str) -> Group:
    """Return the group of the model that answers to a name, which may be of an unserved group.

    Raises `NotFoundError` for an unknown name.
    """
    try:
        wanted = served.of(model)
    except NotFoundError:
        for group in groups:
            if group.is_unserved and group.id == model:
                return group
        raise
    return next(group for group in groups if group.id == wanted)


def the_group(groups: Sequence[Group], wanted: str) -> Group:
    """Return the group of a rate limit, by the id of that. Raises `NotFoundError`."""
    for group in groups:
        if group.rate_limit_id == wanted:
            return group
    raise NotFoundError(f"Rate limit {shortened(wanted)} not found.")
