"""How the default model answers when `tool_choice` is `any`: one call, or calls without end.

Each of a hundred questions asks for one thing, and one of the tools that it comes with does it. So
an answer should be one call. The questions and their tools are the same in every run; the answers
are sampled, since the API has no seed. Four questions are asked at once.
"""

import http.client
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.report import Figure, Goal, command, finish
from benchmarks.servers import HEADERS, HOST, MESSAGES, Server, antiphon, default_weights

MAX_TOKENS = 200
ANSWER_S = 120.0
AT_ONCE = 4
COUNT = 100
QUICK = 3
CITIES_OF_AN_OFFER = 5

CITIES = (
    "Paris", "London", "Tokyo", "Cairo", "Lima", "Oslo", "Delhi", "Rome", "Quito", "Seoul",
    "Accra", "Hanoi", "Vienna", "Boston", "Sydney", "Dublin", "Athens", "Havana", "Riga", "Perth",
)  # fmt: skip


class BenchmarkError(Exception):
    """An answer that is no message."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The calls of one answer, each a name with an input, and why it ended."""

    calls: tuple[tuple[str, bytes], ...]
    stop_reason: str

    @property
    def repeats(self) -> bool:
        return len(set(self.calls)) < len(self.calls)


def tool(name: str, description: str, **properties: dict[str, Any]) -> dict[str, Any]:
    """Return a tool that requires all of its properties."""
    schema = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return {"name": name, "description": description, "input_schema": schema}


TEXT = {"type": "string"}
# The tool that does what a question asks for, and the question.
QUESTIONS: tuple[tuple[dict[str, Any], str], ...] = (
    (
        tool(
            "get_weather",
            "Get the weather of a city.",
            city=TEXT,
            unit={"type": "string", "enum": ["C", "F"]},
        ),
        "What is the weather in {}?",
    ),
    (tool("get_time", "Get the local time of a city.", city=TEXT), "What time is it in {}?"),
    (
        tool(
            "find_route",
            "Find a way from one city to another.",
            start=TEXT,
            destination=TEXT,
            by={"type": "string", "enum": ["car", "train", "plane"]},
        ),
        "How do I get from Berlin to {} by train?",
    ),
    (tool("search_news", "Search the news.", query=TEXT), "Find the latest news about {}."),
    (
        tool(
            "set_reminder",
            "Set a reminder.",
            text=TEXT,
            minutes={"type": "integer", "minimum": 1, "maximum": 1440},
        ),
        "Remind me in 20 minutes to call the office in {}.",
    ),
)


def requests(count: int, temperature: float) -> Iterator[dict[str, Any]]:
    """Yield the bodies of requests: the tool of each question, and one to three others.

    Those with the same tools follow one another, so that the tools are read once for all of them.
    """
    for number in range(count):
        offer = number // CITIES_OF_AN_OFFER
        kind, others = offer % len(QUESTIONS), 1 + offer // len(QUESTIONS) % 3
        offered = [QUESTIONS[(kind + k) % len(QUESTIONS)][0] for k in range(1 + others)]
        place = offer % len(offered)
        yield {
            "model": "claude-local",
            "max_tokens": MAX_TOKENS,
            "temperature": temperature,
            # The tool that fits is the first, the second, …
            "tools": offered[-place:] + offered[:-place],
            "tool_choice": {"type": "any"},
            "messages": [
                {"role": "user", "content": QUESTIONS[kind][1].format(CITIES[number % len(CITIES)])}
            ],
        }


def measure(weights: Path | None, count: int, temperature: float) -> list[Figure]:
    """Ask a server with the model, and count its answers of each kind."""
    settings = {
        "ANTIPHON_ENGINE": "llama",
        "ANTIPHON_MODEL": str(weights or default_weights()),
        "ANTIPHON_LLAMA_CONTEXT": "2048",
    }
    found: Counter[str] = Counter()
    with (
        tempfile.TemporaryDirectory(prefix="antiphon-bench-") as folder,
        antiphon(Path(folder), settings) as server,
        ThreadPoolExecutor(AT_ONCE) as pool,
    ):
        answers = pool.map(partial(_ask, server), requests(count, temperature))
        for number, answer in enumerate(answers, start=1):
            found["one call"] += len(answer.calls) == 1
            found["two calls or more"] += len(answer.calls) > 1
            found["an identical call twice"] += answer.repeats
            found["ended by max_tokens"] += answer.stop_reason == "max_tokens"
            print(f"{number} of {count}: {dict(found)}", file=sys.stderr, flush=True)
    goals = {
        "one call": Goal(least=0.9 * count),
        "an identical call twice": Goal(most=0),
        "ended by max_tokens": Goal(most=0),
    }
    return [
        Figure(f"tool_choice any: {what}", f"of {count}", (float(number),), goals.get(what))
        for what, number in found.items()
    ]


def _ask(server: Server, body: dict[str, Any]) -> Answer:
    connection = http.client.HTTPConnection(HOST, server.port, timeout=ANSWER_S)
    try:
        connection.request("POST", MESSAGES, msgspec.json.encode(body), HEADERS)
        response = connection.getresponse()
        text = response.read()
    finally:
        connection.close()
    if response.status != http.HTTPStatus.OK:
        raise BenchmarkError(f"status {response.status}: {text.decode()}")
    message = msgspec.json.decode(text)
    calls = tuple(
        (block["name"], msgspec.json.encode(block["input"], order="sorted"))
        for block in message["content"]
        if block["type"] == "tool_use"
    )
    return Answer(calls, message["stop_reason"])


def main() -> None:
    """Measure, print, keep."""
    parser = command(__doc__)
    parser.add_argument("--weights", type=Path, metavar="FILE", help="a GGUF file of your own")
    parser.add_argument("--temperature", type=float, default=1.0, help="default: 1, as of the API")
    options = parser.parse_args()
    count = QUICK if options.quick else COUNT
    finish(measure(options.weights, count, options.temperature), options)


if __name__ == "__main__":
    main()
