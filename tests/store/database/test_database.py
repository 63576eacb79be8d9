import asyncio
import gc
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Coroutine, Generator, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from sqlalchemy import insert, select, update

from antiphon.store.database.changes import revision
from antiphon.store.database.connection import AsyncConnection
from antiphon.store.database.database import Database, open_database, sqlite_url
from antiphon.store.database.errors import StoreError
from antiphon.store.database.tables import revisions

pytestmark = pytest.mark.anyio

PROBE = revisions.c.name == "probe"
WITHOUT_DRIVER = """
import asyncio, sys
sys.modules["asyncpg"] = None
from antiphon.store.database.database import open_database
asyncio.run(open_database("postgresql://localhost/antiphon"))
"""
COMMIT_AND_WAIT = """
import asyncio, sys, time
from sqlalchemy import text
from antiphon.store.database.database import open_database

async def main():
    database = await open_database(sys.argv[1])
    async with database.write() as connection:
        await connection.execute(text("INSERT INTO revision VALUES ('probe', 7)"))
    print("committed", flush=True)
    time.sleep(60)

asyncio.run(main())
"""
HOLD_OPEN = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
time.sleep(60)
"""


@contextmanager
def running(program: str, *arguments: object) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program that has done what it is for when it prints its line."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline()
            yield process
        finally:
            process.kill()


def file_names(folder: Path) -> list[str]:
    return [file.name for file in folder.iterdir()]


async def put(connection: AsyncConnection, value: int) -> None:
    await connection.execute(insert(revisions).values(name="probe", value=value))


async def probe(database: Database) -> int | None:
    async with database.read() as connection:
        found: int | None = await connection.scalar(select(revisions.c.value).where(PROBE))
        return found


async def forget(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(revisions.delete().where(PROBE))


async def increment(database: Database) -> None:
    """Read, let others run, and write what was read plus one."""
    async with database.write() as connection:
        query = select(revisions.c.value).where(PROBE).with_for_update()
        value = (await connection.execute(query)).scalar_one()
        await anyio.lowlevel.checkpoint()
        await connection.execute(update(revisions).where(PROBE).values(value=value + 1))


async def test_write_commits_at_its_end(database: Database) -> None:
    async with database.write() as connection:
        await put(connection, 7)
        assert await probe(database) is None
    assert await probe(database) == 7


async def test_failed_write_leaves_nothing(database: Database) -> None:
    with suppress(ZeroDivisionError):
        async with database.write() as connection:
            await put(connection, 7)
            raise ZeroDivisionError
    assert await probe(database) is None


async def test_cancelled_write_leaves_nothing_and_lets_the_next_one_in(database: Database) -> None:
    with anyio.CancelScope() as scope:
        async with database.write() as connection:
            await put(connection, 7)
            scope.cancel()
            await anyio.lowlevel.checkpoint()
    assert await probe(database) is None
    async with database.write() as connection:
        await put(connection, 8)
    assert await probe(database) == 8


@pytest.mark.parametrize("steps", range(12))
async def test_write_cancelled_at_any_moment_lets_the_next_one_in(
    database: Database, steps: int
) -> None:
    async def write() -> None:
        async with database.write() as connection:
            await put(connection, 7)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(write)
        await anyio.sleep(steps * 0.0005)
        tasks.cancel_scope.cancel()
    await forget(database)
    task = asyncio.create_task(write())
    await anyio.sleep(steps * 0.0005)
    task.cancel()
    await asyncio.wait([task])
    await forget(database)


async def test_commit_that_fails_leaves_no_transaction_open(tmp_path: Path) -> None:
    database = await open_database(sqlite_url(tmp_path / "a.db"))

    async def dangle() -> None:
        async with database.write() as connection:
            await connection.exec_driver_sql("CREATE TABLE one (id INTEGER PRIMARY KEY)")
            await connection.exec_driver_sql(
                "CREATE TABLE two (one INTEGER REFERENCES one DEFERRABLE INITIALLY DEFERRED)"
            )
            await connection.exec_driver_sql("INSERT INTO two VALUES (1)")

    try:
        with pytest.raises(StoreError, match="constraint"):
            await dangle()
        async with database.write() as connection:
            await connection.exec_driver_sql("CREATE TABLE one (id INTEGER PRIMARY KEY)")
    finally:
        await database.aclose()


class CancelledAt:
    """Awaits a coroutine that is cancelled when it waits for the `number`-th time."""

    def __init__(self, work: Coroutine[Any, Any, None], number: int) -> None:
        self._work = work
        self._number = number

    def __await__(self) -> Generator[Any, Any, None]:
        waiting = self._work.__await__()
        result = None
        for number in count(1):
            try:
                if number == self._number:
                    waited_for = waiting.throw(asyncio.CancelledError())
                else:
                    waited_for = waiting.send(result)
            except StopIteration:
                return
            result = yield waited_for


async def test_write_cancelled_wherever_it_waits_is_no_fault(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    async def write() -> None:
        async with database.write() as connection:
            await put(connection, 7)

    await write()
    for number in range(2, 30):
        await forget(database)
        try:
            await CancelledAt(write(), number)
        except asyncio.CancelledError:
            continue
        break
    assert number > 4
    assert await probe(database) == 7
    assert not caplog.records


@pytest.mark.parametrize("steps", range(12))
async def test_statement_cancelled_before_it_is_read_holds_no_lock(
    database: Database, steps: int
) -> None:
    """Whoever holds the exception holds the statement as well."""
    held = []

    async def write() -> None:
        try:
            await write_much()
        except BaseException as error:
            held.append(error)
            raise

    async def write_much() -> None:
        async with database.write() as connection:
            rows = [{"name": f"row {number}", "value": number} for number in range(2000)]
            await connection.execute(insert(revisions), rows)
            await connection.execute(select(revisions))
            await connection.rollback()

    gc.disable()
    try:
        task = asyncio.create_task(write())
        await anyio.sleep(steps * 0.0005)
        task.cancel()
        await asyncio.wait([task])
        await forget(database)
    finally:
        gc.enable()


async def test_write_in_a_read_transaction_is_refused(database: Database) -> None:
    with pytest.raises(StoreError, match="read-only"):
        async with database.read() as connection:
            await put(connection, 7)
    assert await probe(database) is None


async def test_read_sees_one_state_whatever_is_written_meanwhile(database: Database) -> None:
    async with database.read() as reader:
        assert await revision(reader) == 0
        async with database.write() as writer:
            await writer.execute(update(revisions).values(value=5))
        assert await revision(reader) == 0
    async with database.read() as reader:
        assert await revision(reader) == 5


async def test_forty_increments_at_once_all_count(database: Database) -> None:
    async with database.write() as connection:
        await put(connection, 0)
    async with anyio.create_task_group() as tasks:
        for _ in range(40):
            tasks.start_soon(increment, database)
    assert await probe(database) == 40


async def test_forty_increments_of_two_processes_all_count(url: str, database: Database) -> None:
    async with database.write() as connection:
        await put(connection, 0)
    other = await open_database(url)
    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(increment, database)
            tasks.start_soon(increment, other)
    await other.aclose()
    assert await probe(database) == 40


async def test_killed_process_loses_nothing_that_it_committed(url: str, database: Database) -> None:
    with running(COMMIT_AND_WAIT, url) as process:
        process.send_signal(signal.SIGKILL)
    assert await probe(database) == 7


async def test_error_of_the_database_names_no_values(database: Database) -> None:
    with pytest.raises(StoreError) as failure:
        async with database.write() as connection:
            await connection.execute(insert(revisions).values(name="accounts", value=987654))
    assert "987654" not in f"{failure.value!r} {failure.value.__cause__!r}"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("nonsense", "cannot be read"),
        ("postgresql://host:port/x", "cannot be read"),
        ("mysql://localhost/antiphon", "mysql is no database that Antiphon knows"),
        ("sqlite+aiosqlite://", "needs a file"),
        ("sqlite+aiosqlite:///:memory:", "needs a file"),
        ("sqlite:///x.db", "sqlite\\+aiosqlite:///path"),
        ("sqlite+aiosqlite:///x.db?mode=ro", "nothing more"),
    ],
)
async def test_url_that_cannot_be_used_is_refused(url: str, reason: str) -> None:
    with pytest.raises(StoreError, match=reason):
        await open_database(url)


async def test_password_of_an_unusable_url_is_not_repeated() -> None:
    with pytest.raises(StoreError) as refusal:
        await open_database("postgresql//user:hunter2@host/x")
    assert "hunter2" not in f"{refusal.value} {refusal.value.__cause__}"


async def test_postgres_that_is_not_there_is_a_store_error(
    unused_port: int,
) -> None:
    database = await open_database(f"postgresql://postgres:hunter2@127.0.0.1:{unused_port}/x")
    with pytest.raises(StoreError, match="cannot be reached") as failure:
        async with database.read():
            pass
    assert "hunter2" not in str(failure.value)
    with pytest.raises(StoreError):
        await database.watch()
    await database.aclose()


async def test_postgres_that_ends_a_session_is_a_store_error_and_then_serves_again(
    postgres_url: str,
) -> None:
    database = await open_database(postgres_url)
    with pytest.raises(StoreError):
        async with database.read() as connection:
            await connection.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")
    async with database.read() as connection:
        assert (await connection.exec_driver_sql("SELECT 1")).scalar() == 1
    await database.aclose()


def test_postgres_without_its_driver_says_what_to_install() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_DRIVER], capture_output=True, text=True, check=False
    )
    assert "StoreError: PostgreSQL needs a driver: pip install 'antiphon[postgres]'" in done.stderr


async def test_new_file_and_folder_are_for_their_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "data" / "antiphon.db"
    before = os.umask(0)
    try:
        database = await open_database(sqlite_url(path))
        async with database.write() as connection:
            await connection.exec_driver_sql("CREATE TABLE probe (value)")
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert modes == {f"antiphon.db{suffix}": 0o600 for suffix in ("", "-wal", "-shm")}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    await database.aclose()


@pytest.mark.parametrize("name", ["a b.db", "50%.db", "what?.db", "#1.db", "ü.db"])
async def test_database_file_with_a_special_name_is_opened(tmp_path: Path, name: str) -> None:
    database = await open_database(sqlite_url(tmp_path / name))
    async with database.write() as connection:
        await connection.exec_driver_sql("CREATE TABLE probe (value)")
    await database.aclose()
    assert file_names(tmp_path) == [name]


async def test_sqlite_connections_enforce_keys_and_sync_every_commit(tmp_path: Path) -> None:
    database = await open_database(sqlite_url(tmp_path / "antiphon.db"), patience_s=2)
    for transaction in (database.read(), database.write()):
        async with transaction as connection:
            pragmas = "foreign_keys", "synchronous", "journal_mode", "busy_timeout"
            values = [
                (await connection.exec_driver_sql(f"PRAGMA {pragma}")).scalar()
                for pragma in pragmas
            ]
        assert values == [1, 2, "wal", 2000]
    await database.aclose()


async def test_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("These are notes, and not a database.\n" * 100)
    with pytest.raises(StoreError, match="not a database"):
        await open_database(sqlite_url(path))


async def test_path_that_cannot_be_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be opened"):
        await open_database(sqlite_url(tmp_path))
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be opened"):
        await open_database(sqlite_url(tmp_path / "file" / "antiphon.db"))


async def test_processes_that_make_the_file_at_once_all_open_it(tmp_path: Path) -> None:
    async def open_and_close(path: Path) -> None:
        await (await open_database(sqlite_url(path))).aclose()

    for attempt in range(20):
        async with anyio.create_task_group() as tasks:
            for _ in range(6):
                tasks.start_soon(open_and_close, tmp_path / f"{attempt}.db")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_file_that_may_not_be_written_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "antiphon.db"
    path.touch(mode=0o400)
    with pytest.raises(StoreError, match="cannot be opened"):
        await open_database(sqlite_url(path))


async def test_database_that_another_process_holds_is_refused_after_the_wait(
    tmp_path: Path,
) -> None:
    path = tmp_path / "antiphon.db"
    database = await open_database(sqlite_url(path), patience_s=0.1)
    with running(HOLD_OPEN, path), pytest.raises(StoreError, match="locked by another process"):
        async with database.write():
            pass
    async with database.write():
        pass
    await database.aclose()


async def test_database_whose_log_another_process_holds_cannot_be_opened(tmp_path: Path) -> None:
    path = tmp_path / "antiphon.db"
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreError, match="locked by another process"):
        await open_database(sqlite_url(path), patience_s=0.1)
    holder.close()
