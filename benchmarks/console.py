"""The views of administrators over ten million requests, on SQLite.

Makes a database: ten million entries of the ledger in 60 days, and as many rows of the request log
in 30, of 20 keys, 5 workspaces and 4 models, 1 % with errors; of everything else that pages list
there are 2,000. The roll-ups are those of the migration, which is measured as well. Then a server
without a socket is asked for each view again and again, as a page asks it, to the last byte of
JSON. `--keep DIR` leaves the database there, and uses one that is there already.
"""

import asyncio
import json
import tempfile
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlencode

from starlette.types import ASGIApp

from antiphon.store.data_folder import database_path
from benchmarks.account_rows import END
from benchmarks.console_database import make
from benchmarks.report import Figure, command, finish, positive
from benchmarks.views import ORGANIZATION, View, ask, measure, serving

ENTRIES = 10_000_000
QUICK = 100_000
ROUNDS = 30
_KEY = "apikey_01" + "3".zfill(22)
_BOTH = ("api_key_id", "model")
_WIDTHS = {"1d": timedelta(days=1), "1h": timedelta(hours=1), "1m": timedelta(minutes=1)}


def _path(name: str, **query: str | int | tuple[str, ...]) -> str:
    written = {f"{key}[]" if isinstance(one, tuple) else key: one for key, one in query.items()}
    return f"{ORGANIZATION}/{name}?{urlencode(written, doseq=True)}"


def _report(name: str, width: str, count: int, **query: str | tuple[str, ...]) -> str:
    since = END - (count - 1) * _WIDTHS[width]
    start = f"{since:%Y-%m-%dT%H:%M:%SZ}"
    return _path(name, starting_at=start, bucket_width=width, limit=count, **query)


def _views(one: str) -> Sequence[View]:
    """Return the views of each page; `one` is the id of a request."""
    usage = "usage_report/messages"
    days_15, days_29 = (f"{END - timedelta(days=n):%Y-%m-%dT%H:%M:%SZ}" for n in (15, 29))
    requests: dict[str, dict[str, str]] = {
        "newest": {},
        "15 days back": {"ending_at": days_15},
        "of a key, 29 days back": {"api_key_id": _KEY, "ending_at": days_29},
        "of a workspace": {"workspace_id": "wrkspc_03"},
        "of a key and a model": {"api_key_id": _KEY, "model": "small"},
        "refused ones of a workspace": {"workspace_id": "wrkspc_01", "status_class": "4xx"},
        "with an error": {"error_type": "api_error"},
        "that are not there (a key that used no such model)": {
            "api_key_id": _KEY,
            "model": "none",
        },
    }
    return (
        View("usage, 31 days", _report(usage, "1d", 31)),
        View("usage, 31 days, by key and model", _report(usage, "1d", 31, group_by=_BOTH)),
        View("usage, 31 days, one key", _report(usage, "1d", 31, api_key_ids=(_KEY,))),
        View("usage, 168 hours, by model", _report(usage, "1h", 168, group_by=("model",))),
        View("usage, 60 minutes, by key and model", _report(usage, "1m", 60, group_by=_BOTH)),
        View("usage, 1,440 minutes", _report(usage, "1m", 1440)),
        View("costs, 31 days", _report("cost_report", "1d", 31)),
        View(
            "costs, 31 days, by workspace and description",
            _report("cost_report", "1d", 31, group_by=("workspace_id", "description")),
        ),
        View("activity, 31 days (Overview)", _report("activity", "1d", 31)),
        View("activity, 31 days, by model", _report("activity", "1d", 31, group_by=("model",))),
        View("activity, 168 hours (Overview)", _report("activity", "1h", 168)),
        View("activity, 60 minutes (Overview)", _report("activity", "1m", 60)),
        View(
            "activity, 168 hours, one workspace",
            _report("activity", "1h", 168, workspace_ids=("wrkspc_03",)),
        ),
        View("running requests (Overview, Requests)", _path("running_requests")),
        *(
            View(f"50 requests, {name}", _path("requests", limit=50, **query))
            for name, query in requests.items()
        ),
        View("one request, explained", _path(f"requests/{one}")),
        View("prompt cache: what is kept", _path("prompt_cache")),
        View("prompt cache: entries", _path("prompt_cache/entries", limit=50)),
        View(
            "prompt cache: 31 days, by model",
            _report("prompt_cache/report", "1d", 31, group_by=("model",)),
        ),
        View(
            "prompt cache: 168 hours, by workspace",
            _report("prompt_cache/report", "1h", 168, group_by=("workspace_id",)),
        ),
        View("settings", _path("settings")),
        View("limits: rate limits", _path("rate_limits")),
        View("limits: levels", _path("rate_limit_levels", limit=100)),
        View("limits: spend limits", _path("spend_limits", limit=100)),
        View("limits: balances that are used", _path("balances", scope="api_key", used="true")),
        View("limits: spending of 20 members", _path("spend_limits/effective")),
        View("limits: open increases", _path("limit_increase_requests", statuses=("open",))),
        View("100 keys of 2,000, with their last use", _path("api_keys", limit=100)),
        View("50 workspaces", _path("workspaces", limit=50, include_archived="true")),
        View("50 members of the organization", _path("users", limit=50)),
        View("1,000 names of users", _path("user_names", limit=1000)),
        View("50 changes in the audit log", _path("audit_log", limit=50)),
        View("20 batches", "/v1/messages/batches?limit=20"),
    )


async def measured(folder: Path, rounds: int) -> list[Figure]:
    """Serve the database, and measure every view."""
    async with serving(folder) as (_, app):
        return await measure(app, _views(await _a_request(app)), rounds)


async def _a_request(app: ASGIApp) -> str:
    found = json.loads(await ask(app, _path("requests", limit=1, status_class="2xx")))
    name: str = found["data"][0]["id"]
    return name


def main() -> None:
    """Make, measure, print, keep."""
    parser = command(__doc__)
    parser.add_argument("--rounds", type=positive, default=ROUNDS)
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where the database is, or stays")
    options = parser.parse_args()
    entries, rounds = (QUICK, 2) if options.quick else (ENTRIES, options.rounds)
    with tempfile.TemporaryDirectory(prefix="antiphon-bench-") as folder:
        kept = Path(options.keep or folder)
        path = database_path(kept)
        made = [] if path.exists() else asyncio.run(make(path, entries))
        figures = asyncio.run(measured(kept, rounds))
    finish([*made, *figures], options)


if __name__ == "__main__":
    main()
