"""`antiphon usage --engine`: what batches used of the engines' time, and who waited for it."""

import asyncio
import csv
import io
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeAlias

import pytest

from antiphon.cli import main
from antiphon.core.idle_use import IdleUse, counted_delays
from antiphon.store.data_folder import database_path
from antiphon.store.database.database import open_database, sqlite_url
from antiphon.store.idle_use import LaneHour, add_idle_uses
from cli.conftest import Shell

# Writes what was used of a lane in the first hour of a day.
Use: TypeAlias = Callable[[int, str, IdleUse], None]

ENGINE = "usage --engine --since 2026-11-20 --until 2026-11-23"
WORK = IdleUse(
    total_s=3600.0,
    busy_s=1800.0,
    interactive_s=360.0,
    interactive=1000,
    yielded=21,
    parked=20,
    delay_s=0.75,
    longest_delay_s=0.052,
    delays=counted_delays([0.04] * 19 + [0.052]),
)


@pytest.fixture
def use(shell: Shell) -> Use:
    async def add(day: int, lane: str, used: IdleUse) -> None:
        database = await open_database(sqlite_url(database_path(shell.data_dir)))
        at = LaneHour(datetime(2026, 11, day, tzinfo=UTC), lane)
        async with database.write() as connection:
            await add_idle_uses(connection, {at: used})
        await database.aclose()

    return lambda day, lane, used: asyncio.run(add(day, lane, used))


def test_engine_view_tells_shares_and_delays_by_day_with_a_total(shell: Shell, use: Use) -> None:
    use(21, "", WORK)
    use(22, "", IdleUse(total_s=3600.0))
    titles, *lines = shell(ENGINE).splitlines()
    assert titles.split() == [
        *("day", "interactive", "batches", "stopped", "requests", "delayed"),
        *("median", "p99", "longest"),
    ]
    assert [line.split() for line in lines] == [
        ["2026-11-21", "10.0%", "50.0%", "21", "1,000", "20", "0", "ms", "52", "ms", "52", "ms"],
        ["2026-11-22", "0.0%", "0.0%", "0", "0", "0", "-", "-", "0", "ms"],
        ["in", "all", "5.0%", "25.0%", "21", "1,000", "20", "0", "ms", "52", "ms", "52", "ms"],
    ]


def test_lane_of_local_models_is_this_machine(shell: Shell, use: Use) -> None:
    use(21, "", WORK)
    use(21, "claude-x", WORK)
    lines = shell(f"{ENGINE} --by model").splitlines()[1:]
    assert [line[:12].strip() for line in lines] == ["this machine", "claude-x", "in all"]
    assert [line["model"] for line in shell.json(f"{ENGINE} --by model")] == [None, "claude-x"]


def test_programs_get_exact_numbers(shell: Shell, use: Use) -> None:
    use(21, "", WORK)
    numbers = {
        "total_s": 3600.0,
        "interactive_s": 360.0,
        "batches_s": 1800.0,
        "stopped": 21,
        "parked": 20,
        "requests": 1000,
        "delayed": 20,
        "delay_ms": 750.0,
        "median_delay_ms": 0.0,
        "p99_delay_ms": 52.0,
        "longest_delay_ms": 52.0,
    }
    assert shell.json(ENGINE) == [{"day": "2026-11-21", **numbers}]
    (line,) = csv.DictReader(io.StringIO(shell(f"{ENGINE} --csv")))
    assert line == {"day": "2026-11-21", **{name: str(one) for name, one in numbers.items()}}


def test_engine_view_without_use_says_so(shell: Shell) -> None:
    assert shell(ENGINE) == "No engine was used from 2026-11-20 00:00 to 2026-11-23 00:00 UTC.\n"
    assert shell.json(ENGINE) == []
    assert shell(f"{ENGINE} --by model,day --csv").startswith("model,day,total_s,")


@pytest.mark.parametrize(
    ("flags", "error"),
    [
        ("--cache", "--cache and --engine: choose one of them"),
        ("--model claude-x", "--model and --engine: choose one of them"),
        ("--key ci", "--key and --engine: choose one of them"),
        ("--workspace lab", "--workspace and --engine: choose one of them"),
        ("--by key", "argument --by: with --engine 'key' is none of day, model"),
    ],
)
def test_flags_about_callers_are_refused(shell: Shell, flags: str, error: str) -> None:
    assert shell.misunderstood(f"{ENGINE} {flags}") == error


def test_span_that_ends_before_it_begins_is_refused(shell: Shell) -> None:
    complaint = shell.complaint("usage --engine --since 2026-11-02 --until 2026-11-01")
    assert complaint == "--until should be after --since"


def test_help_tells_the_columns_of_the_view(
    shell: Shell, capsys: pytest.CaptureFixture[str]
) -> None:
    del shell
    with pytest.raises(SystemExit):
        main(["usage", "--help"])
    told = capsys.readouterr().out
    for column in ("interactive", "batches", "stopped", "delayed", "median, p99", "longest"):
        assert f"  {column} " in told
