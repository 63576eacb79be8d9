"""Antiphon with everything on, and gateways of others, in front of one constant upstream.

`python -m benchmarks.race` installs the others (`.cache/race`, pinned; a gigabyte), starts all, and
asks them in turn, round after round, so that whatever else this machine does meets all alike.
Every gateway is kept on the first core; upstream and load share the second. Each is asked as long
as the others, not as often: the quickest answers a hundred times what the slowest does. At the end
each is asked at half of the rate that it has shown (`benchmarks.half_load`).

The others are at their quickest: they do not check keys, hold limits or write bills, unless their
name says so, and Antiphon does all of it. A peer that cannot be had, or that does not pass messages
on, is named with the reason. Memory is that after the last round.
"""

import asyncio
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from sys import executable

import psutil
import uvloop

from benchmarks.answers import AnswerError
from benchmarks.entrants import Entrant, asked, check, governed, started_peer
from benchmarks.half_load import HEAD as CALM_HEAD
from benchmarks.half_load import MOST_ADDED_MS, Ask, Calm, calm_figures, calm_round, calm_rows
from benchmarks.installs import CACHE, InstallError
from benchmarks.load import Figures, LoadError, load
from benchmarks.peers import PEERS, Peer
from benchmarks.report import Figure, Goal, command, keep, lay_out, machine, number, positive
from benchmarks.servers import HOST, Server, ServerError, pinned, started

MOST_S = 60.0
ANTIPHON = "Antiphon"
DIRECT = "no gateway"


@dataclass(frozen=True, slots=True)
class Size:
    """How long each is asked in each of `rounds`: what `first` requests took says how often.

    Processor time is counted until `settle_s` later: bills and records are written behind.
    """

    rounds: int = 5
    seconds: float = 2.0
    first: int = 64
    settle_s: float = 1.5


QUICK = Size(rounds=1, seconds=0.0, first=16, settle_s=0.1)
MOST_REQUESTS = 50_000


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of request. `part` is how much of the time of a round it gets."""

    name: str
    stream: bool
    connections: int = 16
    part: float = 1.0


JSON = Kind("JSON", stream=False)
KINDS = (
    JSON,
    Kind("streams", stream=True),
    Kind("JSON, one at a time", stream=False, connections=1, part=0.25),
)


@dataclass(frozen=True, slots=True)
class Round:
    """What one round of one kind measured, and the processor time of a request."""

    figures: Figures
    cpu_us: float


@dataclass(slots=True)
class Race:
    """What the race has shown so far. `out` says why somebody does not run, or not to the end."""

    rounds: dict[tuple[str, str], list[Round]] = field(default_factory=lambda: defaultdict(list))
    calm: dict[str, list[Calm]] = field(default_factory=lambda: defaultdict(list))
    memory_mb: dict[str, float] = field(default_factory=dict)
    lacks: dict[str, str] = field(default_factory=dict)
    out: dict[str, str] = field(default_factory=dict)

    def of(self, name: str, kind: Kind) -> list[Round]:
        return self.rounds[name, kind.name]

    def ratio(self, name: str, kind: Kind) -> float:
        """Return the rate as a share of Antiphon's: the median of the rounds, side by side."""
        pairs = zip(self.of(name, kind), self.of(ANTIPHON, kind), strict=True)
        return statistics.median(
            one.figures.per_second / other.figures.per_second for one, other in pairs
        )


def run(size: Size, peers: Iterable[Peer], cache: Path = CACHE) -> Race:
    """Start all that can be had, and run all rounds."""
    race = Race()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="antiphon-bench-")))
        module = (executable, "-m", "benchmarks.upstream")
        upstream = stack.enter_context(started(module, folder / "upstream.log", place=1))
        antiphon = stack.enter_context(governed(upstream))
        for stream in (False, True):
            check(antiphon, upstream, stream=stream)
        entrants = [Entrant(DIRECT, upstream), antiphon]
        for peer in peers:
            print(f"{peer.name} …", flush=True)
            try:
                entrants.append(stack.enter_context(started_peer(peer, upstream, cache)))
            except (InstallError, ServerError, AnswerError, OSError) as error:
                race.out[f"{peer.name} {peer.package.version}"] = str(error)
        race.lacks = {one.name: one.lacks for one in entrants}
        race.out |= {f"{one.name}, streams": one.no_streams for one in entrants if one.no_streams}
        stack.enter_context(pinned(1))
        uvloop.run(_all(race, entrants, upstream, size))
        uvloop.run(_all_calm(race, entrants, size))
        if ANTIPHON in race.out:
            raise ServerError(f"{ANTIPHON}: {race.out[ANTIPHON]}")
        for one in entrants:
            if one.name not in race.out:
                race.memory_mb[one.name] = one.server.rss_mb
    return race


async def _all(race: Race, entrants: Sequence[Entrant], upstream: Server, size: Size) -> None:
    """Ask all in turn for all kinds, in the other order in every second round; one warms up."""
    requests: dict[tuple[str, str], int] = {}
    for place in range(1 + size.rounds):
        for kind in KINDS:
            for entrant in entrants if place % 2 else reversed(entrants):
                if entrant.name in race.out or (kind.stream and entrant.no_streams):
                    continue
                key = entrant.name, kind.name
                try:
                    if not place:
                        requests[key] = await _requests(entrant, kind, size)
                    settle_s = size.settle_s if kind.connections > 1 else 0.0
                    measured = await _round(entrant, kind, upstream, requests[key], settle_s)
                except (LoadError, AnswerError, OSError, psutil.Error) as error:
                    race.out[entrant.name] = str(error) or f"no end of a round in {MOST_S:.0f} s"
                    continue
                if place:
                    race.rounds[key].append(measured)


