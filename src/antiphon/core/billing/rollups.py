"""Roll-ups: sums of the ledger that are kept for each minute, hour and day.

A report of any span is put together from the widest roll-ups that fit into it, and from the ledger
where there are none: at the edges of a span, and before the floor of a width.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

import msgspec

from antiphon.core.moments import EPOCH

MINUTE: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)

WIDTHS: Final = (DAY, HOUR, MINUTE)
"""The widths of roll-ups, the widest first; each is a multiple of the next."""

KEPT_FOR: Final[Mapping[timedelta, timedelta]] = {MINUTE: timedelta(days=3), HOUR: 90 * DAY}
"""How long roll-ups of a width are kept; those of days stay for ever."""

FIRST_TOKEN_BOUNDS_MS: Final = (
    *(25, 50, 75, 100, 150, 200, 300, 400, 600, 800, 1200, 1600, 2400, 3200, 4800, 6400),
    *(9600, 12800, 19200, 25600, 38400, 51200),
)
"""The upper bounds, in milliseconds, by which times to the first token are counted.

Each is at most half as large again as the one before (twice at the start), so a percentile that is
told from the counts is as exact.
"""


class Piece(msgspec.Struct, frozen=True):
    """A part of a span, answered by the roll-ups of a width, or by the ledger (`None`)."""

    start: datetime
    end: datetime
    width: timedelta | None


def pieces(
    start: datetime, end: datetime, widest: timedelta, floors: Mapping[timedelta, datetime]
) -> tuple[Piece, ...]:
    """Divide a span into pieces, in their order.

    None is wider than `widest`, so that each lies in one bucket of a report. `floors` says of some
    widths from which moment on their roll-ups are kept; the others have all of them.
    """
    return tuple(_cover(start, end, [one for one in WIDTHS if one <= widest], floors))


def _cover(
    start: datetime,
    end: datetime,
    widths: Sequence[timedelta],
    floors: Mapping[timedelta, datetime],
) -> list[Piece]:
    if start >= end:
        return []
    if not widths:
        return [Piece(start, end, None)]
    width, *narrower = widths
    first = begin_of(max(start, floors.get(width, start)) + width - EPOCH.resolution, width)
    last = begin_of(end, width)
    if first >= last:
        return _cover(start, end, narrower, floors)
    before = _cover(start, first, narrower, floors)
    return [*before, Piece(first, last, width), *_cover(last, end, narrower, floors)]


def begin_of(moment: datetime, width: timedelta) -> datetime:
    """Return the beginning of the bucket that contains a moment."""
    return moment - (moment - EPOCH) % width


def percentile(counts: Sequence[int], share: float) -> int | None:
    """Return the time, in whole milliseconds, that a share of the first tokens needed at most.

    `counts` has the number of times up to each of `FIRST_TOKEN_BOUNDS_MS` and above the bound
    before it, and last the number of longer ones, which count as the last bound. Within two bounds
    the times are taken for evenly spread. Without times there is no percentile.
    """
    wanted = share * sum(counts)
    if not wanted:
        return None
    edges = (0, *FIRST_TOKEN_BOUNDS_MS, FIRST_TOKEN_BOUNDS_MS[-1])
    passed = 0
    for count, (lower, upper) in zip(counts, pairwise(edges), strict=True):
        if count and passed + count >= wanted:
            return round(lower + (upper - lower) * (wanted - passed) / count)
        passed += count
    return FIRST_TOKEN_BOUNDS_MS[-1]
