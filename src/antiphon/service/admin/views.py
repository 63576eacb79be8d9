"""Keys and members in the form of answers and of the audit log."""

from datetime import datetime

from antiphon.service.admin.transactions import Change, moment, optional_moment
from antiphon.store.accounts import ApiKey, KeyKind, KeyStatus
from antiphon.store.workspaces import Member
from antiphon.wire.admin.keys import (
    AdminKeyScope,
    CreatedBy,
    KeyInfo,
    KeyState,
    OrganizationKeyScope,
    WorkspaceKeyScope,
)
from antiphon.wire.admin.organizations import MemberInfo


def key_state(key: ApiKey, now: datetime) -> KeyState:
    """Return the current state of a key, as the wire names it."""
    if key.status is not KeyStatus.ARCHIVED and has_expired(key, now):
        return "expired"
    return key.status.value


def has_expired(key: ApiKey, now: datetime) -> bool:
    """Return whether a key has expired."""
    return key.expires_at is not None and key.expires_at <= now


def key_info(key: ApiKey, now: datetime) -> KeyInfo:
    """Return a key as the API shows it."""
    return KeyInfo(
        id=key.id,
        name=key.name,
        status=key_state(key, now),
        created_at=moment(key.created_at),
        expires_at=optional_moment(key.expires_at),
        last_used_at=optional_moment(key.last_used_at),
        created_by=CreatedBy(id=key.created_by) if key.created_by else None,
        partial_key_hint=key.hint,
        scope=_scope(key),
    )


def key_change(before: ApiKey, after: ApiKey, now: datetime) -> Change:
    """Return the change of a key that results from another change."""
    return Change("api_key.update", key_info(before, now), key_info(after, now))


def _scope(key: ApiKey) -> WorkspaceKeyScope | OrganizationKeyScope | AdminKeyScope:
    if key.kind is KeyKind.ADMIN:
        return AdminKeyScope()
    if key.workspace_id is None:
        return OrganizationKeyScope()
    return WorkspaceKeyScope(workspace_id=key.workspace_id)


def member_info(member: Member) -> MemberInfo:
    """Return a member as the API shows it."""
    return MemberInfo(
        user_id=member.user_id,
        workspace_id=member.workspace_id,
        workspace_role=member.workspace_role,  # type: ignore[arg-type]  # the rows are ours
    )


def member_change(
    action: str, member: Member, *, before: Member | None = None, after: Member | None = None
) -> Change:
    """Return a change of a member."""
    return Change(
        f"workspace_member.{action}",
        member_info(before) if before else None,
        member_info(after) if after else None,
        of=("workspace_member", f"{member.workspace_id}/{member.user_id}"),
    )
