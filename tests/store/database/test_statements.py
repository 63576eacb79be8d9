"""Databases of one process of tests share what SQLAlchemy compiles; see support/statements.py."""

from pathlib import Path

import pytest

from antiphon.store.database.database import open_database, sqlite_url

URLS = {"postgresql": "postgresql://nobody@127.0.0.1:1/none"}


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_two_databases_share_their_statements(kind: str, tmp_path: Path) -> None:
    engines = []
    for name in ("one", "other"):
        database = await open_database(URLS.get(kind) or sqlite_url(tmp_path / name))
        engines += [database._backend.readers, database._backend.writers]
        await database.aclose()
    assert len({id(engine.pool) for engine in engines}) > 1
    assert len({id(engine.dialect) for engine in engines}) == 1
    assert len({id(engine._compiled_cache) for engine in engines}) == 1
