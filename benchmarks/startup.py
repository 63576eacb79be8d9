"""What a start costs: importing the server, being ready, and memory without a model.

`--why` lists the slowest imports instead.
"""

import subprocess
import sys

import uvloop

from benchmarks.load import load
from benchmarks.report import Figure, Goal, command, finish
from benchmarks.servers import HEADERS, HOST, MESSAGES, environment, pinned, request, scripted

IMPORTS = "import antiphon.cli, antiphon.server.run, antiphon.service.platform"
TIMED = f"import time; began = time.perf_counter(); {IMPORTS}; print(time.perf_counter() - began)"
SLOWEST = 25


def measure(rounds: int = 5, requests: int = 5000) -> list[Figure]:
    """Import and start, each time in a fresh process."""
    _import_s()  # writes the bytecode
    imports = tuple(_import_s() for _ in range(rounds))
    starts, resting, busy = zip(*(_start(requests) for _ in range(rounds)), strict=True)
    return [
        Figure("import of the whole server", "s", imports, Goal(most=0.3)),
        Figure("start to ready, scripted engine", "s", starts, Goal(most=1.5)),
        Figure("memory when ready", "MB", resting, Goal(most=100)),
        Figure(f"memory after {requests:,} requests", "MB", busy, Goal(most=100)),
    ]


def _import_s() -> float:
    with pinned(0):
        return float(_python("-c", TIMED).stdout)


def _python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (sys.executable, *arguments), env=environment(), capture_output=True, text=True, check=True
    )


def _start(requests: int) -> tuple[float, float, float]:
    with scripted() as server, pinned(1):
        resting = server.rss_mb
        uvloop.run(load(HOST, server.port, MESSAGES, HEADERS, request("Hello"), requests=requests))
        return server.ready_s, resting, server.rss_mb


def why() -> None:
    """Print which imports take longest: by themselves, and with all that they import."""
    _import_s()
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
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--why", action="store_true", help="list the slowest imports, and stop")
    options = parser.parse_args()
    if options.why:
        why()
        return
    finish(measure(1, 64) if options.quick else measure(options.rounds), options)


if __name__ == "__main__":
    main()
