"""Durations and times: what the flags of commands take, and what they refuse."""

from datetime import UTC, datetime, timedelta

import pytest

from antiphon.cli.times import TIMES, duration_or_time
from cli.conftest import Shell

FORMS = f"is neither a duration such as 90s, 30m, 24h, 7d, 2w or 1h30m nor a time such as {TIMES}"
DAY = 86_400


def life(shell: Shell, flag: str) -> float:
    """The seconds for which a new key works."""
    key = shell.json(f"keys create {len(shell.json('keys list --all'))} --expires {flag}")
    began, end = (datetime.fromisoformat(key[name]) for name in ("created_at", "expires_at"))
    return (end - began).total_seconds()


@pytest.mark.parametrize(
    ("flag", "seconds"),
    [
        ("1s", 1),
        ("90s", 90),
        ("30m", 1800),
        ("1h30m", 5400),
        ("1w2d3h4m5s", 9 * DAY + 3 * 3600 + 245),
        ("3650d", 3650 * DAY),
    ],
)
def test_duration_is_the_life_of_a_key(shell: Shell, flag: str, seconds: int) -> None:
    assert life(shell, flag) == pytest.approx(seconds, abs=1)


@pytest.mark.parametrize("kind", ["", " --admin"])
def test_key_works_until_the_very_time_that_is_given(shell: Shell, kind: str) -> None:
    day = f"{datetime.now(UTC) + timedelta(days=40):%F}"
    at = f"{day}T00:00:00Z"
    assert shell.json(f"keys create a --expires {day}{kind}")["expires_at"] == at
    assert shell.json(f"keys create b --expires {day}T02:00+02:00{kind}")["expires_at"] == at
    assert f"until {day} 00:00:00 UTC" in shell.both(f"keys create c --expires {day}T00:00{kind}")


def test_old_secret_works_until_the_time_that_is_given(shell: Shell) -> None:
    shell("keys create laptop")
    day = f"{datetime.now(UTC) + timedelta(days=9):%F}"
    assert f"works until {day} 00:00 UTC" in shell.both(f"keys rotate laptop --grace {day}")


@pytest.mark.parametrize("command", ["keys create k --expires", "keys rotate k --grace"])
def test_time_out_of_bounds_is_refused_with_the_present_time(shell: Shell, command: str) -> None:
    shell("keys create k")
    flag, now = command.rsplit(maxsplit=1)[-1], datetime.now(UTC)
    past = shell.complaint(f"{command} 2020-01-01")
    assert past.startswith(f"{flag}: 2020-01-01 00:00:00 UTC has passed; it is {now:%F}")
    assert "days from now" in shell.complaint(f"{command} 2099-01-01")


@pytest.mark.parametrize(
    "wrong",
    [
        "soon",
        "1.5h",
        "30m1h",
        "1h1h",
        "-5d",
        "5",
        "5y",
        "1H",
        "١h",  # noqa: RUF001 - a digit, but no ASCII one
        "9999999999s",
        "2026-02-30",
        "2027-01-01T25:00",
        "0001-01-01T00:00+14:00",
        "9999-12-31T23:00-12:00",
    ],
)
@pytest.mark.parametrize(
    "flag",
    [
        "keys create k --expires",
        "keys rotate k --grace",
        "usage --since",
        "usage --until",
        "audit --since",
    ],
)
def test_refusal_shows_the_forms(shell: Shell, flag: str, wrong: str) -> None:
    expected = f"argument {flag.rsplit(maxsplit=1)[-1]}: {wrong!r} {FORMS}"
    assert shell.misunderstood(f"{flag}={wrong}") == expected


def test_refusal_repeats_little_of_a_long_text(shell: Shell) -> None:
    assert len(shell.misunderstood(f"usage --since {'9' * 100_000}")) < 500
    assert len(shell.misunderstood(f"usage --since {'2026-01-01' * 10_000}")) < 500


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("keys create k --expires 0", "argument --expires: '0' is shorter than a second"),
        ("keys create k --expires 0s", "argument --expires: '0s' is shorter than a second"),
        ("keys create k --expires 600w", "argument --expires: '600w' is more than 3,650 days"),
        ("keys rotate k --grace 31d", "argument --grace: '31d' is more than 30 days"),
        ("usage --since 36526d", "argument --since: '36526d' is more than 36,525 days"),
        (
            "usage --since 999999999w",
            "argument --since: '999999999w' is more than 36,525 days",
        ),
    ],
)
def test_duration_out_of_bounds_is_refused(shell: Shell, line: str, error: str) -> None:
    assert shell.misunderstood(line) == error


@pytest.mark.parametrize("command", ["usage", "audit"])
def test_start_that_is_yet_to_come_is_refused(shell: Shell, command: str) -> None:
    complaint = shell.complaint(f"{command} --since 2999-01-01")
    assert complaint.startswith("--since: 2999-01-01 00:00:00 UTC is yet to come; it is ")


@pytest.mark.parametrize("far", ["0", "36525d", "0001-01-01"])
def test_whole_past_can_be_asked_for(shell: Shell, far: str) -> None:
    assert shell.json(f"audit --since {far}") == []
    assert shell.json("usage --since 0001-01-01 --until 9999-12-31") == []


def test_time_without_a_zone_is_in_utc() -> None:
    noon = datetime(2026, 11, 1, 12, tzinfo=UTC)
    for text in ("2026-11-01T12:00", "2026-11-01 12:00", "2026-11-01T13:00+01:00"):
        assert duration_or_time(text) == noon
