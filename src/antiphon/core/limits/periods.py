"""Days, weeks (from Monday) and months: they begin and end at midnight UTC, for every account."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Literal, TypeAlias

Period: TypeAlias = Literal["daily", "weekly", "monthly"]

PERIODS: tuple[Period, ...] = ("daily", "weekly", "monthly")

# Longer than any month, and shorter than any two.
_INTO_THE_NEXT_MONTH = timedelta(days=32)


def day_of(moment: datetime) -> date:
    """Return the day of a moment in UTC, regardless of its own zone."""
    return moment.astimezone(UTC).date()


def start_of(period: Period, day: date) -> date:
    """Return the first day of the period that a day is in."""
    match period:
        case "daily":
            return day
        case "weekly":
            return day - timedelta(days=day.weekday())
        case _:
            return day.replace(day=1)


def end_of(period: Period, day: date) -> date:
    """Return the first day of the next period.

    Raises `OverflowError` for the last day, week and month of the calendar.
    """
    start = start_of(period, day)
    match period:
        case "daily":
            return start + timedelta(days=1)
        case "weekly":
            return start + timedelta(weeks=1)
        case _:
            return (start + _INTO_THE_NEXT_MONTH).replace(day=1)


def midnight(day: date) -> datetime:
    """Return the moment at which a day begins."""
    return datetime.combine(day, time(), UTC)
