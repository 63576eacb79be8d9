"""Rate limits: token buckets that refill continuously.

A bucket holds a minute's worth of its limit, and is full after long enough without a draw. Its
state is the *used* amount, in units of a sixty-thousandth of a token: with a limit of one token a
minute, one unit comes back each millisecond. So everything is an integer, a Lua script decides the
same to the unit, and a bucket that was never used, one that is full again and one that was
forgotten are the same: nothing is used.
"""

from collections.abc import Mapping

import msgspec

from antiphon.core.limits.values import Draw, Granted, Level, Limited

# Units in a token, and the milliseconds in which an empty bucket gets full.
UNITS = 60_000


class Bucket(msgspec.Struct, frozen=True, gc=False):
    """The units used of a bucket at the time `at`, in milliseconds.

    Since then `limit` units have come back each millisecond. When the limit changes, used units
    stay used: they came back at the old limit's rate until then, and do at the new one's after it.
    More units may be used than the limit has; the bucket is then in debt.
    """

    used: int
    at: int
    limit: int

    def used_at(self, now: int) -> int:
        """Return the units used at `now`. A clock that was set back changes nothing.

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
        """The time when the bucket is full and can be forgotten."""
        return self.at + _time_for(self.used, self.limit)


def take(bucket: Bucket | None, draw: Draw, now: int) -> Bucket:
    """Take an amount unconditionally; a negative one gives back, up to a full bucket."""
    left = _used(bucket, now) + draw.amount * UNITS
    return Bucket(max(0, left), now, draw.limit)


def wait_ms(draw: Draw, used: int) -> int:
    """Return the milliseconds until a draw is granted without other draws; 0 if it is granted.

    An amount that no bucket of this limit could ever hold is granted by a full one, and leaves it
    in debt. On average the limit holds, and there is always a time at which a retry succeeds.
    """
    amount, limit = draw.amount, draw.limit
    if draw.needs_positive:
        amount = 1
    elif amount > limit:
        amount = limit
    missing = (amount - limit) * UNITS + used
    return _time_for(missing, limit) if missing > 0 else 0


def level(bucket: Bucket | None, limit: int, now: int) -> Level:
    """Return the level of a bucket under a limit."""
    return _level(_used(bucket, now), limit)


def decide(
    draws: tuple[Draw, ...], buckets: Mapping[str, Bucket], now: int
) -> tuple[Granted | Limited, dict[str, Bucket]]:
    """Grant all the draws, or none. Also returns the buckets that change.

    A refusal only rewrites a bucket whose limit or clock has changed: its used units are counted
    from now on, so that the retry succeeds after the wait that the refusal names.
    """
    levels: list[Level] = []
    after: dict[str, Bucket] = {}
    for draw in draws:
        name, limit, amount = draw.bucket, draw.limit, draw.amount
        bucket = buckets.get(name)
        used = 0 if bucket is None else bucket.used_at(now)
        # What fits into the rest is granted in any case, and hardly anything does not.
        least = amount if amount > 0 else 1
        if used + least * UNITS > limit * UNITS and wait_ms(draw, used):
            return _refused(draws, buckets, now)
        left = used + amount * UNITS
        after[name] = taken = Bucket(max(0, left), now, limit)
        levels.append(_level(taken.used, limit))
    return Granted(tuple(levels)), after


def _refused(
    draws: tuple[Draw, ...], buckets: Mapping[str, Bucket], now: int
) -> tuple[Limited, dict[str, Bucket]]:
    counts = [_used(buckets.get(draw.bucket), now) for draw in draws]
    waits = list(map(wait_ms, draws, counts))
    longest = max(waits)
    levels = tuple([_level(used, d.limit) for d, used in zip(draws, counts, strict=True)])
    limited = Limited(waits.index(longest), longest, levels)
    return limited, _rewritten(draws, counts, buckets, now)


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
    if not used:
        return Level(limit, 0)
    remaining = limit - -(-used // UNITS)
    return Level(max(0, remaining), _time_for(used, limit))


def _time_for(units: int, limit: int) -> int:
    """Return the whole milliseconds in which at least these units come back."""
    return -(-units // limit)
