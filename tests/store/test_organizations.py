from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from antiphon.store.accounts import ApiKey, KeyKind, add_key, find_key
from antiphon.store.audit import AuditEntry, AuditFilter, add_audit_entry, list_audit_entries
from antiphon.store.database.database import Database
from antiphon.store.database.errors import DuplicateError, StoreError
from antiphon.store.directory import read_directory
from antiphon.store.limits import (
    RateLimit,
    Scope,
    SpendLimit,
    clear_rate_limit,
    clear_spend_limit,
    set_rate_limit,
    set_spend_limit,
)
from antiphon.store.organizations import (
    Invite,
    Organization,
    User,
    add_invite,
    add_user,
    change_role,
    end_invite,
    find_invite,
    find_organization,
    find_user,
    find_user_by_email,
    found_organization,
    list_users,
    remove_user,
)
from antiphon.store.workspaces import (
    Member,
    Workspace,
    add_member,
    add_workspace,
    change_member,
    change_workspace,
    find_workspace,
    list_members,
    list_workspaces,
    remove_member,
)

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=UTC)
ORGANIZATION = Organization(id="org", name="Organization", created_at=NOON)
DEFAULT = Workspace(
    id="wrkspc_0", name="Default", display_color="#000000", created_at=NOON, is_default=True
)


def a_user(number: int) -> User:
    return User(
        id=f"user_{number}",
        email=f"{number}@example.org",
        name="Ada",
        role="developer",
        added_at=NOON + timedelta(seconds=number),
    )


def a_workspace(number: int) -> Workspace:
    return Workspace(
        id=f"wrkspc_{number}",
        name="Research",
        display_color="#123456",
        tags={"team": "a"},
        created_at=NOON + timedelta(seconds=number),
    )


async def test_founded_organization_gets_the_existing_keys(database: Database) -> None:
    key = ApiKey(id="apikey_1", name="old", hint="h", created_at=NOON)
    admin = ApiKey(id="apikey_2", name="admin", hint="h", created_at=NOON, kind=KeyKind.ADMIN)
    async with database.write() as connection:
        assert await find_organization(connection) is None
        with pytest.raises(StoreError, match="no organization yet"):
            await read_directory(connection)
        await add_key(connection, key, b"1")
        await add_key(connection, admin, b"2")
        await found_organization(connection, ORGANIZATION, DEFAULT)
    async with database.read() as connection:
        directory = await read_directory(connection)
        taken_in = await find_key(connection, "apikey_1")
    assert (directory.organization, directory.default_workspace) == (ORGANIZATION, DEFAULT)
    assert taken_in is not None
    assert taken_in.workspace_id == DEFAULT.id
    assert directory.active_secrets[b"2"].key.workspace_id is None


async def test_users_are_added_changed_and_removed(database: Database) -> None:
    async with database.write() as connection:
        await add_user(connection, a_user(1))
        await add_user(connection, a_user(2))
        await change_role(connection, "user_2", "billing")
    async with database.read() as connection:
        assert [user.id for user in await list_users(connection)] == ["user_2", "user_1"]
        assert await find_user_by_email(connection, "1@EXAMPLE.org") == a_user(1)
        changed = await find_user(connection, "user_2")
    assert changed is not None
    assert changed.role == "billing"
    async with database.write() as connection:
        await remove_user(connection, "user_2")
        assert await find_user(connection, "user_2") is None


async def test_second_user_with_an_address_is_refused(database: Database) -> None:
    async with database.write() as connection:
        await add_user(connection, a_user(1))
    with pytest.raises(DuplicateError):
        async with database.write() as connection:
            await add_user(connection, replace(a_user(1), id="user_9"))


