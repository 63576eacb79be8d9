"""The whole pipeline on the scripted engine, beside the bare HTTP layer in the same rounds.

Both servers run on the first core, one works while the other waits; the load comes from the
second core over 16 connections. Antiphon checks keys and bodies, counts, assembles, writes and
logs; the other answers the same bytes without looking (see `baseline.py`). `--beside` adds a
server of another checkout to the rounds. `--days-of-requests 0` runs this one without its request
log, which earlier checkouts do not have.

Some processes of one program are quicker than others for all of their life, by a tenth: so all
servers are started anew for each part of the rounds, in the other order.
"""

import asyncio
import sys
import tempfile
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import uvloop

from benchmarks.load import Figures, load
from benchmarks.report import Figure, Goal, command, finish, positive, share
from benchmarks.servers import (
    HEADERS,
    HOST,
    HUNDRED,
    MESSAGES,
    Server,
    pinned,
    request,
    scripted,
    started,
)


@dataclass(frozen=True, slots=True)
class Size:
    """How much is asked for: in each of `rounds`, so many answers of each kind.

    All servers are started `starts` times.
    """

    rounds: int = 9
    starts: int = 3
    requests: int = 4000
    streams: int = 600


SETTLE_S = 1.5
QUICK = Size(rounds=1, starts=1, requests=64, streams=32)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of request, and the same asked of the bare HTTP layer."""

    name: str
    body: bytes
    stream: bool
    expected: bytes
    goal: Goal


KINDS = (
    Kind("JSON", request("Hello"), stream=False, expected=b'"end_turn"', goal=Goal(least=5000)),
    Kind(
        "streams of 100 deltas",
        request(HUNDRED, stream=True),
        stream=True,
        expected=b"event: message_stop",
        goal=Goal(least=500),
    ),
)


@dataclass(frozen=True, slots=True)
class Round:
    """What one round of one kind measured."""

    figures: Figures
    cpu_us: float
    loop_us: float


def measure(size: Size, beside: Path | None = None, **settings: str) -> list[Figure]:
    """Run all rounds and return their figures. The other checkout has none of the `settings`."""
    rounds: dict[tuple[str, str], list[Round]] = defaultdict(list)
    for start in range(size.starts):
        in_turn = range(start, size.rounds, size.starts)
        for key, some in _started(replace(size, rounds=len(in_turn)), beside, start, settings):
            rounds[key] += some
    table: list[Figure] = []
    for kind in KINDS:
        table += _figures(kind, rounds["antiphon", kind.name], rounds["bare", kind.name])
        if others := rounds.get(("other", kind.name)):
            table += _beside(kind, rounds["antiphon", kind.name], others)
    return table


def _started(
    size: Size, beside: Path | None, start: int, settings: Mapping[str, str]
) -> Iterable[tuple[tuple[str, str], list[Round]]]:
    """Start the servers, run the rounds, and end them."""
    sources = {"antiphon": Path(__file__).parents[1], "other": beside}
    names = sorted((name for name, at in sources.items() if at), reverse=start % 2 == 1)
    with ExitStack() as stack:
        servers = {}
        for name in names:
            own = settings if name == "antiphon" else {}
            served = scripted(PYTHONPATH=f"{sources[name]}/src", **own)
            servers[name] = stack.enter_context(served)
        servers["bare"] = stack.enter_context(bare_http(servers["antiphon"]))
        stack.enter_context(pinned(1))
        return uvloop.run(_all(servers, size)).items()


def _beside(kind: Kind, rounds: Sequence[Round], others: Sequence[Round]) -> list[Figure]:
    """Compare each round with the other checkout's of the same round, and the threads of both."""
    pairs = list(zip(rounds, others, strict=True))

    def more(name: str, time: Callable[[Round], float]) -> Figure:
        whole = _of("", "µs", [time(other) for other in others])
        more_us = _of(
            f"{kind.name}: {name} more than the other's",
            "µs",
            [time(one) - time(other) for one, other in pairs],
        )
        return replace(more_us, ratio=f"the other: {whole.median:,.0f} µs")

    return [
        more("processor time", lambda one: one.cpu_us),
        more("that of the event loop's thread", lambda one: one.loop_us),
        more("that of other threads", lambda one: one.cpu_us - one.loop_us),
    ]


