"""The progress of a batch, over looks that are given; time passes only by sleeping."""

import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from rich.console import Console

from antiphon.cli.batch_watch import (
    EVERY_S,
    BarDisplay,
    LineDisplay,
    Speed,
    duration,
    line_of,
    open_display,
    watch,
)
from antiphon.service.batches.batches import BatchProgress
from antiphon.store.batches.listing import BatchUse
from antiphon.store.database.errors import DatabaseUnavailableError, StoreError
from support.batches import a_batch

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)


def progress(
    done: int = 0,
    tokens: int = 0,
    cost: int = 0,
    requests: int = 100,
    *,
    worker: bool = True,
    **fields: Any,
) -> BatchProgress:
    counts = {"requests": requests, "succeeded": done, **fields}
    return BatchProgress(a_batch(**counts), BatchUse(tokens, cost), worker)


class Time:
    """A clock that only `sleep` moves."""

    def __init__(self) -> None:
        self.now = 0.0

    async def sleep(self, seconds: float) -> None:
        self.now += seconds

    def clock(self) -> float:
        return self.now


class Looks:
    """Answers each look with the next of these, or raises it."""

    def __init__(self, *answers: BatchProgress | Exception) -> None:
        self._answers: Iterator[BatchProgress | Exception] = iter(answers)

    async def __call__(self) -> BatchProgress:
        answer = next(self._answers)
        if isinstance(answer, Exception):
            raise answer
        return answer


async def watched(
    *answers: BatchProgress | Exception, terminal: bool = False, width: int = 80
) -> str:
    """Return what is printed of these looks."""
    time, out = Time(), io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=width, color_system=None)
    display = BarDisplay(console) if terminal else LineDisplay(console, time.clock)
    try:
        await watch(Looks(*answers), display, time.sleep, time.clock)
    finally:
        display.close()
    return out.getvalue()


ENDED = progress(100, 5000, 42 * 10**7, ended_at=NOON)


async def test_speed_and_time_left_are_those_of_the_last_minute() -> None:
    slow = [progress(0) for _ in range(40)]
    said = await watched(*slow, progress(10, 600), ENDED)
    assert "10 of 100 done, 0 failed, 10 tokens/s, $0.0000, 9m00s left" in said


async def test_speed_is_unknown_until_ten_results_have_come_while_it_is_watched() -> None:
    # 40 results were there before, and at the first looks more come than later.
    few = [progress(40 + done, 100 * done) for done in range(10)]
    said = await watched(*few, progress(50, 1000), progress(90, 5000), ENDED)
    lines = said.splitlines()
    assert [line for line in lines[:-1] if "tokens/s" in line or "left" in line] == [
        "50 of 100 done, 0 failed, 50 tokens/s, $0.0000, 1m40s left",
        "90 of 100 done, 0 failed, 227 tokens/s, $0.0000, 4s left",
    ]


async def test_second_line_is_printed_soon_and_the_next_ones_once_a_minute() -> None:
    printed = [await lines_within(seconds) for seconds in (8, 10, 68, 70, 128, 130)]
    assert printed == [1, 2, 2, 3, 3, 4]


async def test_note_says_that_nobody_works_on_batches() -> None:
    looks = [progress(1, worker=False) for _ in range(7)]
    alone = await watched(*looks[:5], progress(1), ENDED)
    assert "It waits" not in alone
    told = await watched(*looks, progress(2), ENDED)
    lines = told.splitlines()
    assert lines[1].endswith("It waits: no server works on batches, and no `antiphon worker`")
    assert "It waits" not in lines[2]


async def test_reason_of_a_batch_goes_before_that_of_its_workers() -> None:
    looks = [progress(1, worker=False, waits_for="the limit") for _ in range(7)]
    assert "antiphon worker" not in await watched(*looks, ENDED)


