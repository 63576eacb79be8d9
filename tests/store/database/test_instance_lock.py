"""Who may serve from a PostgreSQL database: one alone, or several together."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio
import asyncpg
import pytest

from antiphon.store.database.database import open_database, sqlite_url
from antiphon.store.database.instance_lock import SESSION, OccupiedError, PostgresInstanceLock
from antiphon.store.database.migrations import migrate

pytestmark = pytest.mark.anyio

SERVERS = f"FROM pg_stat_activity WHERE application_name = '{SESSION['application_name']}'"


class Ear:
    """Hears the changes of a lock, in order."""

    def __init__(self) -> None:
        self.heard: list[str | None] = []

    def __call__(self, reason: str | None) -> None:
        self.heard.append(reason)

    async def hears(self, reason: str | None) -> None:
        with anyio.fail_after(10):
            while not self.heard or self.heard[-1] != reason:  # noqa: ASYNC110 - nobody tells
                await anyio.sleep(0.01)


class Line:
    """Dials while it is not cut; `cut` ends what was dialled, too."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._whole = anyio.Event()
        self._whole.set()
        self._dialled: list[asyncpg.Connection] = []

    async def dial(self) -> asyncpg.Connection:
        await self._whole.wait()
        connection = await asyncpg.connect(self._url, server_settings={"lock_timeout": "50"})
        self._dialled.append(connection)
        return connection

    def cut(self) -> None:
        self._whole = anyio.Event()
        for connection in self._dialled:
            connection.terminate()

    def mend(self) -> None:
        self._whole.set()


@asynccontextmanager
async def locked(line: Line, *, exclusive: bool = True) -> AsyncGenerator[Ear]:
    ear = Ear()
    lock = PostgresInstanceLock(line.dial, ear, exclusive=exclusive, retry_s=0.01)
    await lock.start()
    try:
        yield ear
    finally:
        await lock.aclose()


@pytest.fixture
async def founded(postgres_url: str) -> str:
    database = await open_database(postgres_url)
    await migrate(database)
    await database.aclose()
    return postgres_url


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("second", [True, False])
async def test_only_servers_that_share_their_limits_hold_the_lock_together(
    founded: str, first: bool, second: bool
) -> None:
    line = Line(founded)
    async with AsyncExitStack() as stack:
        async with locked(line, exclusive=first):
            if first or second:
                with pytest.raises(OccupiedError, match="another server uses this database"):
                    await stack.enter_async_context(locked(line, exclusive=second))
            else:
                await stack.enter_async_context(locked(line, exclusive=second))
        # Who leaves makes room.
        await stack.enter_async_context(locked(line, exclusive=second))


async def test_sqlite_has_no_instance_lock(sqlite_path: Path) -> None:
    # Their folder has a lock of its own.
    first, second = [await open_database(sqlite_url(sqlite_path)) for _ in range(2)]
    ear = Ear()
    async with first.instance_lock(ear, exclusive=True), second.instance_lock(ear, exclusive=True):
        assert ear.heard == []
    await first.aclose()
    await second.aclose()


async def test_lost_session_is_reported_until_it_is_back(founded: str) -> None:
    database, ear = await open_database(founded), Ear()
    async with database.instance_lock(ear, exclusive=True):
        admin = await asyncpg.connect(founded)
        assert ear.heard == [None]
        await admin.execute(f"SELECT pg_terminate_backend(pid) {SERVERS}")
        await admin.close()
        await ear.hears("the database is away")
        await ear.hears(None)
        assert ear.heard == [None, "the database is away", None]
    await database.aclose()


async def test_shared_lock_is_held_again_when_the_exclusive_one_is_gone(founded: str) -> None:
    line, others = Line(founded), Line(founded)
    async with locked(line, exclusive=False) as ear:
        line.cut()
        await ear.hears("the database is away")
        async with locked(others):
            line.mend()
            await ear.hears("another server has the database now")
        await ear.hears(None)


@pytest.mark.parametrize("exclusive", [True, False])
async def test_replaced_server_never_holds_the_lock_again(founded: str, exclusive: bool) -> None:
    line, others = Line(founded), Line(founded)
    async with locked(line) as ear:
        line.cut()
        await ear.hears("the database is away")
        async with locked(others, exclusive=exclusive):
            pass
        line.mend()
        replaced = "another server has used the database meanwhile: start this one again"
        await ear.hears(replaced)
        async with locked(others) as other:
            line.cut()
            await ear.hears("the database is away")
            line.mend()
            await ear.hears("another server has the database now")
            assert other.heard == [None]
        await ear.hears(replaced)
