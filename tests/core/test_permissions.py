from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.permissions import (
    EVERYTHING,
    Permission,
    Reach,
    permissions_of,
    reach_of,
)
from antiphon.wire.admin.organizations import Role, WorkspaceRole

ROLES = get_args(Role)
NAMES = st.sampled_from(["default", "a", "b", "c"])
MEMBERSHIPS = st.dictionaries(
    st.sampled_from(["a", "b", "c"]), st.sampled_from(get_args(WorkspaceRole))
)


def test_every_role_of_the_api_has_permissions() -> None:
    assert all(permissions_of(role) for role in ROLES)
    assert permissions_of("admin") == set(get_args(Permission))
    assert permissions_of("owner of the world") == frozenset()


@pytest.mark.parametrize(
    ("permission", "roles"),
    [
        ("audit.read", {"admin"}),
        ("requests.read", set(ROLES) - {"billing"}),
        ("members.read", {"admin"}),
        ("members.write", {"admin"}),
        ("workspaces.write", {"admin"}),
        ("limit_increases.decide", {"admin"}),
        ("rate_limits.write", {"admin"}),
        ("spend_limits.write", {"admin", "billing"}),
        ("spending.read", {"admin", "billing"}),
        ("limits.read", {"admin", "billing", "developer"}),
        ("cost.read", {"admin", "billing", "developer"}),
        ("keys.read", {"admin", "billing", "developer"}),
        ("keys.write", {"admin", "developer"}),
        ("batches.use", {"admin", "developer"}),
        ("files.use", {"admin", "developer"}),
        ("models.use", {"admin", "claude_code_user", "developer", "managed", "user"}),
        ("workspace_members.read", set(ROLES) - {"billing"}),
        ("workspace_members.write", set(ROLES) - {"billing"}),
        ("names.read", set(ROLES)),
        ("usage.read", set(ROLES)),
        ("organization.read", set(ROLES)),
    ],
)
def test_permission_belongs_to_these_roles(permission: Permission, roles: set[str]) -> None:
    assert {role for role in ROLES if permission in permissions_of(role)} == roles


@pytest.mark.parametrize("role", ["admin", "billing"])
def test_administrators_and_billing_see_everything(role: str) -> None:
    assert reach_of(role, "ada", {"a": "workspace_user"}, "default") is EVERYTHING
    assert EVERYTHING.sees(None)
    assert EVERYTHING.changes_key_of("bob", None)


def test_developer_sees_the_workspaces_of_a_developing_role() -> None:
    reach = reach_of(
        "developer",
        "ada",
        {
            "a": "workspace_developer",
            "b": "workspace_user",
            "c": "workspace_admin",
            "d": "workspace_restricted_developer",
        },
        "default",
    )
    assert reach.workspaces == {"default", "a", "c", "d"}
    assert reach.account is None
    assert not reach.sees(None)


@pytest.mark.parametrize("role", ROLES)
def test_reach_has_costs_where_the_role_may_read_them(role: str) -> None:
    reach = reach_of(role, "ada", {}, "default")
    assert reach.costs == ("cost.read" in permissions_of(role))


@pytest.mark.parametrize(
    ("reach", "workspace", "account", "known", "seen"),
    [
        (EVERYTHING, None, None, False, True),
        (Reach(workspaces=frozenset("a")), "a", "bob", True, True),
        (Reach(workspaces=frozenset("a")), "a", None, False, False),
        (Reach(workspaces=frozenset("a")), "b", "ada", True, False),
        (Reach(workspaces=frozenset("a"), account="ada"), "a", "ada", True, True),
        (Reach(workspaces=frozenset("a"), account="ada"), "a", "bob", True, False),
        (Reach(workspaces=frozenset("a"), account="ada"), "a", None, True, False),
        (Reach(workspaces=frozenset("a"), account="ada"), "b", "ada", True, False),
    ],
)
def test_request_is_seen_in_own_workspaces_and_by_its_own_user(
    reach: Reach, workspace: str | None, account: str | None, known: bool, seen: bool
) -> None:
    assert reach.sees_request(workspace, account, caller_known=known) is seen


