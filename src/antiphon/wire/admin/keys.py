"""Requests and answers of the Admin API: API keys."""

from typing import Annotated, Literal, TypeAlias

from msgspec import UNSET, Meta, UnsetType

from antiphon.wire.base import AnswerStruct, NonEmptyStr, Param

KeyName: TypeAlias = Annotated[str, Meta(min_length=1, max_length=100)]
KeyState: TypeAlias = Literal["active", "inactive", "archived", "expired"]

SHORTEST_LIFE_S = 1
LONGEST_LIFE_S = 10 * 365 * 86_400
LONGEST_GRACE_S = 30 * 86_400


class CreatedBy(AnswerStruct, kw_only=True, frozen=True):
    """The creator of a key."""

    id: str
    type: Literal["user"] = "user"


class WorkspaceKeyScope(AnswerStruct, tag_field="type", tag="workspace", kw_only=True, frozen=True):
    """A key of one workspace."""

    workspace_id: str


class OrganizationKeyScope(
    AnswerStruct, tag_field="type", tag="organization", kw_only=True, frozen=True
):
    """A key that chooses its workspace by `anthropic-workspace-id`."""


class AdminKeyScope(AnswerStruct, tag_field="type", tag="admin", kw_only=True, frozen=True):
    """An admin key, which cannot call models. Only the command line shows one."""


class KeyInfo(AnswerStruct, kw_only=True, frozen=True):
    """A key without its secret.

    `secret` is set only in the answer that creates it. It and `last_used_at` are no part of the
    Claude API.
    """

    id: str
    type: Literal["api_key"] = "api_key"
    name: str
    status: KeyState
    created_at: str
    expires_at: str | None
    last_used_at: str | None
    created_by: CreatedBy | None
    partial_key_hint: str | None
    principal: None = None
    scope: WorkspaceKeyScope | OrganizationKeyScope | AdminKeyScope
    secret: str | UnsetType = UNSET


class KeyScopeParam(Param, tag_field="type", kw_only=True, frozen=True):
    """The owner of a new key."""


class WorkspaceKeyScopeParam(KeyScopeParam, tag="workspace", kw_only=True, frozen=True):
    """A key of a workspace."""

    workspace_id: NonEmptyStr


class OrganizationKeyScopeParam(KeyScopeParam, tag="organization", kw_only=True, frozen=True):
    """A key of the organization."""


class CreateKeyParams(Param, kw_only=True, frozen=True):
    """A new key; without a scope it belongs to the Default workspace."""

    name: KeyName
    scope: WorkspaceKeyScopeParam | OrganizationKeyScopeParam | None = None
    expires_in_seconds: Annotated[int, Meta(ge=SHORTEST_LIFE_S, le=LONGEST_LIFE_S)] | None = None
    created_by_user_id: NonEmptyStr | None = None


class UpdateKeyParams(Param, kw_only=True, frozen=True):
    """Changes of a key. An absent field, or one of `null`, stays unchanged."""

    name: KeyName | None = None
    status: Literal["active", "inactive", "archived"] | None = None


class RotateKeyParams(Param, kw_only=True, frozen=True):
    """The time for which the present secrets of a key stay valid beside the new one."""

    grace_period_seconds: Annotated[int, Meta(ge=0, le=LONGEST_GRACE_S)] = 86_400
