"""A hundred thousand keys on SQLite: their listings, and what a change of one of them costs.

The database has as many users, archived workspaces, changes in the audit log, increase requests and
batches, and a tenth of the limits. A server without a socket is asked for pages, as the Console
asks for them. Then the accounts are read and changed, while a task looks how long it is held up.
"""

import asyncio
import sqlite3
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Sequence
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from urllib.parse import urlencode

import msgspec
from starlette.types import ASGIApp

from antiphon.service.accounts import Accounts, establish
from antiphon.store.data_folder import database_path
from antiphon.store.database import migrations
from antiphon.store.database.database import open_database, sqlite_url
from benchmarks.account_rows import END, rows_of
from benchmarks.console_database import run
from benchmarks.report import Figure, command, finish, positive
from benchmarks.views import ORGANIZATION, View, ask, measure, serving, settle

KEYS = 100_000
QUICK = 5_000
ROUNDS = 7
_WORKSPACES = 50
_LOOKS_EVERY_S = 0.0005


def _path(name: str, **query: str | int) -> str:
    return f"{ORGANIZATION}/{name}?{urlencode(query)}"


def _views(keys: int) -> Sequence[View]:
    middle = f"apikey_01{keys // 2:022d}"

    def page(**query: str | int) -> str:
        return _path("api_keys", limit=50, **query)

    listings = {
        "newest": page(),
        "by name": page(order_by="name", order="asc"),
        "by creation, from the middle": page(after_id=middle),
        "by last use, from the middle": page(order_by="last_used_at", after_id=middle),
        "by their end, from the middle": page(order_by="expires_at", order="asc", after_id=middle),
        "never used, by last use": page(order_by="last_used_at", order="asc"),
        "of a workspace, by name": page(workspace_id="wrkspc_07", order_by="name"),
        "expired, of a creator": page(created_by_user_id="user_00000007", status="expired"),
        "archived": page(status="archived"),
        "inactive (none is)": page(status="inactive"),
        "with a part of a name that many have": page(contains="key 1"),
        "with a part of a name that none has": page(contains="nothing"),
        "with a part that none has, by name": page(contains="nothing", order_by="name"),
        "with a part that none has, by last use": page(contains="no", order_by="last_used_at"),
        "with a part that many have, by last use": page(contains="7", order_by="last_used_at"),
        "with a part that many have, by name": page(contains="7", order_by="name"),
    }
    changes = {
        "newest": {},
        "of an object": {"object_id": f"apikey_01{7:022d}"},
        "by a person": {"actor_id": "user_00000007"},
        "of a kind": {"action": "api_key.create"},
    }
    return (
        *(View(f"keys: {name}", path) for name, path in listings.items()),
        View("one key", _path(f"api_keys/{middle}")),
        View("limits of a key", _path(f"api_keys/{middle}/rate_limits")),
        View("workspaces", _path("workspaces", limit=50)),
        View("workspaces, also archived", _path("workspaces", limit=50, include_archived="true")),
        View(
            "workspaces with a part of a name that none has",
            _path("workspaces", limit=50, include_archived="true", contains="nothing"),
        ),
        View("users", _path("users", limit=50)),
        View("users, by name", _path("users", limit=50, order_by="name")),
        View("names of users", _path("user_names", limit=50)),
        *(
            View(f"changes: {name}", _path("audit_log", limit=50, **query))
            for name, query in changes.items()
        ),
        View("balances", _path("balances", limit=50)),
        View("balances of keys, from the middle", _path("balances", limit=50, scope="api_key")),
        View("balances that are used", _path("balances", limit=50, used="true")),
        View("spending of 20 members", _path("spend_limits/effective")),
        View("rate limits", _path("rate_limits")),
        View("levels of rate limits", _path("rate_limit_levels", limit=50)),
        View("spend limits", _path("spend_limits", limit=50)),
        View("increase requests", _path("limit_increase_requests", limit=50)),
        View("batches", "/v1/messages/batches?limit=50"),
        View("batches that have ended", "/v1/messages/batches?limit=50&status=ended"),
        View("batches in progress (none is)", "/v1/messages/batches?limit=50&status=in_progress"),
    )


