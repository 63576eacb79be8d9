"""What a server for tests costs: its start, its end, a first and a later request in process."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import astuple, dataclass

from antiphon import testing
from antiphon.testing import Server
from antiphon.transport.base import HttpRequest
from benchmarks.report import Figure, Goal, command, finish, positive

ROUNDS, QUICK = 100, 5
REQUESTS = 20
BODY = json.dumps(
    {"model": "claude-x", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
).encode()
FIRST = """
import time
began, used = time.perf_counter(), time.process_time()
from antiphon import testing
with testing.server():
    print(time.perf_counter() - began, time.process_time() - used)
"""


@dataclass(frozen=True, slots=True)
class Life:
    """One server, from its start to its end; milliseconds."""

    start_ms: float
    start_cpu_ms: float
    first_ms: float
    later_ms: float
    later_cpu_ms: float
    end_ms: float


def measure(rounds: int = ROUNDS) -> list[Figure]:
    """Start servers one after the other in this process; and one each in fresh processes."""
    lives = [_life() for _ in range(1 + rounds)][1:]
    columns = list(zip(*map(astuple, lives), strict=True))
    names = (
        ("start", Goal(most=20)),
        ("start: processor time", None),
        ("first request", None),
        ("later request", None),
        ("later request: processor time", None),
        ("end", None),
    )
    figures = [
        Figure(what, "ms", tuple(values), goal)
        for (what, goal), values in zip(names, columns, strict=True)
    ]
    fresh = list(zip(*(_first_of_a_process() for _ in range(min(rounds, 5))), strict=True))
    for what, values in zip(("", ": processor time"), fresh, strict=True):
        figures.append(Figure(f"import and first start of a process{what}", "s", tuple(values)))
    return figures


def _life() -> Life:
    server = testing.server()
    began, used = time.perf_counter(), time.process_time()
    with server:
        ready, ready_cpu = time.perf_counter(), time.process_time()
        spans = list(_asked(server))
        closing = time.perf_counter()
    ended = time.perf_counter()
    walls, cpus = ([span[place] for span in spans] for place in (0, 1))
    return Life(
        start_ms=1000 * (ready - began),
        start_cpu_ms=1000 * (ready_cpu - used),
        first_ms=1000 * walls[0],
        later_ms=1000 * sum(walls[1:]) / len(walls[1:]),
        later_cpu_ms=1000 * sum(cpus[1:]) / len(cpus[1:]),
        end_ms=1000 * (ended - closing),
    )


def _asked(server: Server) -> Iterator[tuple[float, float]]:
    """Send requests one after the other; yield the seconds of each, and those of the processor."""
    transport = server.transport()
    sent = HttpRequest(
        method="POST",
        url=f"{server.base_url}/v1/messages",
        headers=(("x-api-key", server.key), ("anthropic-version", "2023-06-01")),
        body=BODY,
    )
    for _ in range(REQUESTS):
        began, used = time.perf_counter(), time.process_time()
        answer = transport.open(sent, connect_timeout=None, timeout=10)
        if answer.status != 200 or b'"end_turn"' not in answer.read(10):
            raise SystemExit("a wrong answer")
        yield time.perf_counter() - began, time.process_time() - used


def _first_of_a_process() -> tuple[float, float]:
    told = subprocess.check_output([sys.executable, "-c", FIRST], text=True).split()
    return float(told[0]), float(told[1])


def main() -> None:
    """Measure, print, keep."""
    parser = command(__doc__)
    parser.add_argument("--rounds", type=positive, default=ROUNDS)
    options = parser.parse_args()
    finish(measure(QUICK if options.quick else options.rounds), options)


if __name__ == "__main__":
    main()
