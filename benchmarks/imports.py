"""What each package that the server needs, or could need, costs to import: time and memory.

Each row is imported in a fresh process, after what the server needs anyway and before everything
else; all rows in turn, round after round. Time is that of the processor. A package that is not
installed is left out.
"""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import IO

import psutil

from benchmarks.report import Figure, command, finish, positive
from benchmarks.servers import environment, pinned
from benchmarks.startup import IMPORTS

ANYWAY = "import asyncio, logging, msgspec, uvloop"
CORE = f"{ANYWAY}, sqlalchemy, sqlalchemy.dialects.sqlite.aiosqlite"
# It waits twice, so that its memory can be looked at from outside.
TIMED = """
import time
{before}
print(flush=True)
input()
began = time.process_time()
{imports}
print(time.process_time() - began, flush=True)
input()
"""


@dataclass(frozen=True, slots=True)
class Row:
    """An import, and what is imported before it without being measured."""

    what: str
    imports: str
    before: str = ANYWAY

    @property
    def installed(self) -> bool:
        """Whether there is the package that the import names first."""
        return find_spec(self.imports.split()[1].split(".")[0].rstrip(",")) is not None


ROWS = (
    Row("the whole server", IMPORTS, ""),
    Row("the same, garbage not collected", IMPORTS, "import gc; gc.disable()"),
    Row("asyncio, logging, msgspec, uvloop", ANYWAY, ""),
    Row("uvicorn, starlette, anyio", "import uvicorn, httptools, starlette.routing, anyio"),
    Row("sqlalchemy: Core and SQLite", "import sqlalchemy.dialects.sqlite.aiosqlite, aiosqlite"),
    Row("sqlalchemy: asyncio, with the ORM", "import sqlalchemy.ext.asyncio", CORE),
    Row("sqlalchemy: PostgreSQL", "import sqlalchemy.dialects.postgresql", CORE),
    Row("alembic", "import alembic.command, alembic.config", CORE),
    Row("sqlite3", "import sqlite3"),
    Row("rich", "import rich.console, rich.table"),
    Row("aiohttp", "import aiohttp"),
    Row("jinja2", "import jinja2.sandbox"),
    Row("huggingface_hub", "import huggingface_hub.file_download"),
)


def measure(rounds: int = 7) -> list[Figure]:
    """Import every row in each round; the first one, which writes the bytecode, does not count."""
    return _measured([row for row in ROWS if row.installed], rounds)


def _measured(rows: Sequence[Row], rounds: int) -> list[Figure]:
    taken = [[_cost(row) for row in rows] for _ in range(1 + rounds)][1:]
    figures: list[Figure] = []
    for row, costs in zip(rows, zip(*taken, strict=True), strict=True):
        figures += [
            Figure(row.what, "ms", tuple(ms for ms, _ in costs)),
            Figure(f"{row.what}: memory", "MB", tuple(mb for _, mb in costs)),
        ]
    return figures


def _cost(row: Row) -> tuple[float, float]:
    """Import in a fresh process; return the milliseconds of a core and the megabytes it took."""
    program = TIMED.format(before=row.before, imports=row.imports)
    pipe = subprocess.PIPE
    with (
        pinned(0),
        subprocess.Popen(
            (sys.executable, "-c", program), env=environment(), stdin=pipe, stdout=pipe, text=True
        ) as process,
    ):
        _, before = _line(process), _megabytes(process)
        _go_on(process.stdin)
        seconds, after = float(_line(process)), _megabytes(process)
        _go_on(process.stdin)
    return 1000 * seconds, after - before


def _line(process: subprocess.Popen[str]) -> str:
    return process.stdout.readline() if process.stdout is not None else ""


def _megabytes(process: subprocess.Popen[str]) -> float:
    return psutil.Process(process.pid).memory_info().rss / 1e6


def _go_on(stdin: IO[str] | None) -> None:
    if stdin is not None:
        stdin.write("\n")
        stdin.flush()


def main() -> None:
    """Measure, print, keep."""
    parser = command(__doc__)
    parser.add_argument("--rounds", type=positive, default=7)
    options = parser.parse_args()
    finish(_measured(ROWS[:2], 1) if options.quick else measure(options.rounds), options)


if __name__ == "__main__":
    main()
