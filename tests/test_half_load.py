"""What the race says of gateways at half load."""

import pytest

from benchmarks.half_load import LEAST, Ask, Calm, calm_figures, calm_round, calm_rows
from benchmarks.load import Figures
from benchmarks.race import Race, figures_of
from benchmarks.report import Goal


def took(p50_ms: float, p99_ms: float) -> Figures:
    return Figures(100, 1.0, p50_ms, p99_ms, 1.0)


def calm(p99_ms: float, per_second: float = 500.0) -> Calm:
    return Calm(per_second, took(1.0, p99_ms), took(0.25, 0.5))


@pytest.mark.anyio
async def test_both_are_asked_at_half_of_the_median_rate() -> None:
    asked: list[tuple[str, int, float]] = []

    def asking(name: str, p99_ms: float) -> Ask:
        async def ask(requests: int, per_second: float) -> Figures:
            asked.append((name, requests, per_second))
            return took(0.5, p99_ms)

        return ask

    gateway, direct = asking("gateway", 3.0), asking("direct", 1.0)
    done = await calm_round(gateway, direct, [100.0, 2000.0, 3000.0], 2.0)
    assert asked == [("direct", 2000, 1000.0), ("gateway", 2000, 1000.0)]
    assert (done.per_second, done.added_p50_ms, done.added_p99_ms) == (1000.0, 0.0, 2.0)
    await calm_round(gateway, direct, [20.0], 1.0)
    assert asked[-1] == ("gateway", LEAST, 10.0)


def test_who_adds_least_is_first_and_the_added_is_of_the_same_rounds() -> None:
    slow = [calm(9.5), Calm(500.0, took(2.0, 5.0), took(1.0, 4.0)), calm(9.5)]
    rows = calm_rows([("slow", slow), ("quick", [calm(2.5)] * 3)])
    assert rows == [
        ("quick", "500", "1 ms", "2.5 ms", "0.75 ms", "2 ms"),
        ("slow", "500", "1 ms", "9.5 ms", "0.75 ms", "9 ms"),
    ]
    *_, added = calm_figures("slow", slow, Goal(most=1.0))
    assert added.values == (9.0, 1.0, 9.0)
    assert added.row()[3] == "≤ 1 NO"


def test_only_who_ran_to_the_end_has_figures() -> None:
    race = Race(memory_mb={"Antiphon": 100.0})
    race.calm |= {"Antiphon": [calm(1.0)], "Other 1.0": [calm(1.0)]}
    found = figures_of(race)
    assert len(found) == 5
    assert [one.what for one in found if one.goal] == ["Antiphon: JSON at half load: added to p99"]