class Watch:
    """Looks how long a task is held up, in milliseconds: at most, and at most by this thread."""

    def __init__(self) -> None:
        self.longest_ms = 0.0
        self.busy_ms = 0.0

    async def look(self) -> None:
        """Look again and again."""
        last, worked = time.perf_counter(), time.thread_time()
        while True:
            await asyncio.sleep(_LOOKS_EVERY_S)
            now, works = time.perf_counter(), time.thread_time()
            self.longest_ms = max(self.longest_ms, 1000 * (now - last - _LOOKS_EVERY_S))
            self.busy_ms = max(self.busy_ms, 1000 * (works - worked))
            last, worked = now, works


@asynccontextmanager
async def _watching() -> AsyncGenerator[Watch]:
    watch = Watch()
    looking = asyncio.create_task(watch.look())
    await asyncio.sleep(_LOOKS_EVERY_S)
    try:
        yield watch
    finally:
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking


async def _timed(name: str, work: Awaitable[object]) -> list[Figure]:
    settle()
    async with _watching() as watch:
        began, worked = time.perf_counter(), time.thread_time()
        await work
        took, busy = time.perf_counter() - began, time.thread_time() - worked
    told = f"the event loop is held up for {watch.busy_ms:.1f} ms of its own at most"
    return [Figure(name, "ms", (1000 * took,), None, f"{1000 * busy:.0f} ms of the loop; {told}")]


async def make(path: Path, keys: int) -> None:
    """Make the database."""
    database = await open_database(sqlite_url(path))
    await migrations.migrate(database)
    await establish(database, lambda size: bytes([7] * size), lambda: END)
    await database.aclose()
    run(path, *rows_of(keys, workspaces=_WORKSPACES))


async def measured(folder: Path, keys: int, rounds: int) -> list[Figure]:
    """Measure the pages, then the changes."""
    async with serving(folder) as (platform, app):
        figures = await measure(app, _views(keys), rounds)
        accounts = Accounts(platform.database, await platform.database.watch())
        figures += await _timed("all accounts are read, at a start", accounts.current())
        figures += await _timed("a key is renamed", _change(app, "api_keys/" + _key(1), name="x"))
        figures += await _timed("the accounts are read again after it", accounts.current())
        await _gather(platform.settings.data_dir)
        archive = _change(app, "workspaces/wrkspc_01/archive")
        figures += await _timed("a workspace with all keys is archived", archive)
        figures += await _timed("the accounts are read again after that", accounts.current())
    return figures


def _key(number: int) -> str:
    return f"apikey_01{number:022d}"


async def _change(app: ASGIApp, path: str, **fields: str) -> None:
    await ask(app, f"{ORGANIZATION}/{path}", "POST", msgspec.json.encode(fields))


async def _gather(folder: Path) -> None:
    """Put all keys into one workspace, behind the server's back."""
    with closing(sqlite3.connect(database_path(folder))) as connection, connection:
        connection.execute(
            "UPDATE api_keys SET workspace_id = 'wrkspc_01', status = 'active' WHERE kind = 'api'"
        )


def main() -> None:
    """Make, measure, print."""
    parser = command(__doc__)
    parser.add_argument("--rounds", type=positive, default=ROUNDS)
    options = parser.parse_args()
    keys, rounds = (QUICK, 2) if options.quick else (KEYS, options.rounds)
    with tempfile.TemporaryDirectory(prefix="antiphon-bench-") as folder:
        asyncio.run(make(database_path(Path(folder)), keys))
        figures = asyncio.run(measured(Path(folder), keys, rounds))
    finish(figures, options)


if __name__ == "__main__":
    main()
