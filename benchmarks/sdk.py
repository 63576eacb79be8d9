"""The Python SDK beside the official one: `anthropic` of the package index, in the same rounds.

Each task of each SDK is done in a process of its own, against a constant upstream in another one.
Processor time says what an SDK costs: what is around it is the same for both, and so is what this
machine does besides. Rounds alternate between the two.
"""

import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.report import Figure, Goal, command, finish, positive
from benchmarks.sdk_worker import Cost
from benchmarks.servers import started

SDKS: Final = ("antiphon", "anthropic")
LONGEST_S: Final = 300.0
PIECES: Final = 10
"""Pieces of text of a short stream; a long one has so many times `Size.pieces`."""

# No other module is imported before, so all that an SDK needs is counted.
IMPORT: Final = """
import sys, time
def memory():
    # The largest size that `resource` tells is that of the parent before the program began.
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4096 / 1e6
before, modules = memory(), len(sys.modules)
wall, cpu = time.perf_counter(), time.process_time()
sdk = __import__(sys.argv[1])
if sys.argv[2] == "ready":
    sdk.Client(api_key="k", base_url="http://127.0.0.1:1").messages.create
cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
print(cpu * 1000, wall * 1000, memory() - before, len(sys.modules) - modules)
"""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is done in each of `rounds`."""

    rounds: int = 5
    calls: int = 1000
    streams: int = 2
    pieces: int = 2000
    concurrent_calls: int = 1000
    concurrent_streams: int = 2000


QUICK: Final = Size(
    rounds=1, calls=20, streams=1, pieces=10, concurrent_calls=20, concurrent_streams=20
)


@dataclass(frozen=True, slots=True)
class Task:
    """A task of the worker: how it is called in the table, and what one thing of it is."""

    name: str
    what: str
    long: bool = False


TASKS: Final = (
    Task("call", "call"),
    Task("async_call", "async call"),
    Task("stream", "event of a stream", long=True),
    Task("text_stream", "piece of a text stream", long=True),
    Task("async_stream", "event of an async stream", long=True),
    Task("concurrent_calls", "call of many at once"),
    Task("concurrent_streams", "short stream of many at once"),
)


def measure(size: Size) -> list[Figure]:
    """Run all rounds and return their figures."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="antiphon-bench-")))
        module = (sys.executable, "-m", "benchmarks.upstream")
        short = stack.enter_context(started(module, folder / "short.log", place=1))
        times = str(size.pieces)
        long = stack.enter_context(started((*module, times), folder / "long.log", place=1))
        imports: dict[tuple[str, str], list[list[float]]] = defaultdict(list)
        costs: dict[tuple[str, Task], list[Cost]] = defaultdict(list)
        for _ in range(size.rounds):
            for sdk in SDKS:
                for when in ("import", "ready"):
                    imports[sdk, when].append(_imported(sdk, when))
            for task in TASKS:
                url = f"http://127.0.0.1:{(long if task.long else short).port}"
                for sdk in SDKS:
                    costs[sdk, task].append(_cost(sdk, task, url, _count(task, size)))
    return [*_import_figures(imports), *_files(), *_task_figures(costs)]


def _count(task: Task, size: Size) -> int:
    if task.long:
        return size.streams
    return {
        "concurrent_calls": size.concurrent_calls,
        "concurrent_streams": size.concurrent_streams,
    }.get(task.name, size.calls)


def _run(*arguments: str) -> bytes:
    ran = subprocess.run(
        (sys.executable, *arguments), capture_output=True, check=False, timeout=LONGEST_S
    )
    if ran.returncode:
        raise SystemExit(f"{' '.join(arguments[-4:])}:\n{ran.stderr.decode(errors='replace')}")
    return ran.stdout


def _imported(sdk: str, when: str) -> list[float]:
    return [float(one) for one in _run("-c", IMPORT, sdk, when).split()]


def _cost(sdk: str, task: Task, url: str, count: int) -> Cost:
    printed = _run("-m", "benchmarks.sdk_worker", sdk, task.name, url, str(count))
    return msgspec.json.decode(printed, type=Cost)


def _import_figures(imports: dict[tuple[str, str], list[list[float]]]) -> list[Figure]:
    figures = []
    for when, what in (("import", "import"), ("ready", "import and first client")):
        for place, (measured, unit, most) in enumerate(
            (("processor", "ms", 60.0), ("wall", "ms", None), ("memory", "MB", 12.0))
        ):
            ours, theirs = (
                Figure(
                    f"{sdk}: {what}, {measured}",
                    unit,
                    tuple(round_[place] for round_ in imports[sdk, when]),
                    Goal(most=most) if most and sdk == SDKS[0] and when == "import" else None,
                )
                for sdk in SDKS
            )
            figures += _side_by_side(ours, theirs)
    return figures


def _files() -> list[Figure]:
    """Count the Python files that an SDK brings, without those that it depends on."""
    counts = []
    for sdk in SDKS:
        place = Path(str(_run("-c", f"import {sdk}; print({sdk}.__file__)"), "utf-8").strip())
        files = sum(name.endswith(".py") for _, _, names in os.walk(place.parent) for name in names)
        counts.append(Figure(f"{sdk}: Python files", "files", (float(files),)))
    return _side_by_side(*counts)


def _task_figures(costs: dict[tuple[str, Task], list[Cost]]) -> list[Figure]:
    figures = []
    for task in TASKS:
        ours, theirs = (
            Figure(
                f"{sdk}: {task.what}",
                "µs of processor",
                tuple(1e6 * cost.cpu_s / cost.things for cost in costs[sdk, task]),
            )
            for sdk in SDKS
        )
        figures += _side_by_side(ours, theirs)
        if task.name.startswith("concurrent"):
            figures += [
                Figure(
                    f"{sdk}: {task.what}, all of them",
                    "s",
                    tuple(cost.wall_s for cost in costs[sdk, task]),
                )
                for sdk in SDKS
            ]
    return figures


def _side_by_side(ours: Figure, theirs: Figure) -> list[Figure]:
    times = f"{theirs.median / max(ours.median, 1e-9):.1f} times less"
    return [Figure(ours.what, ours.unit, ours.values, ours.goal, times), theirs]


def main() -> None:
    """Measure, print, keep."""
    parser = command(__doc__)
    parser.add_argument("--rounds", type=positive, metavar="N", help="rounds of all tasks")
    options = parser.parse_args()
    size = QUICK if options.quick else Size()
    if options.rounds:
        size = Size(rounds=options.rounds)
    finish(measure(size), options)


if __name__ == "__main__":
    main()
