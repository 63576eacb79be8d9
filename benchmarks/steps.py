"""How many steps of the interpreter a message takes, by package and by function.

A step is one instruction of Python's bytecode in the thread of the event loop. Steps are no time: a
call of C is one of them, however long it takes. But their number is nearly the same on a busy
machine, so it shows what a change saves where a clock shows noise.

What the loop does for each request stands apart from what it does later for many at once: the
ledger and the request log. What runs by the clock is left out. The server has its default settings.
`--beside` counts a server of another checkout too. `--governed` counts the server of the race
(`benchmarks.race`): the engine `messages_api`, a price and every limit of three scopes.
"""

import asyncio
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from benchmarks.entrants import governed
from benchmarks.load import load
from benchmarks.pipeline import KINDS, Kind
from benchmarks.report import Figure, Goal, command, keep, lay_out, positive, show
from benchmarks.servers import (
    API_KEY,
    HEADERS,
    HOST,
    MESSAGES,
    SCRIPT,
    Server,
    ServerError,
    started,
)
from benchmarks.traced import TURN, Counted

GOALS = {
    "JSON": Goal(most=10_500),
    "JSON, governed": Goal(most=18_500),
    "streams, governed": Goal(most=19_500),
}
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
SETTLE_S = 1.5
PATIENCE_S = 20.0
LOOK_EVERY_S = 0.01


@dataclass(frozen=True, slots=True)
class Size:
    """So many requests of each kind are counted, after so many that warm up."""

    requests: int = 320
    warming: int = 64


QUICK = Size(requests=16, warming=16)


def measure(size: Size, source: Path) -> dict[str, list[Counted]]:
    """Count the steps of each kind of request in a checkout."""
    counts = {}
    with traced(source) as (server, file):
        for kind in KINDS:
            asyncio.run(_ask(server, kind, size.warming))
            _turned(server, file)
            asyncio.run(_ask(server, kind, size.requests))
            counts[kind.name] = msgspec.json.decode(_turned(server, file), type=list[Counted])
    return counts


@contextmanager
def traced(source: Path) -> Iterator[tuple[Server, Path]]:
    """Run the server of a checkout on the scripted engine; yield it and the file of its counts."""
    with TemporaryDirectory(prefix="antiphon-bench-") as name:
        folder = Path(name)
        folder.joinpath("antiphon.toml").write_text(SCRIPT, encoding="utf-8")
        variables = {
            "ANTIPHON_PORT": "0",
            "ANTIPHON_DATA_DIR": name,
            "ANTIPHON_CONFIG": str(folder / "antiphon.toml"),
            "ANTIPHON_API_KEY": API_KEY,
            "ANTIPHON_LOG_FORMAT": "json",
            "PYTHONPATH": str(source / "src"),
        }
        file = folder / "counts.json"
        program = (sys.executable, "-m", "benchmarks.traced", str(file), "serve")
        with started(program, folder / "server.log", variables) as server:
            yield server, file


def measure_governed(size: Size) -> dict[str, list[Counted]]:
    """Count the steps of answers of ten deltas that the server of the race fetches."""
    counts = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="antiphon-bench-")))
        file = folder / "counts.json"
        module = (sys.executable, "-m", "benchmarks.upstream")
        upstream = stack.enter_context(started(module, folder / "upstream.log"))
        entrant = stack.enter_context(governed(upstream, ("benchmarks.traced", str(file))))
        for name, stream in (("JSON", False), ("streams", True)):
            expected = b"message_stop" if stream else b"few words."
            body = entrant.body(stream=stream)
            kind = Kind(f"{name}, governed", body, stream, expected, Goal())
            asyncio.run(_ask(entrant.server, kind, size.warming, entrant.headers))
            _turned(entrant.server, file)
            asyncio.run(_ask(entrant.server, kind, size.requests, entrant.headers))
            counts[kind.name] = msgspec.json.decode(
                _turned(entrant.server, file), type=list[Counted]
            )
    return counts


