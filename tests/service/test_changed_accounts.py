"""The accounts in memory after changes: those of a whole read, and no more is read than changed."""

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random

import pytest
from sqlalchemy import Engine, event

from antiphon.core.ids import hash_secret
from antiphon.core.limits.values import Scope
from antiphon.service.accounts import Accounts, establish
from antiphon.service.console.sessions import SessionLife, Sessions
from antiphon.store.accounts import (
    ApiKey,
    add_key,
    add_secret,
    archive_keys_of,
    change_key,
    end_secrets,
)
from antiphon.store.database.changes import KEPT, ChangeKind, announce, changes_since
from antiphon.store.database.connection import AsyncConnection
from antiphon.store.database.database import Database
from antiphon.store.database.tables import account_changes, revisions
from antiphon.store.directory import read_directory
from antiphon.store.limits import (
    RateLimit,
    SpendLimit,
    clear_rate_limit,
    clear_spend_limit,
    list_spend_limits,
    set_rate_limit,
    set_spend_limit,
)
from antiphon.store.organizations import User, add_user, change_role
from antiphon.store.workspaces import Workspace, add_workspace, change_workspace

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 29, tzinfo=UTC)


@pytest.fixture
async def accounts(database: Database) -> Accounts:
    await establish(database, bytes, lambda: NOW)
    return Accounts(database, await database.watch())


def a_key(number: int, workspace: str | None = None) -> ApiKey:
    return ApiKey(id=f"apikey_{number}", name="k", hint="h", created_at=NOW, workspace_id=workspace)


