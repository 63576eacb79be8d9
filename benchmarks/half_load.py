"""What a gateway of the race adds to the time of an answer at half of the rate that it can do.

A gateway that is asked as often as it can answer is never without a queue, so its times tell of its
rate. Here answers are asked for at even times, and the upstream is asked directly at the same
times beside it: what a caller waits more is the difference of the same round.
"""

import statistics
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from benchmarks.load import Figures
from benchmarks.report import Figure, Goal, number

MOST_ADDED_MS = 1.0
LEAST = 100
"""The fewest requests of which one hundredth says something."""

Ask = Callable[[int, float], Awaitable[Figures]]
"""Sends so many requests, so many a second."""


@dataclass(frozen=True, slots=True)
class Calm:
    """One round: the gateway, and the upstream itself."""

    per_second: float
    gateway: Figures
    direct: Figures

    @property
    def added_p50_ms(self) -> float:
        return self.gateway.p50_ms - self.direct.p50_ms

    @property
    def added_p99_ms(self) -> float:
        return self.gateway.p99_ms - self.direct.p99_ms


async def calm_round(gateway: Ask, direct: Ask, rates: Iterable[float], seconds: float) -> Calm:
    """Ask both at half of the median of the rates that the gateway has shown."""
    per_second = statistics.median(rates) / 2
    requests = max(LEAST, round(per_second * seconds))
    beside = await direct(requests, per_second)
    return Calm(per_second, await gateway(requests, per_second), beside)


def calm_figures(name: str, rounds: Sequence[Calm], goal: Goal | None) -> Iterator[Figure]:
    """Return the figures of a gateway; `goal` is for what it adds to p99."""
    head = f"{name}: JSON at half load"
    yield Figure(head, "/s", tuple(one.per_second for one in rounds))
    yield Figure(f"{head}: p50", "ms", tuple(one.gateway.p50_ms for one in rounds))
    yield Figure(f"{head}: p99", "ms", tuple(one.gateway.p99_ms for one in rounds))
    yield Figure(f"{head}: added to p50", "ms", tuple(one.added_p50_ms for one in rounds))
    yield Figure(f"{head}: added to p99", "ms", tuple(one.added_p99_ms for one in rounds), goal)


HEAD = ("gateway", "/s", "p50", "p99", "added to p50", "added to p99")


def calm_rows(rounds: Iterable[tuple[str, Sequence[Calm]]]) -> list[tuple[str, ...]]:
    """Return a row for each gateway, the one first that adds least to p99."""
    found = []
    for name, some in rounds:
        rate, *times = (figure.median for figure in calm_figures(name, some, None))
        cells = (name, number(rate), *(f"{number(one)} ms" for one in times))
        found.append((times[-1], cells))
    return [row for _, row in sorted(found)]
