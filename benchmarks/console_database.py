"""Makes the database of `benchmarks.console`: ten million requests, and what pages show besides."""

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from alembic import command as alembic
from alembic.config import Config
from sqlalchemy import Connection

from antiphon.service.accounts import establish
from antiphon.store.database import migrations
from antiphon.store.database.database import open_database, sqlite_url
from benchmarks.account_rows import END, SERIES, rows_of, us
from benchmarks.report import Figure

BEFORE_ROLLUPS = "0010"
_DAY_US = 86_400_000_000
# Requests of one number have the same id in both tables. Each key uses each model, and each of them
# meets each error; a workspace has four keys.
_ID = "printf('req_%024d', i)"
_KEY = "printf('apikey_01%022d', i % 20)"
_WORKSPACE = "i % 5"
_MODEL = (
    "CASE i / 20 % 4 WHEN 0 THEN 'claude-opus-5-5' WHEN 1 THEN 'claude-sonnet-5-5' "
    "WHEN 2 THEN 'claude-haiku-5-5' ELSE 'small' END"
)
_ERROR = "CASE i / 80 % 300 WHEN 0 THEN 'overloaded_error' WHEN 1 THEN 'api_error' END"
_FIRST_TOKEN_US = "(50000 + i * 32452843 % 3000000)"  # noqa: S105


def _ledger(entries: int) -> str:
    start = us(END) - 60 * _DAY_US
    values = {
        "id": _ID,
        "started_at": f"{start} + i * {60 * _DAY_US // entries}",
        "first_token_at": f"{start} + i * {60 * _DAY_US // entries} + {_FIRST_TOKEN_US}",
        "ended_at": f"{start} + i * {60 * _DAY_US // entries} + 5000000",
        "api_key_id": _KEY,
        "workspace_id": f"CASE {_WORKSPACE} WHEN 0 THEN NULL ELSE 'wrkspc_0' || ({_WORKSPACE}) END",
        "model": _MODEL,
        "served_model": "'small'",
        "service_tier": "'standard'",
        "context_window": "'0-200k'",
        "inference_geo": "'not_available'",
        "outcome": f"CASE WHEN {_ERROR} IS NULL THEN 'completed' ELSE 'failed' END",
        "stop_reason": "'end_turn'",
        "error_type": _ERROR,
        "input_tokens": "i % 2000",
        "cache_write_5m_tokens": "i % 7 * 100",
        "cache_write_1h_tokens": "0",
        "cache_read_tokens": "i % 11 * 1000",
        "output_tokens": "i % 800",
        "thinking_tokens": "0",
        "input_cost": "i % 2000 * 1000",
        "cache_write_5m_cost": "i % 7 * 125000",
        "cache_write_1h_cost": "0",
        "cache_read_cost": "i % 11 * 100000",
        "output_cost": "i % 800 * 5000",
        "cost": "i % 2000 * 1000 + i % 7 * 125000 + i % 11 * 100000 + i % 800 * 5000",
        "uncached_cost": "(i % 2000 + i % 7 * 100 + i % 11 * 1000) * 1000",
    }
    return _insert("ledger", values, entries)


def _log(entries: int) -> str:
    start = us(END) - 30 * _DAY_US
    # Two of a hundred were refused.
    refused = "i / 80 % 50 = 7"
    values = {
        "id": _ID,
        "ended_at": f"{start} + i * {30 * _DAY_US // entries}",
        "route": "'/v1/messages'",
        "status": f"CASE WHEN {refused} THEN 429 WHEN {_ERROR} IS NULL THEN 200 ELSE 529 END",
        "status_class": f"CASE WHEN {refused} THEN 4 WHEN {_ERROR} IS NULL THEN 2 ELSE 5 END",
        "error_type": f"CASE WHEN {refused} THEN 'rate_limit_error' ELSE {_ERROR} END",
        "api_key_id": _KEY,
        "workspace_id": f"CASE {_WORKSPACE} WHEN 0 THEN '' ELSE 'wrkspc_0' || ({_WORKSPACE}) END",
        "model": _MODEL,
        "served_model": "'small'",
        "streamed": "i % 2",
        "duration_us": "5000000",
        "queue_us": "100",
        "prefill_us": _FIRST_TOKEN_US,
        "decode_us": "2000000",
        "input_tokens": "i % 2000",
        "cache_write_5m_tokens": "i % 7 * 100",
        "cache_write_1h_tokens": "0",
        "cache_read_tokens": "i % 11 * 1000",
        "output_tokens": "i % 800",
        "thinking_tokens": "0",
        "cost": "i % 2000 * 1000 + i % 800 * 5000",
    }
    return _insert("request_log", values, entries)


def _insert(table: str, values: dict[str, str], entries: int) -> str:
    names, made = ", ".join(values), ", ".join(values.values())
    return f"{SERIES.format(n=entries)} INSERT INTO {table} ({names}) SELECT {made} FROM series"  # noqa: S608


async def make(path: Path, entries: int) -> list[Figure]:
    """Make the database, and measure the migration that sums it up."""
    database = await open_database(sqlite_url(path))
    async with database.write() as connection:
        await connection.run_sync(lambda sync: _upgrade(sync, BEFORE_ROLLUPS))
    await database.aclose()
    run(path, _ledger(entries))
    database = await open_database(sqlite_url(path))
    began = time.perf_counter()
    await migrations.migrate(database)
    took = time.perf_counter() - began
    await establish(database, os.urandom, lambda: END)
    await database.aclose()
    run(path, _log(entries), *rows_of(2_000, workspaces=5))
    return [
        Figure(f"migration of {entries:,} entries", "s", (took,)),
        Figure("the database", "GB", (path.stat().st_size / 1e9,)),  # noqa: ASYNC240 - nobody waits
    ]


def _upgrade(connection: Connection, version: str) -> None:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    alembic.upgrade(config, version)


def run(path: Path, *statements: str) -> None:
    """Run statements with much memory and no syncs; indexes are made behind the rows."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = -3000000")
        named = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        indexes = connection.execute(
            f"{named} AND tbl_name IN ('ledger', 'request_log')"
        ).fetchall()
        connection.execute("BEGIN")
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}")
        for statement in statements:
            connection.execute(statement)
        for _, index in indexes:
            connection.execute(index)
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
