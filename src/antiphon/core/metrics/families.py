"""What is measured: a family of series with one name, and the values of its series.

Adding to a series costs a look into a dictionary and an addition, so that every request can.
Nothing here is locked: one thread adds, and the same one reads.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import NamedTuple, TypeAlias

import msgspec

Labels: TypeAlias = tuple[str, ...]
"""The values of the labels of a series, in the order of its family. An empty one is left out."""


class Kind(StrEnum):
    """What a family is: a sum that grows, a value that changes, or a distribution."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """A name, what it means, and the names of its labels. The name ends in the unit.

    `bounds` are the upper bounds of the buckets of a histogram, in rising order and without the
    infinite one.
    """

    name: str
    kind: Kind
    text: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()


class Distribution(NamedTuple):
    """The series of a histogram: how many values fell into each bucket alone, and their sum."""

    counts: tuple[int, ...]
    sum: float


Value: TypeAlias = int | float | Distribution


class Reading(NamedTuple):
    """A family with the values of its series as they are now."""

    family: Family
    series: Mapping[Labels, Value]


class Counter:
    """Sums that only grow."""

    __slots__ = ("_values", "family")

    def __init__(self, family: Family) -> None:
        self.family = family
        self._values: defaultdict[Labels, int | float] = defaultdict(int)

    def add(self, labels: Labels, amount: float = 1) -> None:
        """Add an amount that is not negative to a series."""
        self._values[labels] += amount

    def reading(self) -> Reading:
        return Reading(self.family, self._values)


class Histogram:
    """Distributions of values over the buckets of a family."""

    __slots__ = ("_bounds", "_series", "family")

    def __init__(self, family: Family) -> None:
        self.family = family
        self._bounds = family.bounds
        self._series: dict[Labels, _Buckets] = {}

    def observe(self, labels: Labels, value: float) -> None:
        """Note a value. One that equals a bound is in the bucket below it."""
        series = self._series.get(labels)
        if series is None:
            series = self._series[labels] = _Buckets(len(self._bounds) + 1)
        series.counts[bisect_left(self._bounds, value)] += 1
        series.sum += value

    def reading(self) -> Reading:
        return Reading(self.family, dict(self._distributions()))

    def _distributions(self) -> Iterator[tuple[Labels, Distribution]]:
        for labels, series in self._series.items():
            yield labels, Distribution(tuple(series.counts), series.sum)


class _Buckets:
    __slots__ = ("counts", "sum")

    def __init__(self, number: int) -> None:
        self.counts = [0] * number
        self.sum = 0.0
