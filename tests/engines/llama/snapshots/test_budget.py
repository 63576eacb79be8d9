from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.engines.llama.snapshots.budget import allowed_bytes, to_evict, usefulness


@dataclass(frozen=True)
class Saved:
    size: int = 100
    read_ms: float = 100.0
    used_at: float = 0.0
    ends_at: float = 1e9


@pytest.mark.parametrize(
    ("limit", "free", "used", "allowed"),
    [(50, 10_000, 0, 50), (50, 100, 0, 10), (50, 100, 40, 14), (0, 10_000, 0, 0), (50, 0, 0, 0)],
)
def test_snapshots_take_the_limit_or_a_tenth_of_the_disk(
    limit: int, free: int, used: int, allowed: int
) -> None:
    assert allowed_bytes(limit, free, used) == allowed


def test_share_of_the_disk_does_not_shrink_as_it_is_filled() -> None:
    assert allowed_bytes(1000, 1000, 0) == allowed_bytes(1000, 950, 50)


@pytest.mark.parametrize(
    "less", [Saved(used_at=-100.0), Saved(size=200), Saved(read_ms=50.0), Saved(ends_at=10.0)]
)
def test_older_larger_cheaper_or_ended_snapshot_is_less_useful(less: Saved) -> None:
    assert usefulness(less, 10.0) < usefulness(Saved(), 10.0)
    assert to_evict([Saved(), less], 1, 0, 10.0) == [less]


def test_clock_that_was_set_back_makes_nothing_more_useful() -> None:
    assert usefulness(Saved(used_at=500.0), 10.0) == usefulness(Saved(used_at=10.0), 10.0)


SAVED = st.builds(
    Saved,
    size=st.integers(0, 50),
    read_ms=st.floats(0, 100),
    used_at=st.floats(0, 100),
    ends_at=st.floats(0, 200),
)


@given(st.lists(SAVED, max_size=8), st.integers(-10, 200), st.integers(-3, 8))
def test_fewest_of_the_least_useful_are_chosen(saved: list[Saved], need: int, count: int) -> None:
    chosen = to_evict(saved, need, count, 100.0)
    if chosen is None:
        assert sum(one.size for one in saved) < need or len(saved) < count
        return
    assert sum(one.size for one in chosen) >= need
    assert len(chosen) >= count
    if chosen:
        fewer = chosen[:-1]
        assert sum(one.size for one in fewer) < need or len(fewer) < count
        left = list(saved)
        for one in chosen:
            left.remove(one)
        worth = max(usefulness(one, 100.0) for one in chosen)
        assert all(usefulness(one, 100.0) >= worth for one in left)