def test_developer_changes_own_keys_and_those_of_administered_workspaces() -> None:
    reach = reach_of(
        "developer", "ada", {"a": "workspace_developer", "c": "workspace_admin"}, "default"
    )
    assert reach.changes_key_of("ada", "a")
    assert not reach.changes_key_of("bob", "a")
    assert not reach.changes_key_of(None, "default")
    assert reach.changes_key_of("bob", "c")
    assert not reach.changes_key_of("ada", "b")
    assert not reach.changes_key_of("ada", None)


@pytest.mark.parametrize("role", ["user", "claude_code_user", "managed", "unknown"])
def test_user_sees_the_own_use_alone(role: str) -> None:
    reach = reach_of(role, "ada", {"a": "workspace_user"}, "default")
    assert reach.account == "ada"
    assert reach.workspaces == {"default", "a"}


@pytest.mark.parametrize(
    ("workspaces", "asked", "selected"),
    [
        (None, set(), set()),
        (None, {"a"}, {"a"}),
        ({"a", "b"}, set(), {"a", "b"}),
        ({"a", "b"}, {"b", "c"}, {"b"}),
        ({"a"}, {"c"}, set()),
    ],
)
def test_what_is_asked_for_is_selected_of_what_is_seen(
    workspaces: set[str] | None, asked: set[str], selected: set[str]
) -> None:
    reach = Reach(workspaces=None if workspaces is None else frozenset(workspaces))
    assert reach.seen_of(frozenset(asked)) == selected


@given(
    role=st.sampled_from([*ROLES, "unknown"]),
    memberships=MEMBERSHIPS,
    asked=st.frozensets(NAMES),
    workspace=st.none() | NAMES,
    creator=st.none() | st.sampled_from(["ada", "bob"]),
)
def test_nobody_reaches_beyond_the_own_workspaces(
    role: str,
    memberships: dict[str, str],
    asked: frozenset[str],
    workspace: str | None,
    creator: str | None,
) -> None:
    reach: Reach = reach_of(role, "ada", memberships, "default")
    if role in {"admin", "billing"}:
        assert reach.seen_of(asked) == asked
        return
    own = {"default", *memberships}
    assert reach.seen_of(asked) <= own
    assert reach.seen_of(asked) <= asked or not asked
    assert not reach.sees(workspace) or workspace in own
    assert not reach.changes_key_of(creator, workspace) or reach.sees(workspace)


@given(st.sampled_from(ROLES), MEMBERSHIPS, NAMES)
def test_members_are_changed_in_administered_workspaces_alone(
    role: str, memberships: dict[str, str], workspace: str
) -> None:
    reach = reach_of(role, "ada", memberships, "default")
    everywhere = role in {"admin", "billing"}
    rules = memberships.get(workspace) == "workspace_admin"
    assert reach.administers(workspace) is (everywhere or rules)
    assert not reach.administers(workspace) or reach.sees(workspace)


def test_roles_without_development_may_do_the_same() -> None:
    for role in ("claude_code_user", "managed"):
        assert permissions_of(role) == permissions_of("user")
        seen, theirs = (
            reach_of(one, "ada", {"w": "workspace_user"}, "default") for one in (role, "user")
        )
        assert seen == theirs


def test_administrator_of_a_workspace_administers_it_and_sees_names() -> None:
    leader = reach_of(
        "user", "ada", {"led": "workspace_admin", "used": "workspace_user"}, "default"
    )
    assert (leader.administers("led"), leader.administers("used")) == (True, False)
    assert leader.named is None
    alone = reach_of("user", "ada", {"used": "workspace_user"}, "default")
    assert alone.named == "ada"


@given(st.sampled_from(ROLES), MEMBERSHIPS)
def test_whoever_works_with_others_sees_their_names(role: str, memberships: dict[str, str]) -> None:
    reach = reach_of(role, "ada", memberships, "default")
    works = role in {"admin", "billing", "developer"}
    sees_all = works or "workspace_admin" in memberships.values()
    assert reach.named == (None if sees_all else "ada")
