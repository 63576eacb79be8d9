"""Counters and histograms: what is added to a series is in it, and in no other."""

from bisect import bisect_left

from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.metrics.families import Counter, Distribution, Family, Histogram, Kind

SUMS = Family(name="things_total", kind=Kind.COUNTER, text="Things.", labels=("colour",))
TIMES = Family(
    name="time_seconds", kind=Kind.HISTOGRAM, text="Times.", labels=("of",), bounds=(0.1, 1, 10)
)


def test_counter_adds_to_one_series() -> None:
    counter = Counter(SUMS)
    counter.add(("red",))
    counter.add(("red",), 2)
    counter.add(("blue",), 0.5)
    assert counter.reading() == (SUMS, {("red",): 3, ("blue",): 0.5})


def test_value_at_a_bound_is_in_the_bucket_below_it() -> None:
    histogram = Histogram(TIMES)
    for value in (0.1, 1.0, 1.5, 100):
        histogram.observe(("a",), value)
    histogram.observe(("b",), 0)
    assert histogram.reading() == (
        TIMES,
        {("a",): Distribution((1, 1, 1, 1), 102.6), ("b",): Distribution((1, 0, 0, 0), 0.0)},
    )


@given(values=st.lists(st.floats(0, 1000)))
def test_every_value_is_in_one_bucket(values: list[float]) -> None:
    histogram = Histogram(TIMES)
    for value in values:
        histogram.observe(("a",), value)
    places = [bisect_left(TIMES.bounds, value) for value in values]
    (found,) = histogram.reading().series.values() or [Distribution((0, 0, 0, 0), 0.0)]
    assert isinstance(found, Distribution)
    assert found.counts == tuple(places.count(place) for place in range(4))
    assert found.sum == sum(values, 0.0)
