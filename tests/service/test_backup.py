import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from sqlalchemy import select

from antiphon.server.app import build_app
from antiphon.service.backup import back_up
from antiphon.service.platform import Platform
from antiphon.store.database.database import open_database, sqlite_url
from antiphon.store.database.tables import ledger
from support.asgi import HELLO, Client

pytestmark = pytest.mark.anyio


async def ids_in(path: Path) -> list[str]:
    database = await open_database(sqlite_url(path))
    async with database.read() as connection:
        found = list(await connection.scalars(select(ledger.c.id)))
    await database.aclose()
    return found


async def test_backup_has_the_ended_requests_that_are_only_in_the_journal(
    platform: Callable[..., Awaitable[Platform]], tmp_path: Path
) -> None:
    client = Client(build_app(await platform(text="one two three", tokens_per_second=20)))
    holder = sqlite3.connect(tmp_path / "antiphon.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    ended = [await client.create() for _ in range(3)]
    running = client.start("POST", "/v1/messages", {**HELLO, "stream": True})
    await running.until(b"one")
    await back_up(tmp_path, tmp_path / "copy.db")
    holder.close()
    await running.task
    assert sorted(await ids_in(tmp_path / "copy.db")) == sorted(
        answer.headers["request-id"] for answer in ended
    )


async def test_entry_that_is_in_the_database_and_in_a_journal_is_in_the_backup_once(
    platform: Callable[..., Awaitable[Platform]], tmp_path: Path
) -> None:
    started = await platform()
    client = Client(build_app(started))
    await client.create()
    (journal,) = (tmp_path / "journal").glob("*.journal")
    kept = journal.read_bytes()
    await started.ledger.flush()
    (tmp_path / "journal" / "kept.journal").write_bytes(kept)
    await back_up(tmp_path, tmp_path / "copy.db")
    assert len(await ids_in(tmp_path / "copy.db")) == 1