async def test_reason_does_not_flicker_while_a_worker_tries_again() -> None:
    waiting = progress(1, requests=1000, waits_for="the limit")
    between = progress(1, requests=1000)
    said = await watched(waiting, between, waiting, between, between, waiting, ENDED)
    assert len(said.splitlines()) == 3
    assert said.count("It waits: the limit") == 2
    # It is over when nothing says so for some time, or when there is a new result.
    gone = await watched(waiting, *[between] * 5, ENDED)
    assert [line.count("It waits") for line in gone.splitlines()] == [1, 0, 0]
    went_on = await watched(waiting, progress(2, requests=1000), ENDED)
    assert [line.count("It waits") for line in went_on.splitlines()] == [1, 0, 0]


async def test_slow_batch_says_why_also_when_results_come() -> None:
    slow = [progress(n, requests=1000, slowed_by="the money is held") for n in (1, 2)]
    said = await watched(*slow, progress(3, requests=1000), ENDED)
    assert said.splitlines()[0].endswith(". It is slow: the money is held")
    assert len(said.splitlines()) == 2


async def lines_within(seconds: int) -> int:
    """Return how many lines are printed until then while nothing happens."""
    looks = [progress(1, requests=1000) for _ in range(int(seconds / EVERY_S) + 1)]
    return len((await watched(*looks, ENDED)).splitlines()) - 1


async def test_database_that_is_away_is_asked_again() -> None:
    away = DatabaseUnavailableError("The database at db cannot be reached")
    said = await watched(progress(1), away, away, progress(2), ENDED)
    lines = said.splitlines()
    assert lines[1] == "The database at db cannot be reached. Trying again …"
    assert lines[2].startswith("2 of 100 done")
    assert lines[-1] == "100 of 100 done, 0 failed, $0.4200"


async def test_defect_of_the_database_ends_the_watch() -> None:
    with pytest.raises(StoreError, match=r"^broken$"):
        await watched(progress(1), StoreError("broken"))


async def test_lines_are_printed_when_something_has_changed_and_once_a_minute() -> None:
    minute = int(60 / EVERY_S)
    same = [progress(1, requests=1000) for _ in range(2 * minute + 1)]
    waiting = progress(1, requests=1000, waits_for="The limit of $5.00 a day is reached.")
    said = await watched(*same, waiting, waiting, progress(200, requests=1000), ENDED)
    lines = said.splitlines()
    assert len(lines) == 6
    assert lines[3].endswith(". It waits: The limit of $5.00 a day is reached.")
    assert lines[4].startswith("200 of 1,000 done")


@pytest.mark.parametrize("width", [40, 80])
async def test_bar_of_a_terminal_fits_and_has_text_and_note_below(width: int) -> None:
    waiting = progress(50, 5000, 10**9, waits_for="The limit is reached.", requests=100)
    away = DatabaseUnavailableError("The database is locked")
    said = await watched(progress(10), waiting, away, ENDED, terminal=True, width=width)
    lines = re.sub(r"\x1b\[[0-9?]*[a-zA-Z]", "", said).splitlines()
    assert max(map(len, lines)) <= width
    for line, text in pairwise(lines):
        assert not re.search("━.*[0-9]", line)
        if "━" in line:
            assert re.match("[0-9]+ of 100 done, ", text)
    assert "It waits: The limit is reached." in lines
    assert "The database is locked. Trying again …" in lines
    assert any(line.startswith("100 of 100 done") for line in lines)


def test_longest_line_fits_into_a_terminal() -> None:
    much = progress(98_000, 10**7, 123 * 10**9, requests=100_000, errored=1_234)
    line = line_of(much, Speed(requests=0.01, tokens=12_345))
    assert line == "99,234 of 100,000 done, 1,234 failed, 12,345 tokens/s, $123.0000, 21h16m left"
    assert len(line) <= 80


def test_canceled_requests_are_told_apart() -> None:
    line = line_of(progress(1, canceled=2, expired=3, errored=4), None)
    assert line == "10 of 100 done, 7 failed, 2 canceled, $0.0000"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (59.4, "59s"), (60, "1m00s"), (3599, "59m59s"), (3600, "1h00m")],
)
def test_duration_has_two_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_other_outputs_than_a_terminal_get_lines() -> None:
    assert isinstance(open_display(Time().clock, stderr=True), LineDisplay)


def test_terminal_that_cannot_draw_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(open_display(Time().clock, stderr=True), LineDisplay)
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(open_display(Time().clock, stderr=True), BarDisplay)
