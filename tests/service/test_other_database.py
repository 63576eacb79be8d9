"""A server of PostgreSQL that comes back as another one: a replica, or a restored copy."""

from collections.abc import Callable
from datetime import UTC, datetime

import anyio
import asyncpg
import pytest

from antiphon.service.accounts import Accounts, establish
from antiphon.store.accounts import ApiKey, add_key, change_key
from antiphon.store.database.changes import revision
from antiphon.store.database.database import Database, open_database
from antiphon.store.database.tables import account_changes, api_keys, key_secrets, revisions

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 29, tzinfo=UTC)


async def add(database: Database, *names: str) -> None:
    async with database.write() as connection:
        for name in names:
            key = ApiKey(id=f"apikey_{name}", name=name, hint="h", created_at=NOW)
            await add_key(connection, key, name.encode())


async def lose_last_change(database: Database, name: str) -> None:
    """Bring the database back to what it was before its last change, which added a key."""
    async with database.write() as connection:
        last = await revision(connection)
        await connection.execute(key_secrets.delete().where(key_secrets.c.digest == name.encode()))
        await connection.execute(api_keys.delete().where(api_keys.c.id == f"apikey_{name}"))
        own = account_changes.c.revision == last
        await connection.execute(account_changes.delete().where(own))
        await connection.execute(revisions.update().values(value=last - 1))


async def test_changes_of_the_same_numbers_are_read_from_another_server(postgres_url: str) -> None:
    database = await open_database(postgres_url)
    await establish(database, bytes, lambda: NOW)
    await add(database, "revoked", "kept", "lost")
    idle = await open_database(postgres_url)
    signal = await idle.watch()
    accounts = Accounts(idle, signal)
    assert set((await accounts.current()).active_secrets) == {b"revoked", b"kept", b"lost"}
    breaks = signal.breaks()
    await lose_last_change(database, "lost")
    async with database.write() as connection:
        await change_key(connection, "apikey_revoked", {"status": "inactive"})
    admin = await asyncpg.connect(postgres_url)
    await admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
    )
    await admin.close()
    await changed(lambda: signal.breaks() != breaks)
    assert set((await accounts.current()).active_secrets) == {b"kept"}
    await database.aclose()
    await idle.aclose()


async def changed(has_changed: Callable[[], bool]) -> None:
    with anyio.fail_after(5):
        while not has_changed():  # noqa: ASYNC110 - it is made to be asked
            await anyio.sleep(0.001)
