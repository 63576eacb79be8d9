"""How commands read durations and times: `30d`, `1h30m`, `2027-01-01`, `2027-01-01T12:00+02:00`."""

import argparse
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from antiphon.cli.command import CommandError
from antiphon.wire.errors import shortened

# A duration is meant from now on, or before now; a time is itself.
DurationOrTime: TypeAlias = timedelta | datetime

DURATIONS = "90s, 30m, 24h, 7d, 2w or 1h30m"
TIMES = "2027-01-01 or 2027-01-01T12:00+02:00 (UTC if there is no zone)"
# The units, the longest first: each stands at most once, and in this order.
_UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_DURATION = re.compile("".join(f"(?:([0-9]{{1,9}}){unit})?" for unit in _UNITS))
# Longer than any time that a command can mean, and short enough that no calculation overflows.
_LONGEST = timedelta(days=36_525)
# The longest time: 2027-01-01T12:00:00.123456+02:00.
_LONGEST_TIME = 40


def duration_or_time(text: str) -> DurationOrTime:
    """Read a duration, or a time: a day (its beginning) or a moment, in UTC without a zone.

    A duration has whole numbers of `w`, `d`, `h`, `m` (minutes) and `s`, each unit at most once
    and the longer one first, or is `0`. Raises `ArgumentTypeError`.
    """
    length = _duration(text)
    found = _time(text) if length is None else length
    if found is None:
        raise argparse.ArgumentTypeError(
            f"{shortened(text)!r} is neither a duration such as {DURATIONS} nor a time such as "
            f"{TIMES}"
        )
    return found


def from_now(longest: timedelta, *, or_zero: bool = False) -> Callable[[str], DurationOrTime]:
    """Return a reader of durations up to `longest`, and of times, which `moment_ahead` checks."""

    def read(text: str) -> DurationOrTime:
        found = duration_or_time(text)
        if isinstance(found, timedelta):
            if not (found or or_zero):
                raise argparse.ArgumentTypeError(f"{text!r} is shorter than a second")
            if found > longest:
                raise argparse.ArgumentTypeError(f"{text!r} is more than {_days(longest)}")
        return found

    return read


def moment_ahead(flag: str, given: datetime, now: datetime, longest: timedelta) -> datetime:
    """Return a time. Raises `CommandError` if it has passed or is later than `longest` from now."""
    if given <= now:
        raise CommandError(f"{flag}: {given:%F %T} UTC has passed; it is {now:%F %T} UTC")
    if given > now + longest:
        raise CommandError(f"{flag}: {given:%F %T} UTC is more than {_days(longest)} from now")
    return given


def moment_before(flag: str, given: DurationOrTime, now: datetime) -> datetime:
    """Return the moment that a flag means before now. Raises `CommandError` for a later one."""
    moment = now - given if isinstance(given, timedelta) else given
    if moment > now:
        raise CommandError(f"{flag}: {moment:%F %T} UTC is yet to come; it is {now:%F %T} UTC")
    return moment


def _duration(text: str) -> timedelta | None:
    if text == "0":
        return timedelta()
    found = _DURATION.fullmatch(text)
    if found is None or not text:
        return None
    amounts = {
        name: int(amount) for name, amount in zip(_UNITS.values(), found.groups("0"), strict=True)
    }
    try:
        length = timedelta(**amounts)
    except OverflowError:
        length = timedelta.max
    if length > _LONGEST:
        raise argparse.ArgumentTypeError(f"{shortened(text)!r} is more than {_days(_LONGEST)}")
    return length


def _time(text: str) -> datetime | None:
    if len(text) > _LONGEST_TIME:
        return None
    try:
        moment = datetime.fromisoformat(text)
        # A zone may lead out of the years of the calendar.
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _days(length: timedelta) -> str:
    return f"{length.days:,} days"
