"""What a start costs: importing the server, being ready, a command, memory without a model.

`--beside` measures another checkout in the same rounds; `--why` lists the slowest imports instead.
"""

import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from benchmarks.load import load
from benchmarks.report import Figure, Goal, command, finish, positive, share
from benchmarks.servers import HEADERS, HOST, MESSAGES, environment, pinned, request, scripted

IMPORTS = "import antiphon.cli, antiphon.server.run, antiphon.service.platform"
TIMED = f"""
import time
began, used = time.perf_counter(), time.process_time()
{IMPORTS}
print(time.perf_counter() - began, time.process_time() - used)
"""
SLOWEST = 25
HERE = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Start:
    """One start of one checkout: seconds, how many of them are its own, and megabytes.

    Processor time says more than seconds where others work on the machine.
    """

    import_s: float
    import_cpu_s: float
    ready_s: float
    ready_cpu_s: float
    stop_s: float
    help_s: float
    help_cpu_s: float
    command_s: float
    command_cpu_s: float
    resting_mb: float
    busy_mb: float


def measure(rounds: int = 5, requests: int = 5000, beside: Path | None = None) -> list[Figure]:
    """Import and start, each time in a fresh process; a second checkout takes turns with this."""
    checkouts = [HERE] if beside is None else [HERE, beside]
    # The first round writes the bytecode.
    starts = [[_start(one, requests) for one in checkouts] for _ in range(1 + rounds)][1:]
    here, *others = (_figures(taken, requests) for taken in zip(*starts, strict=True))
    for other in others:
        pairs = zip(here, other, strict=True)
        here = [replace(ours, ratio=share(ours, its, "the other")) for ours, its in pairs]
        here += [replace(its, what=f"{its.what}: the other", goal=None) for its in other]
    return here


def _figures(starts: Sequence[Start], requests: int) -> list[Figure]:
    figures = (
        ("import of the whole server", "s", Goal(most=0.3)),
        ("import: processor time", "s", None),
        ("start to ready, scripted engine", "s", Goal(most=1.5)),
        ("start to ready: processor time", "s", None),
        ("SIGTERM to the end, no request", "s", Goal(most=0.1)),
        ("antiphon --help", "s", None),
        ("antiphon --help: processor time", "s", None),
        ("antiphon keys list", "s", None),
        ("antiphon keys list: processor time", "s", None),
        ("memory when ready", "MB", Goal(most=100)),
        (f"memory after {requests:,} requests", "MB", Goal(most=100)),
    )
    values = zip(*(astuple(one) for one in starts), strict=True)
    return [
        Figure(what, unit, measured, goal)
        for (what, unit, goal), measured in zip(figures, values, strict=True)
    ]


def _start(checkout: Path, requests: int) -> Start:
    source = {"PYTHONPATH": str(checkout / "src")}
    with pinned(0):
        import_s, import_cpu_s = map(float, _python("-c", TIMED, **source).stdout.split())
    with scripted(**source) as server, pinned(1):
        ready_cpu_s, resting = server.cpu_s, server.rss_mb
        uvloop.run(load(HOST, server.port, MESSAGES, HEADERS, request("Hello"), requests=requests))
        busy = server.rss_mb
        stop_s = server.stop()
    with TemporaryDirectory(prefix="antiphon-bench-") as folder:
        source |= {"ANTIPHON_DATA_DIR": folder}
        _command("keys", "create", "first", **source)
        help_s, help_cpu_s = _command("--help", **source)
        command_s, command_cpu_s = _command("keys", "list", **source)
    return Start(
        import_s,
        import_cpu_s,
        server.ready_s,
        ready_cpu_s,
        stop_s,
        help_s,
        help_cpu_s,
        command_s,
        command_cpu_s,
        resting,
        busy,
    )


def _command(*words: str, **variables: str) -> tuple[float, float]:
    """Run a command; return the seconds that it took, and how many of them are its own."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    with pinned(0):
        _python("-m", "antiphon.cli", *words, **variables)
    took = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _python(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (sys.executable, *arguments),
        env={**environment(), **variables},
        capture_output=True,
        text=True,
        check=True,
    )


def why() -> None:
    """Print which imports take longest: by themselves, and with all that they import."""
    _python("-c", IMPORTS)
    lines = _python("-X", "importtime", "-c", IMPORTS).stderr.splitlines()
    rows = [line.removeprefix("import time:").split("|") for line in lines[1:]]
    times = [(int(own), int(whole), name) for own, whole, name in rows if own.strip().isdecimal()]
    print("  own ms  whole ms  module")
    for own, whole, name in sorted(times, reverse=True)[:SLOWEST]:
        print(f"{own / 1000:8.1f}  {whole / 1000:8.1f}  {name.strip()}")
    print(f"{sum(own for own, _, _ in times) / 1000:8.1f}            all {len(times)} modules")


def main() -> None:
    """Measure, print, keep."""
    parser = command(__doc__)
    parser.add_argument("--rounds", type=positive, default=5)
    parser.add_argument("--beside", type=Path, metavar="DIR", help="another checkout, in turn")
    parser.add_argument("--why", action="store_true", help="list the slowest imports, and stop")
    options = parser.parse_args()
    if options.why:
        why()
        return
    rounds, requests = (1, 64) if options.quick else (options.rounds, 5000)
    finish(measure(rounds, requests, options.beside), options)


if __name__ == "__main__":
    main()
