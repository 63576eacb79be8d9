"""The views of administrators over ten million requests, on SQLite.

Makes a database: ten million entries of the ledger in 60 days, and as many rows of the request log
in 30, of 20 keys, 5 workspaces and 4 models, 1 % with errors; 2,000 keys are listed. The roll-ups
are those of the migration, which is measured as well. Then each view is asked for again and again,
as the API answers it, to the last byte of JSON. `--keep DIR` leaves the database there, and uses
one that is there already.
"""

import asyncio
import gc
import os
import sqlite3
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
from alembic import command as alembic
from alembic.config import Config
from sqlalchemy import Connection

from antiphon.core.billing.reports import BucketWidth, Span, buckets
from antiphon.core.pagination import IdCursor
from antiphon.service.accounts import Accounts, establish
from antiphon.service.activity import Activity
from antiphon.service.admin.keys import KeyRing
from antiphon.service.admin.transactions import AdminTransactions
from antiphon.service.desks import Desks
from antiphon.service.reports import Reports
from antiphon.service.requests import Requests
from antiphon.store.database import migrations
from antiphon.store.database.database import Database, open_database, sqlite_url
from antiphon.store.listings import KeySelection
from benchmarks.report import Figure, Goal, command, finish, number, positive

ENTRIES = 10_000_000
QUICK = 100_000
ROUNDS = 30
END = datetime(2026, 11, 29, 12, 30, tzinfo=UTC)
BEFORE_ROLLUPS = "0010"
MOST_MS = 50
_KEYS = 2000
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
_SERIES = "WITH RECURSIVE series(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM series WHERE i < {n})"


def _ledger(entries: int) -> str:
    start = _us(END) - 60 * _DAY_US
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
    start = _us(END) - 30 * _DAY_US
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
    return f"{_SERIES.format(n=entries)} INSERT INTO {table} ({names}) SELECT {made} FROM series"  # noqa: S608


