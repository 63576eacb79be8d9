"""A local model through Antiphon, beside the bare llama.cpp server in the same rounds.

Both are loaded from the same file with the same settings, and answer the same prompts in turn
(Antiphon first, then last, and so on). To the bare server goes what Antiphon would send it: the
prompt's tokens, made by the same template. Prompts differ in a number at their beginning, so that
no round finds its prompt cached, and digits are one token each, so that all are equally long.
The same texts are read a second time to see what a cached prefix of 1,800 tokens saves.
"""

import asyncio
import statistics
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TypeAlias

import aiohttp
import msgspec
import uvloop

from antiphon.core.prompt import Prompt, Turn
from antiphon.wire.content import TextParam
from benchmarks.answers import Answer, timed
from benchmarks.bare import bare_llama
from benchmarks.report import Figure, Goal, command, finish, positive
from benchmarks.servers import HEADERS, HOST, MESSAGES, Server, antiphon, default_weights

PASSAGE = "The choir sings a line, and the other side of the church answers it. "
QUESTION = "Count from one to one hundred, in words, one number after the other."
WITHIN = 0.05
PREFIX_SENTENCES = 112
"""Of PASSAGE; together they are some 1,800 tokens."""

_NUMBERS = count(100_000)


@dataclass(frozen=True, slots=True)
class Size:
    """How many rounds, of how long answers to how long questions."""

    rounds: int = 3
    sentences: int = 4
    answer_tokens: int = 32
    prefix_rounds: int = 2
    prefix_sentences: int = PREFIX_SENTENCES


QUICK = Size(rounds=1, sentences=1, answer_tokens=4, prefix_rounds=1, prefix_sentences=4)


@dataclass(frozen=True, slots=True)
class Together:
    """What some requests, sent at once, took."""

    first_token_ms: float
    tokens_per_s: float


Ask: TypeAlias = Callable[[str, int], Awaitable[Answer]]


def measure(weights: Path | None, size: Size) -> list[Figure]:
    """Load the model twice and compare."""
    weights = weights or default_weights()
    with tempfile.TemporaryDirectory(prefix="antiphon-bench-") as folder:
        settings = {"ANTIPHON_ENGINE": "llama", "ANTIPHON_MODEL": str(weights)}
        with antiphon(Path(folder), settings) as server:
            return uvloop.run(_measure(server, weights, size))


async def _measure(server: Server, weights: Path, size: Size) -> list[Figure]:
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(timeout=timeout) as session, bare_llama(weights) as llama:

        async def through(prompt: str, tokens: int) -> Answer:
            return await _through(session, server, prompt, tokens)

        async def bare(prompt: str, tokens: int) -> Answer:
            turn = Turn("user", (TextParam(text=prompt),))
            rendered = await llama.render(Prompt((turn,), tokens))
            return await llama.complete(rendered.tokens, tokens)

        figures: list[Figure] = []
        for parallel in (1, 4):
            figures += await _compare(through, bare, parallel, size)
        return figures + await _prefix(through, session, server, size)


async def _compare(through: Ask, bare: Ask, parallel: int, size: Size) -> list[Figure]:
    measured: dict[Ask, list[Together]] = {through: [], bare: []}
    for place in range(1 + size.rounds):
        prompts = [_prompt(size.sentences) for _ in range(parallel)]
        for ask in (through, bare) if place % 2 else (bare, through):
            together = await _ask_all(ask, prompts, size.answer_tokens)
            print(f"round {place}, {parallel} at once: {together}", file=sys.stderr, flush=True)
            if place:  # the first round warms up
                measured[ask].append(together)
    name = f"{parallel} at once" if parallel > 1 else "one request"
    return [
        *_pair(
            f"{name}: time to first token",
            "ms",
            [[one.first_token_ms for one in measured[ask]] for ask in (through, bare)],
            Goal(most=1 + WITHIN),
        ),
        *_pair(
            f"{name}: tokens",
            "/s",
            [[one.tokens_per_s for one in measured[ask]] for ask in (through, bare)],
            Goal(least=1 - WITHIN),
        ),
    ]


