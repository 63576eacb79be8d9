"""The sessions in memory after changes: those of a whole read, and only of people who changed."""

from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random

import pytest

from antiphon.core.ids import hash_secret
from antiphon.service.accounts import establish
from antiphon.service.console.sessions import SessionLife, Sessions
from antiphon.store.console import (
    Password,
    drop_sessions_and_links,
    end_session,
    end_sessions_of,
    set_password,
)
from antiphon.store.database.connection import AsyncConnection
from antiphon.store.database.database import Database
from antiphon.store.organizations import User, add_user, change_role, find_user, remove_user
from antiphon.store.workspaces import (
    Member,
    Workspace,
    add_member,
    add_workspace,
    change_member,
    find_member,
    remove_member,
)

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 29, tzinfo=UTC)
LIFE = SessionLife(timedelta(hours=3), timedelta(hours=3))
PEOPLE = tuple(f"user_{number}" for number in range(5))


def a_user(user_id: str) -> User:
    return User(id=user_id, email=f"{user_id}@example.com", name=user_id, role="user", added_at=NOW)


class Office:
    """People who sign in, and what happens to them. The clock moves by some minutes a change."""

    def __init__(self, database: Database, random: Random) -> None:
        self.database = database
        self.now = NOW
        self.tokens = ["none"]
        self._random = random
        self._numbers = count()

    async def sessions(self) -> Sessions:
        watch = await self.database.watch()
        return Sessions(self.database, watch, lambda: self.now, self._entropy, LIFE)

    def _entropy(self, size: int) -> bytes:
        return next(self._numbers).to_bytes(size)

    async def happens(self, connection: AsyncConnection, sessions: Sessions) -> None:
        """Change something at random."""
        self.now += timedelta(minutes=self._random.choice([0, 0, 5]))
        who, what = self._random.choice(PEOPLE), self._random.random()
        if await find_user(connection, who) is None:
            await add_user(connection, a_user(who))
        elif what < 0.4:
            instead_of = self._random.choice([None, *self.tokens])
            opened = await sessions.open(connection, who, instead_of=instead_of)
            self.tokens.append(opened.token)
        elif what < 0.5:
            await end_session(connection, hash_secret(self._random.choice(self.tokens)))
        elif what < 0.55:
            await end_sessions_of(connection, who)
        elif what < 0.7:
            await change_role(connection, who, self._random.choice(["user", "developer"]))
        elif what < 0.8:
            await set_password(connection, Password(user_id=who, hash="h", changed_at=NOW))
        elif what < 0.95:
            await self._membership(connection, who)
        elif what < 0.98:
            await remove_user(connection, who)
        else:
            await drop_sessions_and_links(connection)

    async def _membership(self, connection: AsyncConnection, who: str) -> None:
        role = self._random.choice(["workspace_user", "workspace_admin"])
        if await find_member(connection, "wrkspc_a", who) is None:
            member = Member(workspace_id="wrkspc_a", user_id=who, workspace_role=role, added_at=NOW)
            await add_member(connection, member)
        elif self._random.random() < 0.5:
            await change_member(connection, "wrkspc_a", who, role)
        else:
            await remove_member(connection, "wrkspc_a", who)


@pytest.fixture
async def office(database: Database) -> Office:
    await establish(database, bytes, lambda: NOW)
    async with database.write() as connection:
        one = Workspace(id="wrkspc_a", name="w", display_color="#000000", created_at=NOW)
        await add_workspace(connection, one)
    return Office(database, Random(7))  # noqa: S311 - no secret


async def test_changed_sessions_are_those_of_a_whole_read(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So that three sessions are more than a portion.
    monkeypatch.setattr("antiphon.store.database.records.PORTION", 2)
    # Of more people than one it is told at once that they have changed.
    monkeypatch.setattr("antiphon.store.console._MOST_TOLD", 1)
    sessions = await office.sessions()
    for _ in range(60):
        async with office.database.write() as connection:
            await office.happens(connection, sessions)
            await office.happens(connection, sessions)
        whole = await office.sessions()
        for token in office.tokens:
            assert await sessions.find(token) == await whole.find(token)
        assert await sessions.setup_needed() == await whole.setup_needed()
    assert len(office.tokens) > 20


async def test_sign_in_reads_the_sessions_of_its_user(
    office: Office, statements: list[str]
) -> None:
    sessions = await office.sessions()
    async with office.database.write() as connection:
        for who in PEOPLE:
            await add_user(connection, a_user(who))
        first = await sessions.open(connection, PEOPLE[0])
    known = await sessions.find(first.token)
    assert known is not None
    async with office.database.write() as connection:
        second = await sessions.open(connection, PEOPLE[1])
    statements.clear()
    found = await sessions.find(second.token)
    assert found is not None
    assert found.user.id == PEOPLE[1]
    assert await sessions.find(first.token) is known
    (read,) = (one for one in statements if "FROM console_sessions" in one)
    assert "console_sessions.user_id IN" in read


async def test_session_that_was_removed_after_its_end_is_in_no_memory(office: Office) -> None:
    sessions = await office.sessions()
    async with office.database.write() as connection:
        for who in PEOPLE:
            await add_user(connection, a_user(who))
        idle = await sessions.open(connection, PEOPLE[0])
    assert await sessions.find(idle.token)
    office.now += LIFE.idle
    async with office.database.write() as connection:
        await sessions.open(connection, PEOPLE[1])
    # Set back, so that its end alone is no reason.
    office.now = NOW
    assert await (await office.sessions()).find(idle.token) is None
    assert await sessions.find(idle.token) is None
