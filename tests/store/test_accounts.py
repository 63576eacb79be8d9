from datetime import UTC, datetime, timedelta

import anyio
import pytest
from msgspec.structs import replace

from antiphon.core.ids import hash_secret
from antiphon.store.accounts import (
    AT_MOST_BEHIND,
    ActiveSecret,
    ApiKey,
    KeyKind,
    KeyStatus,
    active_secrets,
    add_key,
    add_secret,
    change_key,
    count_keys,
    end_secrets,
    find_key,
    list_keys,
    note_use,
    note_use_before_charge,
)
from antiphon.store.database.changes import revision
from antiphon.store.database.connection import AsyncConnection
from antiphon.store.database.database import Database
from antiphon.store.database.errors import AmbiguousNameError, DuplicateError

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=UTC)


def a_key(number: int = 1, name: str = "laptop") -> ApiKey:
    return ApiKey(
        id=f"apikey_{number:02}",
        name=name,
        hint="sk-antiphon-R2D...igAA",
        created_at=NOON + timedelta(seconds=number),
    )


def digest_of(key: ApiKey) -> bytes:
    return hash_secret(f"sk-antiphon-{key.id}")


async def add(database: Database, *keys: ApiKey) -> None:
    async with database.write() as connection:
        for key in keys:
            await add_key(connection, key, digest_of(key))


async def archive(connection: AsyncConnection, key_id: str, at: datetime) -> ApiKey | None:
    changes = {"status": KeyStatus.ARCHIVED, "archived_at": at}
    return await change_key(connection, key_id, changes)


async def test_new_key_reads_back_as_it_was_added(database: Database) -> None:
    await add(database, a_key())
    async with database.read() as connection:
        assert await find_key(connection, "apikey_01") == a_key()
        assert await active_secrets(connection) == {digest_of(a_key()): ActiveSecret(a_key(), None)}


async def test_keys_are_listed_from_the_oldest(database: Database) -> None:
    await add(database, a_key(2), a_key(1), a_key(3))
    async with database.read() as connection:
        assert await list_keys(connection) == (a_key(1), a_key(2), a_key(3))
        assert await count_keys(connection) == 3


async def test_empty_database_has_no_keys(database: Database) -> None:
    async with database.read() as connection:
        assert await list_keys(connection) == ()
        assert await count_keys(connection) == 0
        assert await find_key(connection, "laptop") is None


async def test_revoked_key_is_listed_and_not_active(database: Database) -> None:
    await add(database, a_key(1), a_key(2))
    async with database.write() as connection:
        revoked = await archive(connection, "apikey_01", NOON)
    assert revoked is not None
    assert (revoked.status, revoked.archived_at) == (KeyStatus.ARCHIVED, NOON)
    async with database.read() as connection:
        assert list(await active_secrets(connection)) == [digest_of(a_key(2))]
        assert await list_keys(connection) == (revoked, a_key(2))


async def test_key_revoked_twice_keeps_its_first_moment_and_changes_nothing(
    database: Database,
) -> None:
    await add(database, a_key())
    async with database.write() as connection:
        first = await archive(connection, "apikey_01", NOON)
        before = await revision(connection)
    async with database.write() as connection:
        assert await archive(connection, "apikey_01", NOON + timedelta(days=1)) == first
        assert await revision(connection) == before


async def test_unknown_key_cannot_be_revoked(database: Database) -> None:
    async with database.write() as connection:
        assert await archive(connection, "apikey_01", NOON) is None
        assert await revision(connection) == 0


async def test_each_change_counts_one_revision(database: Database) -> None:
    await add(database, a_key(1), a_key(2))
    async with database.write() as connection:
        await archive(connection, "apikey_02", NOON)
    async with database.read() as connection:
        assert await revision(connection) == 3


async def test_duplicate_secret_is_refused_and_nothing_is_added(
    database: Database,
) -> None:
    await add(database, a_key(1))
    known = digest_of(a_key(1))
    with pytest.raises(DuplicateError) as refusal:
        async with database.write() as connection:
            await add_key(connection, a_key(2), known)
    assert known.hex() not in str(refusal.value)
    async with database.read() as connection:
        assert await list_keys(connection) == (a_key(1),)
        assert await revision(connection) == 1


async def test_name_finds_the_active_key_before_revoked_ones(database: Database) -> None:
    await add(database, a_key(1), a_key(2), a_key(3, "server"))
    async with database.write() as connection:
        await archive(connection, "apikey_02", NOON)
    async with database.read() as connection:
        assert await find_key(connection, "laptop") == a_key(1)


