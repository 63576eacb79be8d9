"""Antiphon in front of a constant upstream, beside that upstream itself in the same rounds.

Antiphon has the first core; upstream and load share the second, as a client and a model's server
would leave Antiphon its own. Each answer is streamed from the upstream, for callers who want JSON
too; each prompt is counted by the upstream first, unless it is estimated. At the end many requests
of all kinds show whether memory stays flat.
"""

import tempfile
from collections import defaultdict
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from sys import executable

import uvloop

from benchmarks.load import Figures, load
from benchmarks.report import Figure, Goal, command, finish, positive, share
from benchmarks.servers import (
    HEADERS,
    HOST,
    MESSAGES,
    Server,
    antiphon,
    pinned,
    request,
    started,
)

GOALS = {False: Goal(least=2000), True: Goal(least=400)}
CHAT = "/v1/chat/completions"
TENTHS = 10


@dataclass(frozen=True, slots=True)
class Size:
    """How much is asked for: in each of `rounds`, so many answers of each kind.

    `alone` is how many are asked one at a time, `memory` how many of all kinds at the end.
    """

    rounds: int = 5
    requests: int = 800
    alone: int = 100
    memory: int = 200_000


QUICK = Size(rounds=1, requests=48, alone=8, memory=640)


@dataclass(frozen=True, slots=True)
class Kind:
    """One served model, asked for JSON or for a stream."""

    model: str
    stream: bool

    @property
    def name(self) -> str:
        return f"{self.model}: {'streams' if self.stream else 'JSON'}"

    @property
    def body(self) -> bytes:
        return request("Hello", stream=self.stream).replace(b"claude-local", self.model.encode())

    @property
    def path(self) -> str:
        """Where the upstream is asked for the same."""
        return CHAT if self.model.startswith("chat_completions") else MESSAGES


MODELS = (
    "messages_api",
    "messages_api, estimated",
    "two messages_api, estimated",
    "chat_completions",
    "chat_completions, estimated",
)
KINDS = tuple(Kind(model, stream) for model in MODELS for stream in (False, True))


def settings(port: int) -> str:
    """Return a file that serves each model on the upstream at `port`."""
    server = f'url = "http://{HOST}:{port}", model = "constant", context_tokens = 100000'
    tables: list[str] = []
    for model in MODELS:
        engine = model.partition(", ")[0].removeprefix("two ")
        count = "estimate" if model.endswith("estimated") else "upstream"
        runs = f'engine = "{engine}"\noptions = {{ {server}, count = "{count}" }}\n'
        tables.append(f'[[models]]\nid = "{model}"\n')
        tables.append(2 * f"[[models.engines]]\n{runs}" if model.startswith("two ") else runs)
    return "".join(tables)


@dataclass(frozen=True, slots=True)
class Round:
    """What one round of one kind measured: many at once, and one at a time."""

    busy: Figures
    alone: Figures


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
        figures = [
            figure
            for kind in KINDS
            for figure in _figures(kind, rounds["antiphon", kind], rounds["upstream", kind])
        ]
        return figures + _memory(server, size.memory)


def _memory(server: Server, requests: int) -> list[Figure]:
    """Send requests of all kinds, and look at the memory after each tenth of them."""
    share_of_kind = requests // TENTHS // len(KINDS)
    sizes = [server.rss_mb]
    for _ in range(TENTHS):
        for kind in KINDS:
            uvloop.run(_ask("antiphon", server.port, kind, share_of_kind))
        sizes.append(server.rss_mb)
    sent = share_of_kind * len(KINDS) * TENTHS
    half = TENTHS // 2
    growth = max(sizes[half + 1 :]) - max(sizes[1 : half + 1])
    ends = f"{sizes[0]:.1f} MB before, {sizes[-1]:.1f} MB after"
    return [
        Figure(f"memory over {sent:,} requests of all kinds", "MB", tuple(sizes), ratio=ends),
        Figure("growth from the first half to the second", "MB", (growth,), Goal(most=1)),
    ]


def _figures(kind: Kind, rounds: list[Round], bare: list[Round]) -> list[Figure]:
    rate = Figure(kind.name, "/s", tuple(one.busy.per_second for one in rounds))
    itself = Figure(
        f"{kind.name}: upstream itself", "/s", tuple(one.busy.per_second for one in bare)
    )
    added = tuple(
        one.alone.first_byte_p50_ms - other.alone.first_byte_p50_ms
        for one, other in zip(rounds, bare, strict=True)
    )
    return [
        replace(rate, goal=GOALS[kind.stream], ratio=share(rate, itself, "upstream")),
        itself,
        Figure(f"{kind.name}: first byte, one at a time, added", "ms", added),
    ]


async def _all(ports: Mapping[str, int], size: Size) -> dict[tuple[str, Kind], list[Round]]:
    """Ask for all kinds in turn, round after round; the first one warms up."""
    rounds: dict[tuple[str, Kind], list[Round]] = defaultdict(list)
    for place in range(1 + size.rounds):
        for kind in KINDS:
            for name, port in ports.items():
                busy = await _ask(name, port, kind, size.requests)
                alone = await _ask(name, port, kind, size.alone, connections=1)
                if place:
                    rounds[name, kind].append(Round(busy, alone))
    return rounds


async def _ask(
    name: str, port: int, kind: Kind, requests: int, *, connections: int = 16
) -> Figures:
    is_upstream = name == "upstream"
    ends = b"[DONE]" if is_upstream and kind.path == CHAT else b"message_stop"
    return await load(
        HOST,
        port,
        kind.path if is_upstream else MESSAGES,
        HEADERS,
        kind.body,
        requests=requests,
        connections=connections,
        stream=kind.stream,
        expected=ends if kind.stream else b"few words.",
    )


def main() -> None:
    """Measure, print, keep."""
    parser = command(__doc__)
    parser.add_argument(
        "-n", "--requests", type=positive, default=Size().memory, help="for the memory"
    )
    options = parser.parse_args()
    finish(measure(QUICK if options.quick else Size(memory=options.requests)), options)


if __name__ == "__main__":
    main()