def _us(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


async def make(path: Path, entries: int) -> list[Figure]:
    """Make the database, and measure the migration that sums it up."""
    database = await open_database(sqlite_url(path))
    async with database.write() as connection:
        await connection.run_sync(lambda sync: _upgrade(sync, BEFORE_ROLLUPS))
    await database.aclose()
    _run(path, _ledger(entries))
    database = await open_database(sqlite_url(path))
    began = time.perf_counter()
    await migrations.migrate(database)
    took = time.perf_counter() - began
    await establish(database, os.urandom, lambda: END)
    await database.aclose()
    _run(path, _log(entries), _many_keys())
    return [
        Figure(f"migration of {entries:,} entries", "s", (took,)),
        Figure("the database", "GB", (path.stat().st_size / 1e9,)),  # noqa: ASYNC240 - nobody waits
    ]


def _upgrade(connection: Connection, version: str) -> None:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    alembic.upgrade(config, version)


def _many_keys() -> str:
    moment = _us(END)
    return (
        f"{_SERIES.format(n=_KEYS)} INSERT INTO api_keys "  # noqa: S608 - numbers
        "(id, name, kind, status, hint, created_at, last_used_at) "
        "SELECT printf('apikey_01%022d', i - 1), 'key ' || i, 'api', 'active', 'sk-ant-…abcd', "
        f"{moment} - i, {moment} FROM series"
    )


def _run(path: Path, *statements: str) -> None:
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


@dataclass(frozen=True, slots=True)
class View:
    """What somebody looks at, and what answers it."""

    name: str
    ask: Callable[[], Awaitable[Any]]


@asynccontextmanager
async def opened(path: Path) -> AsyncGenerator[Sequence[View]]:
    """Yield all views over a database."""
    database = await open_database(sqlite_url(path))
    try:
        yield await _views(database)
    finally:
        await database.aclose()


async def _views(database: Database) -> Sequence[View]:
    transactions = AdminTransactions(database, os.urandom, lambda: END)
    accounts = Accounts(database, await database.watch())
    desks = Desks(database)
    reports, activity = Reports(desks, accounts), Activity(desks, accounts)
    requests, keys = Requests(desks, ()), KeyRing(transactions)

    def span(width: BucketWidth, count: int, length: timedelta) -> Any:
        since = END - (count - 1) * length
        return buckets(width, Span(starting_at=since.isoformat(), limit=str(count)), END)

    month = span("1d", 31, timedelta(days=1))
    week = span("1h", 168, timedelta(hours=1))
    hour = span("1m", 60, timedelta(minutes=1))
    day = span("1m", 1440, timedelta(minutes=1))
    both = ("api_key_id", "model")
    key = "apikey_01" + "3".zfill(22)

    def page(**filters: str | int) -> Callable[[], Awaitable[Any]]:
        until = filters.pop("until", None)
        middle = None if until is None else END - timedelta(days=int(until))
        return lambda: requests.page(limit=50, span=(None, middle), filters=filters)

    one = (await requests.page(limit=1, filters={"status_class": 2})).data[0].id
    lists = {
        "newest": page(),
        "15 days back": page(until=15),
        "of a key, 29 days back": page(api_key_id=key, until=29),
        "of a workspace": page(workspace_id="wrkspc_03"),
        "of a key and a model": page(api_key_id=key, model="small"),
        "refused ones of a workspace": page(workspace_id="wrkspc_01", status_class=4),
        "with an error": page(error_type="api_error"),
        "that are not there (a key that used no such model)": page(api_key_id=key, model="none"),
    }
    return (
        View("usage, 31 days", lambda: reports.usage(month, (), {})),
        View("usage, 31 days, by key and model", lambda: reports.usage(month, both, {})),
        View("usage, 31 days, one key", lambda: reports.usage(month, (), {"api_key_id": [key]})),
        View("usage, 168 hours, by model", lambda: reports.usage(week, ("model",), {})),
        View("usage, 60 minutes, by key and model", lambda: reports.usage(hour, both, {})),
        View("usage, 1,440 minutes", lambda: reports.usage(day, (), {})),
        View("costs, 31 days", lambda: reports.costs(month, ())),
        View(
            "costs, 31 days, by workspace and description",
            lambda: reports.costs(month, ("workspace_id", "description")),
        ),
        View("activity, 31 days", lambda: activity.report(month, (), {})),
        View("activity, 31 days, by model", lambda: activity.report(month, ("model",), {})),
        View("activity, 168 hours", lambda: activity.report(week, (), {})),
        View("activity, 60 minutes", lambda: activity.report(hour, (), {})),
        *(View(f"50 requests, {name}", ask) for name, ask in lists.items()),
        View("one request, explained", lambda: requests.explain(one)),
        View(
            "100 keys of 2,000, with their last use",
            lambda: keys.all(IdCursor(100), KeySelection()),
        ),
    )


async def measure(path: Path, rounds: int) -> list[Figure]:
    """Ask for every view in turn, round after round; the first one prepares the statements."""
    times: dict[str, list[float]] = {}
    busy: dict[str, list[float]] = {}
    async with opened(path) as views:
        for place in range(1 + rounds):
            if place == 1:
                # As a server does once it is ready.
                gc.collect()
                gc.freeze()
                gc.set_threshold(10_000, 20, 20)
            for view in views:
                began, worked = time.perf_counter(), time.process_time()
                msgspec.json.encode(await view.ask())
                if place:
                    worked = time.process_time() - worked
                    times.setdefault(view.name, []).append(1000 * (time.perf_counter() - began))
                    busy.setdefault(view.name, []).append(1000 * worked)
    goal = Goal(most=MOST_MS)
    return [
        Figure(name, "ms", tuple(values), goal, _of_a_processor(busy[name]))
        for name, values in times.items()
    ]


def _of_a_processor(values: Sequence[float]) -> str:
    """Tell the processor's time, of which other programs take less than of the time that passes."""
    return f"{number(median(values))} ms of a processor, at most {number(max(values))}"


def main() -> None:
    """Make, measure, print, keep."""
    parser = command(__doc__)
    parser.add_argument("--rounds", type=positive, default=ROUNDS)
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where the database is, or stays")
    options = parser.parse_args()
    entries, rounds = (QUICK, 2) if options.quick else (ENTRIES, options.rounds)
    with tempfile.TemporaryDirectory(prefix="antiphon-bench-") as folder:
        path = Path(options.keep or folder, "antiphon.db")
        made = [] if path.exists() else asyncio.run(make(path, entries))
        figures = asyncio.run(measure(path, rounds))
    finish([*made, *figures], options)


if __name__ == "__main__":
    main()