async def test_name_of_revoked_keys_finds_the_newest(database: Database) -> None:
    await add(database, a_key(1), a_key(2))
    async with database.write() as connection:
        await archive(connection, "apikey_01", NOON)
        newest = await archive(connection, "apikey_02", NOON)
    async with database.read() as connection:
        assert await find_key(connection, "laptop") == newest


async def test_name_of_two_active_keys_is_refused_with_their_ids(database: Database) -> None:
    await add(database, a_key(1), a_key(2))
    async with database.read() as connection:
        with pytest.raises(AmbiguousNameError, match="apikey_01, apikey_02"):
            await find_key(connection, "laptop")


async def test_id_finds_its_key_even_if_another_key_has_it_for_a_name(database: Database) -> None:
    await add(database, a_key(1), a_key(2, name="apikey_01"))
    async with database.read() as connection:
        assert await find_key(connection, "apikey_01") == a_key(1)


async def test_forty_keys_added_at_once_are_all_there_and_all_counted(database: Database) -> None:
    async with anyio.create_task_group() as tasks:
        for number in range(40):
            tasks.start_soon(add, database, a_key(number))
    async with database.read() as connection:
        assert await count_keys(connection) == 40
        assert await revision(connection) == 40


async def test_inactive_key_has_no_active_secret_until_it_is_active_again(
    database: Database,
) -> None:
    await add(database, a_key())
    async with database.write() as connection:
        aside = await change_key(connection, "apikey_01", {"status": KeyStatus.INACTIVE})
    async with database.read() as connection:
        assert await active_secrets(connection) == {}
    async with database.write() as connection:
        assert await change_key(connection, "apikey_01", {"status": KeyStatus.ACTIVE}) == a_key()
        assert await active_secrets(connection)
    assert aside is not None
    assert aside.status is KeyStatus.INACTIVE


async def test_archived_key_stays_archived(database: Database) -> None:
    await add(database, a_key())
    async with database.write() as connection:
        archived = await archive(connection, "apikey_01", NOON)
        assert await change_key(connection, "apikey_01", {"status": "active"}) == archived


async def test_rotated_secret_has_an_end(database: Database) -> None:
    await add(database, a_key())
    later = NOON + timedelta(hours=1)
    async with database.write() as connection:
        await end_secrets(connection, "apikey_01", later)
        await end_secrets(connection, "apikey_01", later + timedelta(days=1))
        await add_secret(connection, "apikey_01", b"new")
    async with database.read() as connection:
        assert await active_secrets(connection) == {
            digest_of(a_key()): ActiveSecret(a_key(), later),
            b"new": ActiveSecret(a_key(), None),
        }


async def test_use_of_keys_is_noted_and_announces_nothing(database: Database) -> None:
    await add(database, a_key(1), a_key(2))
    async with database.write() as connection:
        before = await revision(connection)
        await note_use(connection, {"apikey_01": NOON})
        await note_use(connection, {})
        assert await revision(connection) == before
    async with database.read() as connection:
        used = [key.last_used_at for key in await list_keys(connection)]
    assert used == [NOON, None]


async def test_use_is_noted_before_a_charge_if_none_is_known_of_that_time(
    database: Database,
) -> None:
    await add(database, a_key(1), a_key(2), a_key(3))
    before, shortly = NOON - AT_MOST_BEHIND, timedelta(microseconds=1)
    async with database.write() as connection:
        known = {"apikey_01": before, "apikey_02": before - shortly}
        await note_use(connection, known)
        now = await revision(connection)
        every = {f"apikey_0{number}": NOON for number in (3, 2, 1)}
        await note_use_before_charge(connection, {**every, "apikey_gone": NOON})
        await note_use_before_charge(connection, {})
        # A bill may come late: it is no use of now.
        await note_use_before_charge(connection, {"apikey_02": before})
        assert await revision(connection) == now
    async with database.read() as connection:
        used = {key.id: key.last_used_at for key in await list_keys(connection)}
    assert used == {"apikey_01": before, "apikey_02": NOON, "apikey_03": NOON}


async def test_admin_keys_are_counted_apart(database: Database) -> None:
    async with database.write() as connection:
        await add_key(connection, replace(a_key(), kind=KeyKind.ADMIN), b"admin")
    async with database.read() as connection:
        assert await count_keys(connection) == 0
        assert await count_keys(connection, KeyKind.ADMIN) == 1
