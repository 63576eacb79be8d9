"""The organization, its users, invites and workspaces."""

from collections.abc import Mapping, Sequence
from typing import Any, Unpack

from antiphon.sdk.call import Call, CallOptions
from antiphon.sdk.organization.calls import Moment, listed, removed, sent, shown
from antiphon.sdk.organization.types import (
    AuditEntry,
    Invite,
    Member,
    MemberRemoved,
    Organization,
    Removed,
    SignedOut,
    User,
    UserName,
    Workspace,
)
from antiphon.sdk.pages import PageCall


def show_organization(**options: Unpack[CallOptions]) -> Call[Organization]:
    """Return the organization that the key belongs to."""
    return shown(Organization, "me", options=options)


def list_users(
    *,
    email: str | None = None,
    roles: Sequence[str] | None = None,
    limit: int | None = None,
    after_id: str | None = None,
    before_id: str | None = None,
    **options: Unpack[CallOptions],
) -> PageCall[User]:
    """List the users."""
    query = {
        "email": email,
        "roles": roles,
        "limit": limit,
        "after_id": after_id,
        "before_id": before_id,
    }
    return listed(User, "users", query=query, options=options)


def show_user(user_id: str, **options: Unpack[CallOptions]) -> Call[User]:
    """Return a user."""
    return shown(User, "users", user_id, options=options)


def update_user(user_id: str, *, role: str, **options: Unpack[CallOptions]) -> Call[User]:
    """Give a user another role."""
    return sent(User, "users", user_id, body={"role": role}, options=options)


def remove_user(user_id: str, **options: Unpack[CallOptions]) -> Call[Removed]:
    """Remove a user from the organization."""
    return removed(Removed, "users", user_id, options=options)


def sign_user_out(user_id: str, **options: Unpack[CallOptions]) -> Call[SignedOut]:
    """End the sessions of a user in the Console."""
    return sent(SignedOut, "users", user_id, "sign_out", options=options)


def list_user_names(
    *,
    ids: Sequence[str] | None = None,
    contains: str | None = None,
    limit: int | None = None,
    after_id: str | None = None,
    before_id: str | None = None,
    **options: Unpack[CallOptions],
) -> PageCall[UserName]:
    """List the names of users, for whoever may not see their addresses. Of Antiphon alone."""
    query = {
        "ids": ids,
        "contains": contains,
        "limit": limit,
        "after_id": after_id,
        "before_id": before_id,
    }
    return listed(UserName, "user_names", query=query, options=options)


def list_invites(  # noqa: PLR0913 - the parameters of the list
    *,
    email: str | None = None,
    roles: Sequence[str] | None = None,
    statuses: Sequence[str] | None = None,
    limit: int | None = None,
    after_id: str | None = None,
    before_id: str | None = None,
    **options: Unpack[CallOptions],
) -> PageCall[Invite]:
    """List the invites."""
    query = {
        "email": email,
        "roles": roles,
        "statuses": statuses,
        "limit": limit,
        "after_id": after_id,
        "before_id": before_id,
    }
    return listed(Invite, "invites", query=query, options=options)


def create_invite(
    *,
    email: str,
    role: str,
    rbac_group_ids: Sequence[str] | None = None,
    **options: Unpack[CallOptions],
) -> Call[Invite]:
    """Invite somebody."""
    body = {"email": email, "role": role, "rbac_group_ids": rbac_group_ids}
    return sent(Invite, "invites", body=body, options=options)


def show_invite(invite_id: str, **options: Unpack[CallOptions]) -> Call[Invite]:
    """Return an invite."""
    return shown(Invite, "invites", invite_id, options=options)


def delete_invite(invite_id: str, **options: Unpack[CallOptions]) -> Call[Removed]:
    """Take an invite back."""
    return removed(Removed, "invites", invite_id, options=options)


def accept_invite(invite_id: str, *, name: str, **options: Unpack[CallOptions]) -> Call[User]:
    """Make the invited person a user of this name. Of Antiphon alone."""
    return sent(User, "invites", invite_id, "accept", body={"name": name}, options=options)


