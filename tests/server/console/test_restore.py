"""A restored backup signs nobody in: what has ended since would live again."""

from pathlib import Path

import pytest
from sqlalchemy import select

from antiphon.service.backup import back_up, restore
from antiphon.store.data_folder import database_path
from antiphon.store.database.console_tables import console_links, console_sessions, passwords
from antiphon.store.database.database import open_database, sqlite_url
from support.console import set_up
from support.organization import StartOrganization

pytestmark = pytest.mark.anyio


async def test_restored_database_has_passwords_and_no_sessions_and_no_links(
    organization: StartOrganization, tmp_path: Path
) -> None:
    org = await organization()
    await set_up(org)
    await org.invite("bob@example.org")
    copy, fresh = tmp_path / "copy.db", tmp_path / "fresh"
    await back_up(org.platform.settings.data_dir, copy)
    fresh.mkdir()
    await restore(fresh, copy, replace=False)
    database = await open_database(sqlite_url(database_path(fresh)))
    async with database.read() as connection:
        counts = [
            len((await connection.execute(select(table))).all())
            for table in (passwords, console_sessions, console_links)
        ]
    await database.aclose()
    assert counts == [1, 0, 0]
