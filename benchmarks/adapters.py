"""Antiphon in front of a constant upstream, beside that upstream itself in the same rounds.

Antiphon has the first core; upstream and load share the second, as a client and a model's server
would leave Antiphon its own. Each prompt is counted by the upstream first, and each answer is
streamed from it, for callers who want JSON too.
"""

import tempfile
from collections import defaultdict
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from sys import executable

import uvloop

from benchmarks.load import Figures, load
from benchmarks.report import Figure, Goal, command, finish, share
from benchmarks.servers import HEADERS, HOST, MESSAGES, antiphon, pinned, request, started

GOALS = {("messages_api", False): Goal(least=2000), ("messages_api", True): Goal(least=400)}
PATHS = {"messages_api": MESSAGES, "chat_completions": "/v1/chat/completions"}


@dataclass(frozen=True, slots=True)
class Size:
    """How much is asked for: in each of `rounds`, so many answers of each kind."""

    rounds: int = 5
    requests: int = 800


QUICK = Size(rounds=1, requests=48)


@dataclass(frozen=True, slots=True)
class Kind:
    """One engine, asked for JSON or for a stream; `estimates` spares it the count upstream."""

    engine: str
    stream: bool
    estimates: bool = False

    @property
    def model(self) -> str:
        return f"{self.engine}-{'estimate' if self.estimates else 'upstream'}"

    @property
    def name(self) -> str:
        how = ", estimated count" if self.estimates else ""
        return f"{self.engine}{how}: {'streams' if self.stream else 'JSON'}"

    @property
    def body(self) -> bytes:
        return request("Hello", stream=self.stream).replace(b"claude-local", self.model.encode())


KINDS = tuple(
    Kind(engine, stream, estimates)
    for engine in PATHS
    for estimates in (False, True)
    for stream in (False, True)
)


def settings(port: int) -> str:
    """Return a file that serves each engine on the upstream at `port`."""
    return "\n".join(
        f'[[models]]\nid = "{kind.model}"\nengine = "{kind.engine}"\n[models.options]\n'
        f'url = "http://{HOST}:{port}"\nmodel = "constant"\ncontext_tokens = 100000\n'
        f'count = "{"estimate" if kind.estimates else "upstream"}"\n'
        for kind in KINDS
        if kind.stream
    )


def measure(size: Size) -> list[Figure]:
    """Run all rounds and return their figures."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="antiphon-bench-")))
        module = (executable, "-m", "benchmarks.upstream")
        upstream = stack.enter_context(started(module, folder / "upstream.log", place=1))
        config = folder / "antiphon.toml"
        config.write_text(settings(upstream.port), encoding="utf-8")
        server = stack.enter_context(antiphon(folder, {"ANTIPHON_CONFIG": str(config)}, place=0))
        stack.enter_context(pinned(1))
        ports = {"antiphon": server.port, "upstream": upstream.port}
        rounds = uvloop.run(_all(ports, size))
    return [
        figure
        for kind in KINDS
        for figure in _figures(kind, rounds["antiphon", kind], rounds["upstream", kind])
    ]


def _figures(kind: Kind, rounds: list[Figures], bare: list[Figures]) -> list[Figure]:
    goal = None if kind.estimates else GOALS.get((kind.engine, kind.stream))
    itself = Figure(f"{kind.name}: upstream itself", "/s", tuple(one.per_second for one in bare))
    rate = Figure(kind.name, "/s", tuple(one.per_second for one in rounds), goal)
    added = tuple(
        one.first_byte_p50_ms - other.first_byte_p50_ms
        for one, other in zip(rounds, bare, strict=True)
    )
    ratio = share(rate, itself, "upstream")
    return [
        Figure(rate.what, "/s", rate.values, goal, ratio),
        itself,
        Figure(f"{kind.name}: first byte, 16 at once, added", "ms", added),
    ]


async def _all(ports: Mapping[str, int], size: Size) -> dict[tuple[str, Kind], list[Figures]]:
    """Ask for all kinds in turn, round after round; the first one warms up."""
    rounds: dict[tuple[str, Kind], list[Figures]] = defaultdict(list)
    for place in range(1 + size.rounds):
        for kind in KINDS:
            for name, port in ports.items():
                figures = await _round(name, port, kind, size.requests)
                if place:
                    rounds[name, kind].append(figures)
    return rounds


async def _round(name: str, port: int, kind: Kind, requests: int) -> Figures:
    is_upstream = name == "upstream"
    path = PATHS[kind.engine] if is_upstream else MESSAGES
    ends = b"[DONE]" if is_upstream and kind.engine == "chat_completions" else b"message_stop"
    return await load(
        HOST,
        port,
        path,
        HEADERS,
        kind.body,
        requests=requests,
        stream=kind.stream,
        expected=ends if kind.stream else b"few words.",
    )


def main() -> None:
    """Measure, print, keep."""
    parser = command(__doc__)
    options = parser.parse_args()
    finish(measure(QUICK if options.quick else Size()), options)


if __name__ == "__main__":
    main()
