import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

import anyio
import anyio.lowlevel
import asyncpg
import pytest
from sqlalchemy import insert

from antiphon.store.accounts import ApiKey, active_secrets, add_key, change_key
from antiphon.store.database import postgresql
from antiphon.store.database.changes import ChangeSignal
from antiphon.store.database.database import Database, open_database, sqlite_url
from antiphon.store.database.errors import StoreError
from antiphon.store.database.migrations import migrate
from antiphon.store.database.tables import revisions

OpenDatabase: TypeAlias = Callable[[], Awaitable[Database]]

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
KEY = ApiKey(id="apikey_01", name="laptop", hint="h", created_at=NOON)
REVOKE = """
import asyncio, sys
from datetime import UTC, datetime
from antiphon.store.accounts import change_key
from antiphon.store.database.database import open_database

async def main():
    database = await open_database(sys.argv[1])
    async with database.write() as connection:
        archived = {"status": "archived", "archived_at": datetime.now(UTC)}
        assert await change_key(connection, "apikey_01", archived)
    await database.aclose()

asyncio.run(main())
"""


class SilentConnection:
    """Accepts everything, and answers only as often as it is told; then it raises `end`."""

    def __init__(self, answers: int, end: Exception | None = None) -> None:
        self.answers = answers
        self.end = end or TimeoutError()
        self.terminated = False

    def add_termination_listener(self, listener: object) -> None:
        pass

    async def add_listener(self, channel: str, listener: object) -> None:
        del channel, listener
        if not self.answers:
            raise ConnectionResetError

    async def execute(self, query: str, timeout: float) -> None:  # noqa: ASYNC109 - the driver's
        del query, timeout
        self.answers -= 1
        if not self.answers:
            raise self.end

    def terminate(self) -> None:
        self.terminated = True


async def add(database: Database) -> None:
    async with database.write() as connection:
        await add_key(connection, KEY, b"d")


async def add_twice(database: Database) -> None:
    async with database.write() as connection:
        await add_key(connection, KEY, b"d")
        await add_key(connection, KEY, b"d")


async def revoke(database: Database) -> None:
    async with database.write() as connection:
        await change_key(connection, KEY.id, {"status": "archived", "archived_at": NOON})


async def becomes_other_than(version: int, signal: ChangeSignal) -> None:
    """Wait for a notice that is under way; SQLite needs no time, PostgreSQL some milliseconds."""
    with anyio.fail_after(2):
        while signal.version() == version:  # noqa: ASYNC110 - it is made to be asked
            await anyio.sleep(0.001)


async def rests(signal: ChangeSignal) -> int:
    """Return the version when every notice that is under way has come."""
    version = signal.version()
    await anyio.sleep(0.1)
    while version != signal.version():
        version = signal.version()
        await anyio.sleep(0.1)
    return version


async def test_version_stays_while_nothing_changes(database: Database) -> None:
    signal = await database.watch()
    version = await rests(signal)
    assert [signal.version() for _ in range(100)] == [version] * 100


async def test_own_change_is_seen_before_the_next_line(database: Database) -> None:
    signal = await database.watch()
    version = await rests(signal)
    await add(database)
    assert signal.version() != version


async def test_change_by_another_connection_is_seen(
    database: Database, opened: OpenDatabase
) -> None:
    await add(database)
    signal = await database.watch()
    version = await rests(signal)
    await revoke(await opened())
    await becomes_other_than(version, signal)
    async with database.read() as connection:
        assert await active_secrets(connection) == {}


async def test_key_revoked_by_another_process_is_seen_when_that_process_has_ended(
    url: str, database: Database
) -> None:
    await add(database)
    signal = await database.watch()
    version = await rests(signal)
    await anyio.run_process([sys.executable, "-c", REVOKE, url], stderr=None)
    await anyio.lowlevel.checkpoint()  # one turn of the loop reads a notice that has arrived
    assert signal.version() != version


async def test_rolled_back_change_is_not_signalled(database: Database) -> None:
    signal = await database.watch()
    version = await rests(signal)
    with pytest.raises(StoreError):
        await add_twice(database)
    await anyio.sleep(0.05)
    assert signal.version() == version


async def test_change_of_other_tables_is_not_signalled(database: Database) -> None:
    await add(database)
    signal = await database.watch()
    version = await rests(signal)
    async with database.write() as connection:
        await connection.execute(insert(revisions).values(name="probe", value=1))
    await anyio.sleep(0.05)
    assert signal.version() == version


# SQLite's lock of the log's index that says that the database is in use (walformat.html, 2.3.1).
LOCK = """
import fcntl, sys
with open(sys.argv[1] + "-shm", "r+b") as file:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 128)
    except OSError:
        print("in use", end="")
"""


def lock_index(path: Path) -> str:
    """What another process finds that would be the first one on a database."""
    done = subprocess.run(
        [sys.executable, "-c", LOCK, path], capture_output=True, text=True, check=True
    )
    return done.stdout


async def test_watched_file_is_in_use_for_other_processes(sqlite_path: Path) -> None:
    database = await open_database(sqlite_url(sqlite_path))
    await migrate(database)
    await database.watch()
    # A process that finds the index unused would empty it while this one still reads it.
    assert await anyio.to_thread.run_sync(lock_index, sqlite_path) == "in use"
    async with database.read():
        assert await anyio.to_thread.run_sync(lock_index, sqlite_path) == "in use"
    await database.aclose()
    assert not sqlite_path.with_name(f"{sqlite_path.name}-shm").exists()


async def test_watching_a_database_twice_returns_one_signal(database: Database) -> None:
    assert await database.watch() is await database.watch()


@pytest.mark.empty_database
async def test_watching_before_the_tables_are_there_is_a_store_error(
    opened: OpenDatabase, url: str
) -> None:
    signal = await (await opened()).watch()
    if url.startswith("sqlite"):
        with pytest.raises(StoreError, match="no such table"):
            signal.version()


async def test_lost_listener_never_says_that_nothing_has_changed_and_comes_back(
    postgres_url: str,
) -> None:
    listening = await open_database(postgres_url)
    signal = await listening.watch()
    version = await rests(signal)
    admin = await asyncpg.connect(postgres_url)
    await admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
    )
    await becomes_other_than(version, signal)
    assert signal.version() != signal.version()
    await anyio.sleep(2 * postgresql.RETRY_S)
    version = await rests(signal)
    await admin.execute(f"NOTIFY {postgresql.CHANNEL}")
    await becomes_other_than(version, signal)
    await admin.close()
    await listening.aclose()


@pytest.mark.parametrize(
    "end",
    [
        TimeoutError(),
        # asyncpg raises it for a query behind the server's FATAL message.
        asyncpg.InternalClientError("cannot switch to state 15; another operation (2)"),
    ],
)
async def test_listener_that_falls_silent_is_replaced_as_soon_as_there_is_another(
    end: Exception,
) -> None:
    silent, broken, sound = SilentConnection(3, end), SilentConnection(0), SilentConnection(10**9)
    connections = iter([silent, broken, sound])

    async def dial() -> SilentConnection:
        return next(connections)

    signal = postgresql.PostgresSignal(dial, heartbeat_s=0.01, retry_s=0.01)
    await signal.start()
    version = signal.version()
    await becomes_other_than(version, signal)
    await rests(signal)
    assert [one.terminated for one in (silent, broken, sound)] == [True, True, False]
    await signal.aclose()
    assert sound.terminated