async def _ask(
    server: Server, kind: Kind, requests: int, headers: Mapping[str, str] = HEADERS
) -> None:
    await load(
        HOST,
        server.port,
        MESSAGES,
        dict(headers),
        kind.body,
        requests=requests,
        stream=kind.stream,
        expected=kind.expected,
    )
    # The ledger and the request log are written in the background.
    await asyncio.sleep(SETTLE_S)


def _turned(server: Server, file: Path) -> bytes:
    """Tell the server to begin to count, or to end it; return what it has counted until then."""
    file.unlink(missing_ok=True)
    server.process.send_signal(TURN)
    until = time.perf_counter() + PATIENCE_S
    while not file.exists():
        if time.perf_counter() > until:
            raise ServerError("the server does not tell its steps")
        time.sleep(LOOK_EVERY_S)
    return file.read_bytes()


def figures(kind: str, counts: Sequence[Counted], requests: int) -> list[Figure]:
    """Return what one request of a kind takes: in all, then of that what comes later."""

    def figure(what: str, number: Callable[[Counted], int], goal: Goal | None = None) -> Figure:
        return Figure(f"{kind}: {what}", "", (sum(map(number, counts)) / requests,), goal)

    return [
        figure("steps", lambda one: one.steps, GOALS.get(kind)),
        figure("calls", lambda one: one.calls),
        figure("steps later, for many at once", lambda one: one.steps if one.later else 0),
    ]


class Part(msgspec.Struct):
    """What the functions of one part took, of one request; `there` is another checkout."""

    steps: float = 0.0
    calls: float = 0.0
    there: float = 0.0


def parts(
    counts: Iterable[Counted],
    others: Iterable[Counted],
    requests: int,
    name: Callable[[Counted], str],
) -> dict[str, Part]:
    """Return what each part took, the most first; `others` are the counts of another checkout."""
    found: defaultdict[str, Part] = defaultdict(Part)
    for one in counts:
        part = found[name(one)]
        part.steps += one.steps / requests
        part.calls += one.calls / requests
    for one in others:
        found[name(one)].there += one.steps / requests
    return dict(sorted(found.items(), key=lambda item: -max(item[1].steps, item[1].there)))


def package(one: Counted) -> str:
    """Return the package of a function, or the module: the first names of its file."""
    names = _module(one.file).split(".")
    return ".".join(names[:3] if names[0] == "antiphon" else names[:1])


def function(one: Counted) -> str:
    """Return a function and its module."""
    return f"{_module(one.file).removeprefix('antiphon.')}: {one.function}"


def _module(file: str) -> str:
    names = Path(file).with_suffix("").parts
    for root in ("src", "site-packages", PYTHON):
        if root in names:
            return ".".join(names[names.index(root) + 1 :]).removesuffix(".__init__")
    return names[-1]


def show_parts(
    kind: str, counts: Sequence[Counted], others: Sequence[Counted], requests: int, top: int
) -> None:
    """Print the packages and the functions that take most."""
    head = ("steps", *(["there"] if others else []), "calls", f"{kind}: one request")
    for name in (package, function):
        found = parts(counts, others, requests, name)
        rows = [
            (
                f"{part.steps:,.0f}",
                *([f"{part.there:,.0f}"] if others else []),
                f"{part.calls:,.1f}",
                what,
            )
            for what, part in found.items()
        ]
        lay_out([head, *rows[:top]])
        print()


def main() -> None:
    """Count, print, keep."""
    parser = command(__doc__)
    parser.add_argument("--beside", type=Path, metavar="DIR", help="another checkout")
    parser.add_argument("--governed", action="store_true", help="the server of the race, too")
    parser.add_argument("--top", type=positive, default=20, metavar="N", help="lines of each list")
    options = parser.parse_args()
    size = QUICK if options.quick else Size()
    counts = measure(size, Path(__file__).parents[1])
    if options.governed:
        counts |= measure_governed(size)
    others = {} if options.beside is None else measure(size, options.beside)
    table: list[Figure] = []
    for kind, some in counts.items():
        there = others.get(kind, [])
        show_parts(kind, some, there, size.requests, options.top)
        table += figures(kind, some, size.requests)
        table += figures(f"{kind}, there", there, size.requests) if there else []
    show(table)
    keep(table, options, functions=counts)


if __name__ == "__main__":
    main()
