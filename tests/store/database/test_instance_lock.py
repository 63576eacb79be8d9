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


class LossRecorder:
    """Records what a lock reports: why it was lost, or `None` when it is held again."""

    def __init__(self) -> None:
        self.heard: list[str | None] = []

    def __call__(self, reason: str | None) -> None:
        self.heard.append(reason)

    async def until(self, reason: str | None) -> None:
        with anyio.fail_after(10):
            while not self.heard or self.heard[-1] != reason:  # noqa: ASYNC110 - nobody tells
                await anyio.sleep(0.01)


class Network:
    """Opens connections unless it is cut; `cut` also ends those that are open."""

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
async def locked(network: Network, *, exclusive: bool = True) -> AsyncGenerator[LossRecorder]:
    losses = LossRecorder()
    lock = PostgresInstanceLock(network.dial, losses, exclusive=exclusive, retry_s=0.01)
    await lock.start()
    try:
        yield losses
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
    network = Network(founded)
    async with AsyncExitStack() as stack:
        async with locked(network, exclusive=first):
            if first or second:
                with pytest.raises(OccupiedError, match="another server uses this database"):
                    await stack.enter_async_context(locked(network, exclusive=second))
            else:
                await stack.enter_async_context(locked(network, exclusive=second))
        # Who leaves makes room.
        await stack.enter_async_context(locked(network, exclusive=second))


async def test_sqlite_has_no_instance_lock(sqlite_path: Path) -> None:
    # Their folder has a lock of its own.
    first, second = [await open_database(sqlite_url(sqlite_path)) for _ in range(2)]
    losses = LossRecorder()
    async with (
        first.instance_lock(losses, exclusive=True),
        second.instance_lock(losses, exclusive=True),
    ):
        assert losses.heard == []
    await first.aclose()
    await second.aclose()


async def test_lost_session_is_reported_until_it_is_back(founded: str) -> None:
    database, losses = await open_database(founded), LossRecorder()
    async with database.instance_lock(losses, exclusive=True):
        admin = await asyncpg.connect(founded)
        assert losses.heard == [None]
        await admin.execute(f"SELECT pg_terminate_backend(pid) {SERVERS}")
        await admin.close()
        await losses.until("the database is away")
        await losses.until(None)
        assert losses.heard == [None, "the database is away", None]
    await database.aclose()


async def test_shared_lock_is_held_again_when_the_exclusive_one_is_gone(founded: str) -> None:
    network, others = Network(founded), Network(founded)
    async with locked(network, exclusive=False) as losses:
        network.cut()
        await losses.until("the database is away")
        async with locked(others):
            network.mend()
            await losses.until("another server has the database now")
        await losses.until(None)


@pytest.mark.parametrize("exclusive", [True, False])
async def test_replaced_server_never_holds_the_lock_again(founded: str, exclusive: bool) -> None:
    network, others = Network(founded), Network(founded)
    async with locked(network) as losses:
        network.cut()
        await losses.until("the database is away")
        async with locked(others, exclusive=exclusive):
            pass
        network.mend()
        replaced = "another server has used the database meanwhile: start this one again"
        await losses.until(replaced)
        async with locked(others) as other:
            network.cut()
            await losses.until("the database is away")
            network.mend()
            await losses.until("another server has the database now")
            assert other.heard == [None]
        await losses.until(replaced)