def _figures(kind: Kind, rounds: Sequence[Round], bare: Sequence[Round]) -> list[Figure]:
    name = kind.name
    rate = _of(name, "/s", [one.figures.per_second for one in rounds])
    bare_rate = _of(f"{name}: bare HTTP layer", "/s", [one.figures.per_second for one in bare])
    time = _of(f"{name}: processor time", "µs", [one.cpu_us for one in rounds])
    bare_time = _of(f"{name}: the same, bare", "µs", [one.cpu_us for one in bare])
    return [
        replace(rate, goal=kind.goal, ratio=share(rate, bare_rate, "bare")),
        _of(f"{name}: p50", "ms", [one.figures.p50_ms for one in rounds]),
        _of(f"{name}: p99", "ms", [one.figures.p99_ms for one in rounds]),
        bare_rate,
        replace(time, ratio=f"bare + {time.median - bare_time.median:,.0f} µs"),
        bare_time,
    ]


def _of(what: str, unit: str, values: Sequence[float]) -> Figure:
    return Figure(what, unit, tuple(values))


@contextmanager
def bare_http(antiphon: Server) -> Iterator[Server]:
    """Run the baseline with answers that Antiphon gave."""
    with tempfile.TemporaryDirectory(prefix="antiphon-bench-") as folder:
        files = Path(folder, "json"), Path(folder, "stream")
        for file, kind in zip(files, KINDS, strict=True):
            file.write_bytes(_answer(antiphon, kind.body))
        names = [str(file) for file in files]
        module = (sys.executable, "-m", "benchmarks.baseline", *names)
        with started(module, Path(folder, "log"), place=0) as server:
            yield server


def _answer(server: Server, body: bytes) -> bytes:
    url = f"http://{HOST}:{server.port}{MESSAGES}"
    asked = urllib.request.Request(url, body, HEADERS)
    with urllib.request.urlopen(asked) as response:  # noqa: S310 - the same
        return bytes(response.read())


async def _all(servers: Mapping[str, Server], size: Size) -> dict[tuple[str, str], list[Round]]:
    """Ask all servers in turn for all kinds, round after round; the first one warms up."""
    rounds: dict[tuple[str, str], list[Round]] = defaultdict(list)
    for place in range(1 + size.rounds):
        for kind in KINDS:
            for name, server in servers.items():
                measured = await _round(server, kind, size)
                if place:
                    rounds[name, kind.name].append(measured)
    return rounds


async def _round(server: Server, kind: Kind, size: Size) -> Round:
    requests = size.streams if kind.stream else size.requests
    before, of_loop = server.cpu_s, server.loop_cpu_s
    figures = await load(
        HOST,
        server.port,
        MESSAGES,
        HEADERS,
        kind.body,
        requests=requests,
        stream=kind.stream,
        expected=kind.expected,
    )
    # The ledger and the request log are written in the background.
    await asyncio.sleep(SETTLE_S)
    return Round(
        figures,
        1e6 * (server.cpu_s - before) / requests,
        1e6 * (server.loop_cpu_s - of_loop) / requests,
    )


def main() -> None:
    """Measure, print, keep."""
    parser = command(__doc__)
    parser.add_argument("--rounds", type=positive, default=9)
    parser.add_argument("--beside", type=Path, metavar="DIR", help="another checkout, in turn")
    parser.add_argument("--days-of-requests", metavar="N", help="how long the request log is kept")
    options = parser.parse_args()
    size = QUICK if options.quick else Size(options.rounds)
    days = options.days_of_requests
    settings = {} if days is None else {"ANTIPHON_REQUEST_LOG_DAYS": days}
    finish(measure(size, options.beside, **settings), options)


if __name__ == "__main__":
    main()