async def test_invites_are_accepted_or_deleted(database: Database) -> None:
    open_one = Invite(
        id="invite_1",
        email="a@example.org",
        role="user",
        invited_at=NOON,
        expires_at=NOON + timedelta(days=21),
    )
    async with database.write() as connection:
        await add_invite(connection, open_one)
        assert await find_invite(connection, "invite_1") == open_one
        await end_invite(connection, "invite_1", accepted_at=NOON)
        ended = await find_invite(connection, "invite_1")
    assert ended is not None
    assert (ended.accepted_at, ended.deleted_at) == (NOON, None)


async def test_workspaces_and_members_are_added_changed_and_removed(database: Database) -> None:
    member = Member(
        workspace_id="wrkspc_1", user_id="user_1", workspace_role="workspace_user", added_at=NOON
    )
    async with database.write() as connection:
        await add_workspace(connection, a_workspace(1))
        await add_workspace(connection, a_workspace(2))
        await add_user(connection, a_user(1))
        await add_member(connection, member)
    async with database.write() as connection:
        await change_workspace(connection, "wrkspc_1", {"archived_at": NOON, "name": "Old"})
        await change_member(connection, "wrkspc_1", "user_1", "workspace_admin")
    async with database.read() as connection:
        newest, older = await list_workspaces(connection)
        assert newest == a_workspace(2)
        assert (older.name, older.archived_at, older.tags) == ("Old", NOON, {"team": "a"})
        assert await find_workspace(connection, "wrkspc_1") == older
        (one,) = await list_members(connection, "wrkspc_1")
        assert one.workspace_role == "workspace_admin"
    async with database.write() as connection:
        await remove_user(connection, "user_1")
        assert await list_members(connection, "wrkspc_1") == ()
        await remove_member(connection, "wrkspc_1", "user_1")


async def test_limits_are_set_changed_and_cleared(database: Database) -> None:
    rate = RateLimit(
        scope=Scope.WORKSPACE,
        scope_id="wrkspc_0",
        group_id="m",
        type="requests_per_minute",
        value=5,
    )
    spend = SpendLimit(
        id="spl_1",
        scope=Scope.KEY,
        scope_id="apikey_1",
        period="monthly",
        amount=10**12,
        created_at=NOON,
        updated_at=NOON,
    )
    later = replace(spend, id="spl_2", amount=7)
    async with database.write() as connection:
        await found_organization(connection, ORGANIZATION, DEFAULT)
        await set_rate_limit(connection, rate)
        await set_rate_limit(connection, replace(rate, value=6))
        assert await set_spend_limit(connection, spend) == spend
        changed = await set_spend_limit(connection, later)
        directory = await read_directory(connection)
    assert (changed.id, changed.amount) == ("spl_1", 7)
    (set_now,) = directory.rate_limits[Scope.WORKSPACE, "wrkspc_0"]
    assert set_now.value == 6
    assert directory.spend_limits[Scope.KEY, "apikey_1"] == (changed,)
    async with database.write() as connection:
        await clear_rate_limit(connection, Scope.WORKSPACE, "wrkspc_0", "m", "requests_per_minute")
        await clear_spend_limit(connection, changed)
        directory = await read_directory(connection)
    assert (directory.rate_limits, directory.spend_limits) == ({}, {})


async def test_audit_log_is_read_from_the_newest_page_by_page(database: Database) -> None:
    entries = [
        AuditEntry(
            id=f"audit_{number}",
            at=NOON,
            actor={"type": "cli"},
            action="workspace.update",
            object_type="workspace",
            object_id=f"wrkspc_{number % 2}",
            before={"name": "a"} if number else None,
            after={"name": "b"},
        )
        for number in range(5)
    ]
    async with database.write() as connection:
        for entry in entries:
            await add_audit_entry(connection, entry)
    async with database.read() as connection:
        first = await list_audit_entries(connection, limit=2)
        last = first[-1]
        rest = await list_audit_entries(connection, limit=9, after=(last.at, last.id))
        about_one = await list_audit_entries(
            connection, limit=9, wanted=AuditFilter(object_id="wrkspc_1")
        )
    assert [*first, *rest] == entries[::-1]
    assert [entry.id for entry in about_one] == ["audit_3", "audit_1"]