class Changes:
    """Changes accounts at random."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._made = 0
        self._keys: list[str] = []
        self._open = ["wrkspc_none"]

    async def make(self, connection: AsyncConnection) -> None:
        """Make one change."""
        change: Callable[[AsyncConnection], Awaitable[None]] = self._random.choice(
            [
                self._add_key,
                self._add_key,
                self._change_key,
                self._rotate,
                self._add_workspace,
                self._rename,
                self._archive,
                self._limit,
                self._limit,
                self._clear,
            ]
        )
        self._made += 1
        await change(connection)

    def _workspace(self) -> str:
        return self._random.choice(self._open)

    async def _add_key(self, connection: AsyncConnection) -> None:
        workspace = self._workspace()
        key = a_key(self._made, None if workspace == "wrkspc_none" else workspace)
        await add_key(connection, key, hash_secret(key.id))
        self._keys.append(key.id)

    async def _change_key(self, connection: AsyncConnection) -> None:
        if self._keys:
            status = self._random.choice(["active", "inactive", "archived"])
            changes = {"status": status, "name": f"name {self._made}"}
            await change_key(connection, self._random.choice(self._keys), changes)

    async def _rotate(self, connection: AsyncConnection) -> None:
        if self._keys:
            key = self._random.choice(self._keys)
            await end_secrets(connection, key, NOW + timedelta(seconds=self._made))
            await add_secret(connection, key, hash_secret(f"{key} {self._made}"))

    async def _add_workspace(self, connection: AsyncConnection) -> None:
        made = Workspace(
            id=f"wrkspc_{self._made}", name="w", display_color="#000000", created_at=NOW
        )
        await add_workspace(connection, made)
        self._open.append(made.id)

    async def _rename(self, connection: AsyncConnection) -> None:
        await change_workspace(connection, self._workspace(), {"name": f"name {self._made}"})

    async def _archive(self, connection: AsyncConnection) -> None:
        workspace = self._workspace()
        if workspace != "wrkspc_none":
            self._open.remove(workspace)
            await change_workspace(connection, workspace, {"archived_at": NOW})
            await archive_keys_of(connection, workspace, NOW)

    def _owner(self) -> tuple[Scope, str]:
        if self._keys and self._random.random() < 0.5:
            return Scope.KEY, self._random.choice(self._keys)
        return Scope.WORKSPACE, self._workspace()

    async def _limit(self, connection: AsyncConnection) -> None:
        scope, owner = self._owner()
        await set_rate_limit(
            connection,
            RateLimit(scope=scope, scope_id=owner, group_id="m", type="t", value=self._made),
        )
        await set_spend_limit(
            connection,
            SpendLimit(
                id=f"spl_{self._made}",
                scope=scope,
                scope_id=owner,
                period=self._random.choice(["daily", "monthly"]),
                amount=self._made,
                created_at=NOW + timedelta(seconds=self._made),
                updated_at=NOW,
            ),
        )

    async def _clear(self, connection: AsyncConnection) -> None:
        await clear_rate_limit(connection, *self._owner(), "m", "t")
        if limits := await list_spend_limits(connection):
            await clear_spend_limit(connection, self._random.choice(limits))


async def test_changed_accounts_are_those_of_a_whole_read(
    database: Database, accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So that three keys are more than a portion.
    monkeypatch.setattr("antiphon.store.database.records.PORTION", 2)
    changes = Changes(random := Random(13))  # noqa: S311 - no secret
    await accounts.current()
    for _ in range(40):
        async with database.write() as connection:
            for _ in range(random.randint(1, 12)):
                await changes.make(connection)
        async with database.read() as connection:
            whole = await read_directory(connection)
        found = await accounts.current()
        assert found == whole
    assert len(found.active_secrets) > 2
    assert found.spend_limits


async def test_change_of_a_key_reads_this_key(
    database: Database, accounts: Accounts, statements: list[str]
) -> None:
    async with database.write() as connection:
        for number in range(3):
            await add_key(connection, a_key(number), hash_secret(str(number)))
    before = await accounts.current()
    async with database.write() as connection:
        await change_key(connection, "apikey_1", {"status": "inactive"})
    statements.clear()
    after = await accounts.current()
    assert set(before.active_secrets) - set(after.active_secrets) == {hash_secret("1")}
    # The state that a running request has is not changed under it.
    assert len(before.active_secrets) == 3
    read = [one for one in statements if one.startswith("SELECT")]
    assert not [one for one in read if "FROM workspaces" in one or "_limits" in one]
    (of_keys,) = (one for one in read if "api_keys" in one)
    assert "key_secrets.key_id IN" in of_keys


async def test_archived_workspace_takes_its_keys_and_no_others(
    database: Database, accounts: Accounts, statements: list[str]
) -> None:
    async with database.write() as connection:
        for name in ("wrkspc_a", "wrkspc_b"):
            one = Workspace(id=name, name="w", display_color="#000000", created_at=NOW)
            await add_workspace(connection, one)
        for number, workspace in enumerate(("wrkspc_a", "wrkspc_b", "wrkspc_a", None)):
            await add_key(connection, a_key(number, workspace), hash_secret(str(number)))
    await accounts.current()
    async with database.write() as connection:
        await archive_keys_of(connection, "wrkspc_a", NOW)
    statements.clear()
    left = (await accounts.current()).active_secrets
    assert {one.key.id for one in left.values()} == {"apikey_1", "apikey_3"}
    assert not [one for one in statements if "key_secrets" in one]


@pytest.mark.sql_elsewhere
async def test_sign_in_reads_no_accounts_and_a_key_reads_no_sessions(
    database: Database, accounts: Accounts, statements: list[str]
) -> None:
    user = User(id="user_1", email="ada@example.com", name="Ada", role="user", added_at=NOW)
    life = SessionLife(timedelta(days=1), timedelta(days=9))
    sessions = Sessions(database, await database.watch(), lambda: NOW, bytes, life)
    async with database.write() as connection:
        await add_user(connection, user)
        token = (await sessions.open(connection, user.id)).token
    known = await accounts.current()
    assert await sessions.find(token)
    async with database.write() as connection:
        await change_role(connection, user.id, "developer")
    statements.clear()
    assert await accounts.current() is known
    assert not [one for one in statements if "FROM api_keys" in one or "FROM workspaces" in one]
    found = await sessions.find(token)
    assert found is not None
    assert found.user.role == "developer"
    async with database.write() as connection:
        await add_key(connection, a_key(1), b"digest")
    statements.clear()
    assert await sessions.find(token) == found
    assert not [one for one in statements if "FROM console_sessions" in one]


@pytest.mark.sql_elsewhere
async def test_sessions_are_read_with_the_users_who_have_one(
    database: Database, accounts: Accounts, statements: list[str]
) -> None:
    assert await accounts.current()
    life = SessionLife(timedelta(days=1), timedelta(days=9))
    sessions = Sessions(database, await database.watch(), lambda: NOW, bytes, life)
    async with database.write() as connection:
        for number in range(3):
            user = User(
                id=f"user_{number}",
                email=f"{number}@example.com",
                name="",
                role="user",
                added_at=NOW,
            )
            await add_user(connection, user)
        token = (await sessions.open(connection, "user_1")).token
    statements.clear()
    found = await sessions.find(token)
    assert found is not None
    assert found.user.id == "user_1"
    (of_users,) = (one for one in statements if "FROM users" in one)
    assert "users.id IN" in of_users


@pytest.mark.sql_elsewhere
async def test_change_that_is_not_told_is_read_as_a_whole(
    database: Database, accounts: Accounts
) -> None:
    await accounts.current()
    async with database.write() as connection:
        await add_key(connection, a_key(1), b"one")
        # As a release does that knows nothing of the table.
        await connection.execute(account_changes.delete())
    assert set((await accounts.current()).active_secrets) == {b"one"}


@pytest.mark.sql_elsewhere
@pytest.mark.parametrize("kind", ["all", "what a newer release knows"])
async def test_change_of_all_or_of_an_unknown_kind_is_read_as_a_whole(
    database: Database, accounts: Accounts, kind: str
) -> None:
    await accounts.current()
    async with database.write() as connection:
        await add_key(connection, a_key(1), b"one")
        await connection.execute(account_changes.update().values(kind=kind))
    assert set((await accounts.current()).active_secrets) == {b"one"}


@pytest.mark.sql_elsewhere
async def test_older_copy_of_the_database_is_read_as_a_whole(
    database: Database, accounts: Accounts
) -> None:
    async with database.write() as connection:
        await add_key(connection, a_key(1), b"one")
        await add_key(connection, a_key(2), b"two")
    assert len((await accounts.current()).active_secrets) == 2
    async with database.write() as connection:
        await change_key(connection, "apikey_1", {"status": "inactive"})
        await connection.execute(revisions.update().values(value=2))
    assert set((await accounts.current()).active_secrets) == {b"two"}


async def test_oldest_changes_are_forgotten(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(revisions.update().values(value=KEPT + 3))
        rows = [{"revision": one, "kind": "key", "object_id": "k"} for one in range(1, KEPT + 4)]
        await connection.execute(account_changes.insert(), rows)
        await announce(connection, ChangeKind.KEY, "last")
    async with database.read() as connection:
        kept = list(await connection.scalars(account_changes.select().order_by("revision")))
        assert (len(kept), kept[0], kept[-1]) == (KEPT, 5, KEPT + 4)
        now, changes = await changes_since(connection, 4)
        assert (now, changes) == (KEPT + 4, {("key", "k"), ("key", "last")})
        assert await changes_since(connection, 3) == (KEPT + 4, None)


async def test_two_processes_that_change_at_once_are_both_noticed(
    database: Database, accounts: Accounts, opened: Callable[[], Awaitable[Database]]
) -> None:
    other = await opened()
    await accounts.current()
    for number in range(6):
        async with (database if number % 2 else other).write() as connection:
            await add_key(connection, a_key(number), bytes([number]))
        if number % 3 == 2:
            async with database.read() as connection:
                # On PostgreSQL the notice of the other one may still be on its way.
                expected = await read_directory(connection)
            accounts._signal.touch()
            assert await accounts.current() == expected


async def test_long_read_is_no_silent_database(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await establish(database, bytes, lambda: NOW)
    async with database.write() as connection:
        for number in range(6):
            await add_key(connection, a_key(number), hash_secret(str(number)))
    monkeypatch.setattr("antiphon.store.database.records.PORTION", 1)
    accounts = Accounts(database, await database.watch(), limit_s=0.6)
    answers = count()

    def take_long(*_: object) -> None:
        next(answers)
        time.sleep(0.1)

    event.listen(Engine, "before_cursor_execute", take_long)
    try:
        assert len((await accounts.current()).active_secrets) == 6
    finally:
        event.remove(Engine, "before_cursor_execute", take_long)
    assert next(answers) > 10
