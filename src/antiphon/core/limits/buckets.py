"""Rate limits: token buckets that refill continuously.

A bucket holds a minute's worth of its limit, and is full when nobody has used it for long enough.
It is kept as what has been *used* of it, in units of a sixty-thousandth of a token: with a limit
of one token a minute, one unit comes back each millisecond. So everything is an integer, a Lua
script decides the same to the unit, and a bucket that was never used, one that is full again and
one that was forgotten are the same: nothing is used.
"""

from collections.abc import Mapping

import msgspec

from antiphon.core.limits.values import Draw, Granted, Level, Limited

# Units in a token, and the milliseconds in which an empty bucket gets full.
UNITS = 60_000


class Bucket(msgspec.Struct, frozen=True, gc=False):
    """What was used of a bucket, in units, when it was looked at: at `at`, in milliseconds.

    Since then `limit` units have come back each millisecond. When the limit is changed, what is
    used stays used: the time before is paid back at the old limit's rate, the time after at the
    new one's. More may be used than there is room for; the bucket is then in debt.
    """

    used: int
    at: int
    limit: int

    def used_at(self, now: int) -> int:
        """Count what is used at `now`. A clock that was set back gives nothing and takes nothing.

        >>> Bucket(used=UNITS, at=0, limit=60).used_at(400)
        36000
        """
        elapsed = now - self.at
        if elapsed <= 0:
            return self.used
        left = self.used - elapsed * self.limit
        return max(0, left)

    @property
    def full_at(self) -> int:
        """When it is full, and can be forgotten."""
        return self.at + _time_for(self.used, self.limit)


def take(bucket: Bucket | None, draw: Draw, now: int) -> Bucket:
    """Take an amount without asking; a negative one gives back, up to a full bucket."""
    return _taken(_used(bucket, now), draw, now)


def wait_ms(draw: Draw, used: int) -> int:
    """Return the milliseconds until a draw is granted if nobody else draws: 0 if it is granted.

    An amount that no bucket of this limit could ever hold is granted by a full one, and leaves it
    in debt. On average the limit holds, and there is always a time at which a retry succeeds.
    """
    needed = UNITS if draw.needs_positive else min(draw.amount, draw.limit) * UNITS
    missing = needed + used - draw.limit * UNITS
    return _time_for(missing, draw.limit) if missing > 0 else 0


def level(bucket: Bucket | None, limit: int, now: int) -> Level:
    """Say how full a bucket is under a limit."""
    return _level(_used(bucket, now), limit)


def decide(
    draws: tuple[Draw, ...], buckets: Mapping[str, Bucket], now: int
) -> tuple[Granted | Limited, dict[str, Bucket]]:
    """Grant all the draws, or none. Returns the buckets that are other than before as well.

    A refusal changes a bucket only in how it is written: if its limit or the clock was changed,
    what is used is counted from now on, so that the time which the refusal names comes true.
    """
    counts = [_used(buckets.get(draw.bucket), now) for draw in draws]
    waits = [wait_ms(draw, used) for draw, used in zip(draws, counts, strict=True)]
    longest = max(waits, default=0)
    if longest:
        levels = tuple(_level(used, d.limit) for d, used in zip(draws, counts, strict=True))
        limited = Limited(waits.index(longest), longest, levels)
        return limited, _rewritten(draws, counts, buckets, now)
    after = {d.bucket: _taken(used, d, now) for d, used in zip(draws, counts, strict=True)}
    return Granted(tuple([_level(after[d.bucket].used, d.limit) for d in draws])), after


def _taken(used: int, draw: Draw, now: int) -> Bucket:
    return Bucket(max(0, used + draw.amount * UNITS), now, draw.limit)


def _rewritten(
    draws: tuple[Draw, ...], counts: list[int], buckets: Mapping[str, Bucket], now: int
) -> dict[str, Bucket]:
    after = {}
    for draw, used in zip(draws, counts, strict=True):
        bucket = buckets.get(draw.bucket)
        if bucket is not None and (bucket.limit != draw.limit or now < bucket.at):
            after[draw.bucket] = Bucket(used, now, draw.limit)
    return after


def _used(bucket: Bucket | None, now: int) -> int:
    return 0 if bucket is None else bucket.used_at(now)


def _level(used: int, limit: int) -> Level:
    remaining = limit - -(-used // UNITS)
    return Level(max(0, remaining), _time_for(used, limit))


def _time_for(units: int, limit: int) -> int:
    """Whole milliseconds in which at least so many units come back."""
    return -(-units // limit)
