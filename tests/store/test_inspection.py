"""A database is looked at without a change, whoever uses it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from antiphon.store.database.database import open_database, sqlite_url
from antiphon.store.database.errors import StoreError
from antiphon.store.database.migrations import NEWEST, migrate
from antiphon.store.inspection import inspect_file, inspect_server

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 12, 1, tzinfo=UTC)


async def test_file_is_read_while_it_is_used_and_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "a folder?#%" / "antiphon.db"
    database = await open_database(sqlite_url(path))
    try:
        await migrate(database)
        # What is committed stands in the log, which is not in the file yet.
        assert inspect_file(path, {}, NOW).schema == NEWEST
    finally:
        await database.aclose()
    before = {one.name: one.stat().st_mtime_ns for one in path.parent.iterdir()}
    found = inspect_file(path, {"api_key": b"digest"}, NOW)
    assert (found.is_current, found.keys, found.known) == (True, 0, frozenset())
    assert {one.name: one.stat().st_mtime_ns for one in path.parent.iterdir()} == before


async def test_file_without_tables_has_no_schema(tmp_path: Path) -> None:
    (tmp_path / "antiphon.db").touch()
    assert inspect_file(tmp_path / "antiphon.db", {}, NOW).schema is None


def test_file_that_is_gone_is_an_error_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"cannot be opened: .*antiphon\.db"):
        inspect_file(tmp_path / "antiphon.db", {}, NOW)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["mysql://a", "no url"])
async def test_url_of_no_database_is_refused(url: str) -> None:
    with pytest.raises(StoreError):
        await inspect_server(url, {}, NOW)


async def test_file_that_a_url_names_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "antiphon.db"
    assert (await inspect_server(sqlite_url(path), {}, NOW)).schema is None
    assert not path.exists()
    database = await open_database(sqlite_url(path))
    await migrate(database)
    await database.aclose()
    assert (await inspect_server(sqlite_url(path), {}, NOW)).is_current
