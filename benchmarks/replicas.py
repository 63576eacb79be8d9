"""How much of prompts two real replicas find again: by the rank of a prefix, and in turns.

Two servers run the default model on llama.cpp. Conversations of their own, each with a marked
system prompt, grow turn by turn and are mixed at random. In turns every request goes to the other
server, as a plain load balancer sends it; by prefix they go through a third server, which has the
two as engines of one model. Every way begins with empty caches. What was found is what the usage of
the answers says; `benchmarks.affinity` simulates more replicas.
"""

import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from threading import Lock
from typing import Any

from antiphon import Client
from benchmarks.report import Figure, command, finish, positive
from benchmarks.servers import API_KEY, HOST, Server, antiphon, default_weights

AT_ONCE = 2
MODEL = "claude-local"
WORDS = [
    "river",
    "stone",
    "cloud",
    "paper",
    "green",
    "quiet",
    "seven",
    "lamp",
    "window",
    "north",
    "salt",
    "bread",
    "engine",
    "glass",
]


@dataclass(frozen=True, slots=True)
class Size:
    """How much is asked: conversations with a system prompt of so many words, and their turns."""

    rounds: int = 3
    conversations: int = 8
    turns: int = 5
    words: int = 900


QUICK = Size(rounds=1, conversations=2, turns=2, words=120)


@dataclass(slots=True)
class Talk:
    """A conversation so far. Only one request of it runs at a time."""

    system: str
    messages: list[dict[str, Any]] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)

    def body(self) -> dict[str, Any]:
        mark = {"type": "ephemeral"}
        return {
            "model": MODEL,
            "max_tokens": 8,
            "temperature": 0,
            "system": [{"type": "text", "text": self.system, "cache_control": mark}],
            "messages": self.messages,
        }


@dataclass(slots=True)
class Found:
    """What one way found: tokens of prompts, those of them that were read from caches, seconds."""

    tokens: int = 0
    cached: int = 0
    seconds: float = 0.0


def measure(weights: Path | None, size: Size) -> list[Figure]:
    """Play the same conversations in both ways in each round."""
    weights = weights or default_weights()
    ways: dict[str, list[Found]] = {"in turns": [], "by prefix": []}
    for place in range(size.rounds):
        # Each round begins with the other way.
        for name in sorted(ways, reverse=bool(place % 2)):
            with replicas(weights) as servers:
                ways[name].append(_play(servers, size, place, by_prefix=name == "by prefix"))
    table = []
    for name, found in ways.items():
        table += [
            Figure(f"{name}: found", "%", tuple(100 * one.cached / one.tokens for one in found)),
            Figure(f"{name}: all answers", "s", tuple(one.seconds for one in found)),
        ]
    return table


@contextmanager
def replicas(weights: Path) -> Iterator[tuple[Server, Server]]:
    """Run two servers on the model, with data folders of their own."""
    with ExitStack() as stack:
        servers = []
        for _ in range(2):
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="antiphon-bench-"))
            settings = {
                "ANTIPHON_ENGINE": "llama",
                "ANTIPHON_MODEL": str(weights),
                "ANTIPHON_LLAMA_THREADS": "1",
                "ANTIPHON_CACHE_MINIMUM_TOKENS": "64",
            }
            servers.append(stack.enter_context(antiphon(Path(folder), settings)))
        yield servers[0], servers[1]


@contextmanager
def _front(servers: Sequence[Server]) -> Iterator[Server]:
    """Run a server that has the others as engines of one model."""
    engines = "".join(
        f"""
[[models.engines]]
engine = "messages_api"
[models.engines.options]
url = "http://{HOST}:{server.port}"
api_key = "{API_KEY}"
model = "{MODEL}"
"""
        for server in servers
    )
    with tempfile.TemporaryDirectory(prefix="antiphon-bench-") as folder:
        config = Path(folder, "antiphon.toml")
        config.write_text(f'[[models]]\nid = "{MODEL}"\n{engines}', encoding="utf-8")
        with antiphon(Path(folder), {"ANTIPHON_CONFIG": str(config)}) as server:
            yield server


def _play(servers: tuple[Server, Server], size: Size, seed: int, *, by_prefix: bool) -> Found:
    """Ask every turn of every conversation, a few at once, in an order that the seed decides."""
    draw = random.Random(seed)  # noqa: S311 - traffic
    talks = [
        Talk(f"{number} " + " ".join(draw.choices(WORDS, k=size.words)))
        for number in range(size.conversations)
    ]
    order = [talk for talk in talks for _ in range(size.turns)]
    draw.shuffle(order)
    found, lock, turn = Found(), Lock(), count()
    with ExitStack() as stack:
        if by_prefix:
            servers = (stack.enter_context(_front(servers)),) * 2
        clients = [Client(base_url=f"http://{HOST}:{one.port}", api_key=API_KEY) for one in servers]

        def ask(talk: Talk) -> None:
            with talk.lock:
                talk.messages.append({"role": "user", "content": "Go on with the list."})
                with lock:
                    client = clients[next(turn) % 2]
                answer = client.post("/v1/messages", cast_to=dict, body=talk.body(), timeout=300)
                talk.messages.append({"role": "assistant", "content": answer["content"]})
            usage = answer["usage"]
            cached = usage["cache_read_input_tokens"]
            with lock:
                found.cached += cached
                found.tokens += cached + usage["cache_creation_input_tokens"]
                found.tokens += usage["input_tokens"]

        began = time.perf_counter()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(ask, order))
        found.seconds = time.perf_counter() - began
        for client in clients:
            client.close()
    return found


def main() -> None:
    """Measure, print, keep."""
    parser = command(__doc__)
    parser.add_argument("--weights", type=Path, help="a GGUF file; default: the default model")
    parser.add_argument("--rounds", type=positive, default=3)
    options = parser.parse_args()
    size = QUICK if options.quick else Size(rounds=options.rounds)
    finish(measure(options.weights, size), options)


if __name__ == "__main__":
    main()
