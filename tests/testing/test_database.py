"""The databases of servers for tests: what makes them quick, and what stays as it is elsewhere."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from antiphon import testing
from antiphon.store.data_folder import database_path
from antiphon.store.database.database import Database, open_database, sqlite_url
from antiphon.store.database.errors import StoreError
from antiphon.store.organizations import find_organization
from antiphon.testing.database import Kit, kit, new_folder, remove_orphans
from support.in_process import create

pytestmark = pytest.mark.anyio

NEVER, FULL = 0, 2


@pytest.fixture(scope="module")
def shared() -> Kit:
    made = kit()
    assert kit() is made
    return made


async def syncs(database: Database) -> tuple[int, int]:
    """Return how often the connections of a database that read and write sync the log."""
    async with database.read() as connection:
        reads = await connection.exec_driver_sql("PRAGMA synchronous")
    async with database.write() as connection:
        writes = await connection.exec_driver_sql("PRAGMA synchronous")
    return reads.scalar_one(), writes.scalar_one()


async def test_statements_run_in_the_thread_that_asks_and_sync_nothing(
    shared: Kit, tmp_path: Path
) -> None:
    shared.template.write(tmp_path)
    threads = threading.active_count()
    database = await shared.databases.open(sqlite_url(database_path(tmp_path)))
    async with database.read() as connection:
        assert await find_organization(connection) is not None
    async with database.read() as connection:
        with pytest.raises(StoreError):
            await connection.exec_driver_sql("no statement")
    # One thread of anyio has prepared the file.
    assert threading.active_count() <= threads + 1
    assert await syncs(database) == (NEVER, NEVER)
    await database.aclose()


async def test_other_databases_are_synced(tmp_path: Path) -> None:
    database = await open_database(sqlite_url(tmp_path / "antiphon.db"))
    assert await syncs(database) == (FULL, FULL)
    await database.aclose()


async def test_databases_share_statements_and_no_rows(shared: Kit, tmp_path: Path) -> None:
    databases: list[Database] = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        shared.template.write(tmp_path / name)
        url = sqlite_url(database_path(tmp_path / name))
        databases.append(await shared.databases.open(url))
    one, other = databases
    async with one.write() as connection:
        await connection.exec_driver_sql("CREATE TABLE mine (number INTEGER)")
    async with one.read() as connection, other.read() as elsewhere:
        assert connection.dialect is elsewhere.dialect
        await connection.exec_driver_sql("SELECT * FROM mine")
        with pytest.raises(StoreError):
            await elsewhere.exec_driver_sql("SELECT * FROM mine")
    for database in databases:
        await database.aclose()


def test_nothing_is_left_of_a_server() -> None:
    with new_folder() as folder:
        before, threads = set(folder.parent.iterdir()), set(threading.enumerate())
    with testing.server() as server:
        assert create(server)[0] == 200
    left = {one for one in folder.parent.iterdir() if one.name.startswith(folder.name[:17])}
    assert left <= before
    for thread in set(threading.enumerate()) - threads:
        # A thread of anyio has been told to end, and nobody waits for it.
        thread.join(10)
        assert not thread.is_alive()


KILLED = """
import os, signal
from antiphon import testing
with testing.server() as server:
    print(server.key, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.soak
@pytest.mark.skipif(os.name != "posix", reason="no locks of this kind")
def test_process_that_is_killed_leaves_nothing_for_long(shared: Kit) -> None:
    del shared  # the folder of this process's own kit is gone already
    with new_folder() as alive:
        places = alive.parent
        before = set(places.glob(f"{alive.name[:17]}*"))
        subprocess.run([sys.executable, "-c", KILLED], check=False, stdout=subprocess.DEVNULL)
        (killed,) = set(places.glob(f"{alive.name[:17]}*")) - before
        assert (killed / "lock").exists()
        subprocess.run([sys.executable, "-c", KILLED], check=False, stdout=subprocess.DEVNULL)
        assert not killed.exists()
        assert alive.exists()
    remove_orphans()
    assert not set(places.glob(f"{alive.name[:17]}*")) - before
