"""The speed of the last minutes is that of what was measured in them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.core.speeds import SLICE_S, SLICES, SPAN_S, RecentSpeed
from support.examples import examples

measurements = st.lists(
    st.tuples(
        st.integers(min_value=1, max_value=10_000),
        st.floats(min_value=0.001, max_value=100.0),
        st.floats(min_value=0.0, max_value=120.0),
    ),
    max_size=60,
)


@given(measured=measurements)
@settings(max_examples=examples(2))
def test_speed_is_that_of_the_measurements_in_the_last_slices(
    measured: list[tuple[int, float, float]],
) -> None:
    speed, now = RecentSpeed(), 0.0
    at: list[tuple[float, int, float]] = []
    for tokens, seconds, pause in measured:
        now += pause
        speed.add(tokens, seconds, now)
        at.append((now, tokens, seconds))
    first = (now // SLICE_S - SLICES + 1) * SLICE_S
    recent = [(tokens, seconds) for moment, tokens, seconds in at if moment >= first]
    found = speed.per_second(now)
    if not recent:
        assert found is None
    else:
        expected = sum(one for one, _ in recent) / sum(seconds for _, seconds in recent)
        assert found == pytest.approx(expected)


def test_speeds_of_a_slice_are_weighted_by_their_time() -> None:
    speed = RecentSpeed()
    speed.add(100, 1.0, now=10.0)
    speed.add(100, 3.0, now=11.0)
    assert speed.per_second(12.0) == 50.0


def test_what_is_old_counts_no_more() -> None:
    speed = RecentSpeed()
    speed.add(10, 1.0, now=0.0)
    assert speed.per_second(SPAN_S - 1) == 10.0
    assert speed.per_second(SPAN_S + 1) is None
    speed.add(30, 1.0, now=SPAN_S + 1)
    assert speed.per_second(SPAN_S + 1) == 30.0


def test_what_took_no_time_or_has_no_tokens_is_left_out() -> None:
    speed = RecentSpeed()
    speed.add(10, 0.0, now=1.0)
    speed.add(0, 1.0, now=1.0)
    assert speed.per_second(1.0) is None


def test_sums_stay_few_however_long_it_runs() -> None:
    speed = RecentSpeed()
    for number in range(10 * SLICES):
        speed.add(1, 1.0, now=number * SLICE_S)
    assert len(speed._sums) == SLICES - 1


def test_latest_speed_is_told_however_long_ago_it_was() -> None:
    speed = RecentSpeed()
    assert speed.latest is None
    speed.add(10, 1.0, now=0.0)
    speed.add(40, 2.0, now=2 * SPAN_S)
    assert speed.per_second(9 * SPAN_S) is None
    assert speed.latest == 20.0