def list_audit_entries(  # noqa: PLR0913 - the parameters of the list
    *,
    object_id: str | None = None,
    actor_id: str | None = None,
    action: str | None = None,
    starting_at: Moment | None = None,
    ending_at: Moment | None = None,
    limit: int | None = None,
    page: str | None = None,
    **options: Unpack[CallOptions],
) -> PageCall[AuditEntry]:
    """List the administrative changes, the newest first. Of Antiphon alone."""
    query = {
        "object_id": object_id,
        "actor_id": actor_id,
        "action": action,
        "starting_at": starting_at,
        "ending_at": ending_at,
        "limit": limit,
        "page": page,
    }
    return listed(AuditEntry, "audit_log", query=query, options=options)


def list_workspaces(  # noqa: PLR0913 - the parameters of the list
    *,
    include_archived: bool | None = None,
    include_default: bool | None = None,
    ids: Sequence[str] | None = None,
    limit: int | None = None,
    after_id: str | None = None,
    before_id: str | None = None,
    **options: Unpack[CallOptions],
) -> PageCall[Workspace]:
    """List the workspaces."""
    query = {
        "include_archived": include_archived,
        "include_default": include_default,
        "ids": ids,
        "limit": limit,
        "after_id": after_id,
        "before_id": before_id,
    }
    return listed(Workspace, "workspaces", query=query, options=options)


def create_workspace(  # noqa: PLR0913 - the facts of a workspace
    *,
    name: str,
    display_color: str | None = None,
    data_residency: Mapping[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
    external_key_id: str | None = None,
    user_profile_id: str | None = None,
    **options: Unpack[CallOptions],
) -> Call[Workspace]:
    """Make a workspace."""
    body = {
        "name": name,
        "display_color": display_color,
        "data_residency": data_residency,
        "tags": tags,
        "external_key_id": external_key_id,
        "user_profile_id": user_profile_id,
    }
    return sent(Workspace, "workspaces", body=body, options=options)


def show_workspace(workspace_id: str, **options: Unpack[CallOptions]) -> Call[Workspace]:
    """Return a workspace."""
    return shown(Workspace, "workspaces", workspace_id, options=options)


def update_workspace(  # noqa: PLR0913 - the facts of a workspace
    workspace_id: str,
    *,
    name: str | None = None,
    display_color: str | None = None,
    data_residency: Mapping[str, Any] | None = None,
    tags: Mapping[str, str | None] | None = None,
    external_key_id: str | None = None,
    user_profile_id: str | None = None,
    **options: Unpack[CallOptions],
) -> Call[Workspace]:
    """Change a workspace; what is not said stays. A tag of `None` is removed."""
    body = {
        "name": name,
        "display_color": display_color,
        "data_residency": data_residency,
        "tags": tags,
        "external_key_id": external_key_id,
        "user_profile_id": user_profile_id,
    }
    return sent(Workspace, "workspaces", workspace_id, body=body, options=options)


def archive_workspace(workspace_id: str, **options: Unpack[CallOptions]) -> Call[Workspace]:
    """Archive a workspace for ever. Its keys end."""
    return sent(Workspace, "workspaces", workspace_id, "archive", options=options)


def list_members(
    workspace_id: str,
    *,
    limit: int | None = None,
    after_id: str | None = None,
    before_id: str | None = None,
    **options: Unpack[CallOptions],
) -> PageCall[Member]:
    """List the members of a workspace."""
    query = {"limit": limit, "after_id": after_id, "before_id": before_id}
    return listed(Member, "workspaces", workspace_id, "members", query=query, options=options)


def add_member(
    workspace_id: str, *, user_id: str, workspace_role: str, **options: Unpack[CallOptions]
) -> Call[Member]:
    """Make a user a member of a workspace."""
    body = {"user_id": user_id, "workspace_role": workspace_role}
    return sent(Member, "workspaces", workspace_id, "members", body=body, options=options)


def show_member(user_id: str, *, workspace_id: str, **options: Unpack[CallOptions]) -> Call[Member]:
    """Return a member of a workspace."""
    return shown(Member, "workspaces", workspace_id, "members", user_id, options=options)


def update_member(
    user_id: str, *, workspace_id: str, workspace_role: str, **options: Unpack[CallOptions]
) -> Call[Member]:
    """Give a member another role in a workspace."""
    body = {"workspace_role": workspace_role}
    return sent(Member, "workspaces", workspace_id, "members", user_id, body=body, options=options)


def remove_member(
    user_id: str, *, workspace_id: str, **options: Unpack[CallOptions]
) -> Call[MemberRemoved]:
    """Remove a member from a workspace."""
    return removed(MemberRemoved, "workspaces", workspace_id, "members", user_id, options=options)
