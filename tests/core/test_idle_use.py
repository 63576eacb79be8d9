import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.idle_use import DELAY_BOUNDS_MS, NO_DELAYS, IdleUse, counted_delays

uses = st.builds(
    IdleUse,
    total_s=st.integers(0, 9).map(float),
    busy_s=st.integers(0, 9).map(float),
    interactive_s=st.integers(0, 9).map(float),
    interactive=st.integers(0, 9),
    yielded=st.integers(0, 9),
    parked=st.integers(0, 9),
    delay_s=st.integers(0, 9).map(float),
    longest_delay_s=st.integers(0, 9).map(float),
    delays=st.tuples(*(st.integers(0, 9) for _ in NO_DELAYS)),
)


def of_delays(*milliseconds: float, undelayed: int = 0) -> IdleUse:
    seconds = [one / 1000 for one in milliseconds]
    return IdleUse(
        interactive=len(seconds) + undelayed,
        delay_s=sum(seconds),
        longest_delay_s=max(seconds, default=0.0),
        delays=counted_delays(seconds),
    )


@given(uses, uses, uses)
def test_use_is_added_up_in_any_order(one: IdleUse, two: IdleUse, three: IdleUse) -> None:
    assert (one + two) + three == one + (two + three) == three + (two + one)
    assert one + IdleUse() == one


def test_sum_has_the_longest_delay_of_both() -> None:
    whole = of_delays(5, 40, undelayed=1) + of_delays(7, 2000)
    assert (whole.interactive, whole.delayed) == (5, 4)
    assert (whole.delay_s, whole.longest_delay_s) == (pytest.approx(2.052), 2.0)


def test_delay_is_counted_up_to_its_bound() -> None:
    for index, bound in enumerate(DELAY_BOUNDS_MS):
        counts = counted_delays([bound / 1000, bound / 1000 + 0.0001])
        assert (counts[index], counts[index + 1], sum(counts)) == (1, 1, 2)


@pytest.mark.parametrize(
    ("use", "median", "p99"),
    [
        (IdleUse(), None, None),
        (of_delays(undelayed=3), 0, 0),
        (of_delays(25, undelayed=1), 0, 25),
        (of_delays(25, undelayed=99), 0, 0),
        (of_delays(25, 25, undelayed=98), 0, 25),
        (of_delays(2, 7, 250), 10, 250),
        (of_delays(*[2] * 99, 250), 3, 3),
        (of_delays(4000, 9000), 9000, 9000),
        (IdleUse(delay_s=0.2, longest_delay_s=0.2, delays=counted_delays([0.002, 0.2])), 3, 200),
    ],
)
def test_share_of_requests_waited_at_most_as_long_as_told(
    use: IdleUse, median: float | None, p99: float | None
) -> None:
    assert (use.delay_ms(50), use.delay_ms(99)) == (median, p99)


@given(st.lists(st.floats(0, 1e5), max_size=30), st.integers(0, 30), st.integers(1, 100))
def test_told_delay_is_never_below_the_true_one(
    delays: list[float], undelayed: int, percent: int
) -> None:
    told = of_delays(*delays, undelayed=undelayed).delay_ms(percent)
    true = sorted([0.0] * undelayed + delays)
    if not true:
        assert told is None
        return
    exact = true[-(-len(true) * percent // 100) - 1]
    assert told is not None
    assert exact <= told * (1 + 1e-12)
    assert told <= max(true) * (1 + 1e-12)


@pytest.mark.parametrize(
    ("use", "works"),
    [
        (IdleUse(total_s=9), False),
        (IdleUse(busy_s=1), True),
        (IdleUse(interactive_s=1), True),
        (IdleUse(interactive=1), True),
        (IdleUse(yielded=1), True),
    ],
)
def test_use_without_requests_is_no_work(use: IdleUse, works: bool) -> None:
    assert use.has_work is works