def _pair(what: str, unit: str, values: Sequence[Sequence[float]], goal: Goal) -> list[Figure]:
    """Return both sides, and their ratio in every round: the machine is as busy for both."""
    ours, bare = (tuple(side) for side in values)
    ratios = tuple(one / other for one, other in zip(ours, bare, strict=True))
    ratio = statistics.median(ours) / statistics.median(bare)
    return [
        Figure(what, unit, ours, ratio=f"{ratio:.3f} of bare, by medians"),
        Figure(f"{what}, bare llama.cpp", unit, bare),
        Figure(f"{what}, ratio of each round", "times", ratios, goal),
    ]


def _prompt(sentences: int) -> str:
    return f"Number {next(_NUMBERS)}. {PASSAGE * sentences}{QUESTION}"


async def _ask_all(ask: Ask, prompts: Sequence[str], tokens: int) -> Together:
    answers = await asyncio.gather(*(ask(prompt, tokens) for prompt in prompts))
    writing = max(one.ended for one in answers) - min(one.first for one in answers)
    return Together(
        first_token_ms=statistics.median(one.first_ms for one in answers),
        tokens_per_s=sum(map(_tokens, answers)) / writing,
    )


def _tokens(answer: Answer) -> int:
    """Return the tokens of an answer, as either server counts them."""
    tokens = 0
    for event in answer.events:
        told = event.get("usage", {}).get("output_tokens", 0)
        tokens = max(tokens, told, event.get("tokens_predicted", 0))
    return tokens


async def _prefix(
    through: Ask, session: aiohttp.ClientSession, server: Server, size: Size
) -> list[Figure]:
    cold: list[float] = []
    warm: list[float] = []
    tokens = 0
    for _ in range(size.prefix_rounds):
        prefix = f"Number {next(_NUMBERS)}. {PASSAGE * size.prefix_sentences}"
        tokens = await _count(session, server, prefix)
        for ask_for, times in (("Who sings?", cold), ("Who answers?", warm), ("Where?", warm)):
            answer = await through(prefix + ask_for, 2)
            times.append(answer.first_ms)
    ratios = tuple(
        one / statistics.median(warm[2 * place : 2 * place + 2]) for place, one in enumerate(cold)
    )
    return [
        Figure(f"{tokens:,} tokens: time to first token, cold", "ms", tuple(cold)),
        Figure(f"{tokens:,} tokens: the same, prefix cached", "ms", tuple(warm)),
        Figure("cold against cached", "times", ratios, Goal(least=40)),
    ]


async def _count(session: aiohttp.ClientSession, server: Server, prompt: str) -> int:
    body = {"model": "claude-local", "messages": [{"role": "user", "content": prompt}]}
    url = f"http://{HOST}:{server.port}{MESSAGES}/count_tokens"
    async with session.post(url, json=body, headers=HEADERS) as response:
        return int((await response.json())["input_tokens"])


async def _through(
    session: aiohttp.ClientSession, server: Server, prompt: str, tokens: int
) -> Answer:
    body = {
        "model": "claude-local",
        "max_tokens": tokens,
        "temperature": 0,
        "stream": True,
        "messages": [{"role": "user", "content": prompt}],
    }
    url = f"http://{HOST}:{server.port}{MESSAGES}"
    return await timed(
        session.post(url, data=msgspec.json.encode(body), headers=HEADERS),
        said=lambda event: event["type"] == "content_block_delta",
    )


def main() -> None:
    """Measure, print, keep."""
    parser = command(__doc__)
    parser.add_argument("--rounds", type=positive, default=3)
    parser.add_argument("--weights", type=Path, metavar="FILE", help="a GGUF file of your own")
    options = parser.parse_args()
    size = QUICK if options.quick else Size(options.rounds)
    finish(measure(options.weights, size), options)


if __name__ == "__main__":
    main()