async def _all_calm(race: Race, entrants: Sequence[Entrant], size: Size) -> None:
    """Ask each at half of its rate, beside the upstream, which is the first of them."""

    def asking(entrant: Entrant) -> Ask:
        return lambda requests, rate: _ask(entrant, JSON, requests, rate)

    direct, *gateways = entrants
    for _ in range(size.rounds):
        for one in gateways:
            if one.name in race.out:
                continue
            rates = [done.figures.per_second for done in race.of(one.name, JSON)]
            try:
                done = await calm_round(asking(one), asking(direct), rates, size.seconds / 2)
            except (LoadError, OSError) as error:
                race.out[one.name] = str(error) or f"no end of a round in {MOST_S:.0f} s"
                continue
            race.calm[one.name].append(done)


async def _requests(entrant: Entrant, kind: Kind, size: Size) -> int:
    """Return how many requests take about as long as a round is to be."""
    figures = await _ask(entrant, kind, size.first)
    wanted = round(figures.per_second * size.seconds * kind.part)
    return min(MOST_REQUESTS, max(size.first, wanted))


async def _round(
    entrant: Entrant, kind: Kind, upstream: Server, requests: int, settle_s: float
) -> Round:
    passed_on, before = asked(upstream), entrant.cpu_s
    figures = await _ask(entrant, kind, requests)
    await asyncio.sleep(settle_s)
    cpu_us = 1e6 * (entrant.cpu_s - before) / requests
    if (missing := requests - (asked(upstream) - passed_on)) > 0:
        raise AnswerError(f"answered {missing} of {requests} requests without the upstream")
    return Round(figures, cpu_us)


async def _ask(entrant: Entrant, kind: Kind, requests: int, per_second: float = 0.0) -> Figures:
    async with asyncio.timeout(MOST_S):
        return await load(
            HOST,
            entrant.server.port,
            entrant.path,
            dict(entrant.headers),
            entrant.body(stream=kind.stream),
            requests=requests,
            connections=kind.connections,
            stream=kind.stream,
            per_second=per_second,
            expected=b"message_stop" if kind.stream else b"few words.",
        )


def figures_of(race: Race) -> list[Figure]:
    """Return the figures of all who ran to the end."""
    found = [
        figure
        for kind in KINDS
        for name in race.memory_mb
        if race.of(name, kind)
        for figure in _figures(f"{name}: {kind.name}", race.of(name, kind))
    ]
    for name, rounds in _calm(race):
        goal = Goal(most=MOST_ADDED_MS) if name == ANTIPHON else None
        found += calm_figures(name, rounds, goal)
    return found


def _calm(race: Race) -> list[tuple[str, list[Calm]]]:
    return [(name, race.calm[name]) for name in race.memory_mb if name in race.calm]


def _figures(name: str, rounds: Sequence[Round]) -> Iterator[Figure]:
    yield Figure(name, "/s", tuple(one.figures.per_second for one in rounds))
    yield Figure(f"{name}: p50", "ms", tuple(one.figures.p50_ms for one in rounds))
    yield Figure(f"{name}: p99", "ms", tuple(one.figures.p99_ms for one in rounds))
    yield Figure(f"{name}: processor time", "µs", tuple(one.cpu_us for one in rounds))


def show(race: Race) -> None:
    """Print a table for each kind, the quickest first, and what each lacks."""
    for kind in KINDS:
        print(f"\n{kind.name}" + (", 16 connections" if kind.connections > 1 else ""))
        lay_out([HEAD, *rows(race, kind)])
    print("\nJSON at half of the rate of each, 16 connections")
    lay_out([CALM_HEAD, *calm_rows(_calm(race))])
    print("\nwhat each does not do, as it runs here")
    lay_out([("gateway", "memory", "does not"), *_lacks(race)])
    for name, reason in race.out.items():
        print(f"not measured: {name}: {reason}")
    print(f"\n{machine()}")


HEAD = ("gateway", "/s", "of Antiphon's", "p50", "p99", "processor")


def rows(race: Race, kind: Kind) -> list[tuple[str, ...]]:
    """Return a row for each who ran to the end, the quickest first."""
    found = []
    for name in filter(lambda name: race.of(name, kind), race.memory_mb):
        rate, p50, p99, cpu = (one.median for one in _figures(name, race.of(name, kind)))
        ratio = number(race.ratio(name, kind))
        cells = (number(rate), ratio, f"{number(p50)} ms", f"{number(p99)} ms", f"{number(cpu)} µs")
        found.append((rate, (name, *cells)))
    return [row for _, row in sorted(found, reverse=True)]


def _lacks(race: Race) -> Iterator[tuple[str, str, str]]:
    for name, memory in race.memory_mb.items():
        if name != DIRECT:
            yield name, f"{number(memory)} MB", race.lacks[name]


def chosen(names: Sequence[str]) -> list[Peer]:
    """Return the peers of these names; `all` means all, and `none` means none."""
    if "all" in names:
        return list(PEERS.values())
    return [PEERS[name] for name in dict.fromkeys(names) if name != "none"]


def main() -> None:
    """Measure, print, keep."""
    parser = command(__doc__)
    parser.add_argument("--rounds", type=positive, default=Size().rounds)
    parser.add_argument(
        "--peers",
        nargs="+",
        default=["all"],
        choices=[*PEERS, "all", "none"],
        metavar="NAME",
        help=f"who runs beside Antiphon: {', '.join(PEERS)}, all or none",
    )
    options = parser.parse_args()
    race = run(QUICK if options.quick else Size(options.rounds), chosen(options.peers))
    show(race)
    out: Mapping[str, str] = race.out
    keep(figures_of(race), options, not_measured=out, memory_mb=race.memory_mb)


if __name__ == "__main__":
    main()
