"""Passwords, sessions and links at rest, on both databases."""

from datetime import UTC, datetime, timedelta

import pytest

from antiphon.store.console import (
    Link,
    LinkKind,
    Password,
    StoredSession,
    add_link,
    add_session,
    drop_links,
    end_session,
    find_link,
    find_password,
    has_passwords,
    keep_newest,
    last_use_of,
    list_sessions,
    note_session_use,
    remove_ended,
    set_password,
    take_link,
)
from antiphon.store.database.database import Database
from antiphon.store.organizations import User, add_user, remove_user

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
async def ada(database: Database) -> str:
    user = User(id="user_1", email="ada@example.org", name="Ada", role="admin", added_at=NOON)
    async with database.write() as connection:
        await add_user(connection, user)
    return user.id


def session(number: int, user_id: str, at: datetime = NOON) -> StoredSession:
    return StoredSession(
        digest=bytes([number]) * 32,
        user_id=user_id,
        created_at=at,
        last_used_at=at,
        ends_at=at + 10 * HOUR,
    )


def link(number: int, kind: LinkKind = LinkKind.SETUP, subject: str | None = None) -> Link:
    at = NOON + timedelta(seconds=number)
    digest = bytes([number]) * 32
    return Link(digest=digest, kind=kind, subject=subject, created_at=at, expires_at=at + HOUR)


async def test_password_takes_the_place_of_the_one_before(database: Database, ada: str) -> None:
    async with database.write() as connection:
        assert not await has_passwords(connection)
        assert await find_password(connection, ada) is None
        for text in ("first", "second"):
            await set_password(connection, Password(user_id=ada, hash=text, changed_at=NOON))
        found = await find_password(connection, ada)
        assert found is not None
        assert found.hash == "second"
        assert "second" not in repr(found)
        assert await has_passwords(connection)


async def test_removed_user_has_no_session_and_no_password(database: Database, ada: str) -> None:
    async with database.write() as connection:
        await set_password(connection, Password(user_id=ada, hash="x", changed_at=NOON))
        await add_session(connection, session(1, ada))
        await remove_user(connection, ada)
        assert [one async for one in list_sessions(connection)] == []
        assert not await has_passwords(connection)


async def test_session_ends_once(database: Database, ada: str) -> None:
    async with database.write() as connection:
        await add_session(connection, session(1, ada))
        assert await end_session(connection, session(1, ada).digest)
        assert not await end_session(connection, session(1, ada).digest)


async def test_last_use_never_goes_back(database: Database, ada: str) -> None:
    one = session(1, ada)
    async with database.write() as connection:
        await add_session(connection, one)
        for at in (NOON + 2 * HOUR, NOON + HOUR):
            await note_session_use(connection, {one.digest: at, b"unknown": at})
        assert await last_use_of(connection, one.digest) == NOON + 2 * HOUR
        assert await last_use_of(connection, b"unknown") is None


async def test_sessions_that_are_over_are_removed(database: Database, ada: str) -> None:
    async with database.write() as connection:
        for number, at in enumerate((NOON, NOON + 5 * HOUR, NOON + 9 * HOUR)):
            await add_session(connection, session(number, ada, at))
        now = NOON + 10 * HOUR
        await remove_ended(connection, now, now - 5 * HOUR)
        left = [one.digest[0] async for some in list_sessions(connection) for one in some]
    assert left == [2]


async def test_newest_sessions_of_a_user_are_kept(database: Database, ada: str) -> None:
    async with database.write() as connection:
        for number in range(4):
            await add_session(connection, session(number, ada, NOON + number * HOUR))
        await keep_newest(connection, ada, 2)
        left = {one.digest[0] async for some in list_sessions(connection) for one in some}
    assert left == {2, 3}


async def test_link_is_taken_once_and_by_its_kind_alone(database: Database) -> None:
    one = link(1)
    async with database.write() as connection:
        await add_link(connection, one, 10)
        assert await take_link(connection, one.digest, LinkKind.INVITE) is None
        assert await take_link(connection, one.digest, LinkKind.SETUP) == one
        assert await take_link(connection, one.digest, LinkKind.SETUP) is None


async def test_newest_links_are_kept_and_expired_ones_go(database: Database) -> None:
    async with database.write() as connection:
        await add_link(connection, link(0, LinkKind.INVITE, "invite_1"), 2)
        for number in range(1, 5):
            await add_link(connection, link(number), 2)
        left = [
            number
            for number in range(5)
            for kind in LinkKind
            if await find_link(connection, bytes([number]) * 32, kind)
        ]
        assert left == [0, 3, 4]
        late = Link(
            digest=b"late",
            kind=LinkKind.SIGN_IN,
            subject="user_1",
            created_at=NOON + 2 * HOUR,
            expires_at=NOON + 3 * HOUR,
        )
        await add_link(connection, late, 2)
        for number in (0, 3, 4):
            for kind in LinkKind:
                assert await find_link(connection, bytes([number]) * 32, kind) is None
        assert await find_link(connection, b"late", LinkKind.SIGN_IN) == late


async def test_links_of_a_subject_are_dropped(database: Database) -> None:
    async with database.write() as connection:
        for number, subject in ((1, "invite_1"), (2, "invite_2")):
            await add_link(connection, link(number, LinkKind.INVITE, subject), 10)
        await drop_links(connection, LinkKind.INVITE, "invite_1")
        assert await find_link(connection, bytes([1]) * 32, LinkKind.INVITE) is None
        assert await find_link(connection, bytes([2]) * 32, LinkKind.INVITE) is not None
        await drop_links(connection, LinkKind.INVITE)
        assert await find_link(connection, bytes([2]) * 32, LinkKind.INVITE) is None
