"""Answers of the Admin API as version 2023-06-01 shows them.

All other code makes answers in the shape of the newest version. This module adds what only the
older one has: the workspace of a key beside its scope, and the type of a rate limit's group beside
the group.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import structs

from antiphon.wire.admin.keys import KeyInfo, WorkspaceKeyScope
from antiphon.wire.admin.limits import KeyRateLimitInfo, RateLimitInfo, WorkspaceRateLimitInfo
from antiphon.wire.admin.organizations import Listing, TokenListing
from antiphon.wire.base import AnswerStruct


class OlderKeyInfo(KeyInfo, kw_only=True, frozen=True):
    """A key. `workspace_id` is `null` for the Default workspace and for no workspace."""

    workspace_id: str | None


class OlderRateLimitInfo(RateLimitInfo, kw_only=True, frozen=True):
    """The organization's limits for one group."""

    group_type: str


class OlderWorkspaceRateLimitInfo(WorkspaceRateLimitInfo, kw_only=True, frozen=True):
    """A workspace's limits for one group."""

    group_type: str


class OlderKeyRateLimitInfo(KeyRateLimitInfo, kw_only=True, frozen=True):
    """A key's limits for one group."""

    group_type: str


_OLDER_LIMITS: Mapping[type[AnswerStruct], type[AnswerStruct]] = {
    RateLimitInfo: OlderRateLimitInfo,
    WorkspaceRateLimitInfo: OlderWorkspaceRateLimitInfo,
    KeyRateLimitInfo: OlderKeyRateLimitInfo,
}


def as_of_2023_06_01(answer: Any, default_workspace: str) -> Any:
    """Return an answer, or each item of a listing, as version 2023-06-01 shows it."""
    match answer:
        case KeyInfo():
            return _with(OlderKeyInfo, answer, workspace_id=_owner(answer, default_workspace))
        case RateLimitInfo() | WorkspaceRateLimitInfo() | KeyRateLimitInfo():
            group_type = answer.group.__struct_config__.tag
            return _with(_OLDER_LIMITS[type(answer)], answer, group_type=group_type)
        case Listing() | TokenListing():
            items = (as_of_2023_06_01(item, default_workspace) for item in answer.data)
            return structs.replace(answer, data=tuple(items))
        case _:
            return answer


def _with(kind: type[AnswerStruct], answer: AnswerStruct, **more: Any) -> AnswerStruct:
    return kind(**structs.asdict(answer), **more)


def _owner(key: KeyInfo, default_workspace: str) -> str | None:
    match key.scope:
        case WorkspaceKeyScope(workspace_id=owner) if owner != default_workspace:
            return owner
        case _:
            return None
