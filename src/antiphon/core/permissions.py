"""What a role may do, and which part of the organization it sees.

The roles are those of the Admin API. The Console signs people in, and their requests go to the same
endpoints as those of keys: each route names one permission, and the use cases get the reach.
"""

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias, get_args

import msgspec

Permission: TypeAlias = Literal[
    "audit.read",
    "batches.use",
    "cache.read",
    "cost.read",
    "files.use",
    "keys.read",
    "keys.write",
    "limit_increases.decide",
    "limits.read",
    "members.read",
    "members.write",
    "models.read",
    "models.use",
    "names.read",
    "organization.read",
    "rate_limits.write",
    "requests.read",
    "settings.read",
    "spend_limits.write",
    "spending.read",
    "usage.read",
    "workspace_members.read",
    "workspace_members.write",
    "workspaces.read",
    "workspaces.write",
]

_EVERYONE: Final[frozenset[Permission]] = frozenset(
    {
        "models.read",
        "models.use",
        "names.read",
        "organization.read",
        "requests.read",
        "usage.read",
        # Of the workspaces that a user administers, which is the reach.
        "workspace_members.read",
        "workspace_members.write",
        "workspaces.read",
    }
)
_DEVELOPER: Final[frozenset[Permission]] = _EVERYONE | {
    "batches.use",
    "cache.read",
    "cost.read",
    "files.use",
    "keys.read",
    "keys.write",
    "limits.read",
}
_BILLING: Final[frozenset[Permission]] = frozenset(
    {
        "cost.read",
        "keys.read",
        "limits.read",
        "names.read",
        "organization.read",
        "spend_limits.write",
        "spending.read",
        "usage.read",
        "workspaces.read",
    }
)
_ROLES: Final[Mapping[str, frozenset[Permission]]] = {
    "admin": frozenset(get_args(Permission)),
    "billing": _BILLING,
    "claude_code_user": _EVERYONE,
    "developer": _DEVELOPER,
    "managed": _EVERYONE,
    "user": _EVERYONE,
}

# The roles of a workspace in which a developer sees its keys, its limits and its use.
_DEVELOPS: Final = frozenset(
    {"workspace_admin", "workspace_developer", "workspace_restricted_developer"}
)


def permissions_of(role: str) -> frozenset[Permission]:
    """Return what a role of the organization may do; an unknown role may do nothing."""
    return _ROLES.get(role, frozenset())


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """The part of the organization that a caller sees and changes.

    `workspaces` are those whose keys, limits and use it sees; `None` is all of them. It changes the
    keys that `owner` has created, and all keys and members of `administered` workspaces; without an
    `owner`, every key and member. `account` is the user whose use alone it sees. `costs` is
    whether it sees what things cost, as `cost.read` permits.
    """

    workspaces: frozenset[str] | None = None
    owner: str | None = None
    administered: frozenset[str] = frozenset()
    account: str | None = None
    costs: bool = True

    def sees_request(
        self, workspace_id: str | None, account: str | None, *, caller_known: bool = True
    ) -> bool:
        """Return whether it sees a request in a workspace, by a user or by a key of the user.

        Requests of unknown callers belong to no workspace.
        """
        if self.workspaces is None:
            return True
        return caller_known and self.sees(workspace_id) and self.account in {None, account}

    def sees(self, workspace_id: str | None) -> bool:
        """Return whether it sees a workspace; `None` stands for the whole organization."""
        return self.workspaces is None or workspace_id in self.workspaces

    def changes_key_of(self, created_by: str | None, workspace_id: str | None) -> bool:
        """Return whether it changes a key of this creator in this workspace."""
        if not self.sees(workspace_id):
            return False
        return self.owner in {None, created_by} or workspace_id in self.administered

    def administers(self, workspace_id: str) -> bool:
        """Return whether it sees and changes the members of a workspace."""
        return self.owner is None or workspace_id in self.administered

    @property
    def named(self) -> str | None:
        """The one user whose name it sees, of a user who sees own use alone; `None` for all."""
        return None if self.administered else self.account

    def seen_of(self, asked: frozenset[str]) -> frozenset[str]:
        """Return the workspaces to select: those that are asked for; all that it sees for none."""
        if self.workspaces is None:
            return asked
        return self.workspaces & asked if asked else self.workspaces


EVERYTHING: Final = Reach()
"""The reach of an admin key, and of an administrator."""


def reach_of(
    role: str, user_id: str, memberships: Mapping[str, str], default_workspace: str
) -> Reach:
    """Return the reach of a user.

    `memberships` has the user's role in each workspace but the default one, in which every user
    is.
    """
    ruled = {name for name, their in memberships.items() if their == "workspace_admin"}
    match role:
        case "admin" | "billing":
            return EVERYTHING
        case "developer":
            developed = {name for name, their in memberships.items() if their in _DEVELOPS}
            return Reach(
                workspaces=frozenset({default_workspace, *developed}),
                owner=user_id,
                administered=frozenset(ruled),
            )
        case _:
            return Reach(
                workspaces=frozenset({default_workspace, *memberships}),
                owner=user_id,
                administered=frozenset(ruled),
                account=user_id,
                costs="cost.read" in permissions_of(role),
            )
