from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.engines.rotation import LONGEST_PAUSE_S, Rotation

WEIGHTS = st.lists(st.integers(0, 7), min_size=1, max_size=5).filter(any)


@given(WEIGHTS, st.integers(1, 3))
def test_each_engine_gets_exactly_its_share(weights: list[int], rounds: int) -> None:
    rotation, able = Rotation(weights), [True] * len(weights)
    turns = Counter(rotation.order(able, 0.0)[0] for _ in range(rounds * sum(weights)))
    assert [turns[place] for place in range(len(weights))] == [rounds * one for one in weights]


@given(WEIGHTS)
def test_shares_are_spread_and_not_lumped(weights: list[int]) -> None:
    rotation, able, whole = Rotation(weights), [True] * len(weights), sum(weights)
    turns: Counter[int] = Counter()
    for request in range(1, whole + 1):
        turns[rotation.order(able, 0.0)[0]] += 1
        for place, weight in enumerate(weights):
            # No engine is a whole turn per other engine away from its share.
            assert abs(turns[place] - request * weight / whole) < len(weights)


@given(WEIGHTS, st.data())
def test_every_order_has_every_engine_once(weights: list[int], data: st.DataObject) -> None:
    rotation, places = Rotation(weights), range(len(weights))
    able = data.draw(st.lists(st.booleans(), min_size=len(weights), max_size=len(weights)))
    now = 0.0
    for step in data.draw(st.lists(st.sampled_from(["fail", "answer", "begin", "leave"]))):
        now += data.draw(st.floats(0, 5))
        order = rotation.order(able, now)
        assert sorted(order) == list(places)
        assert [able[place] for place in order] == sorted(able, reverse=True)
        act = {
            "fail": lambda place, at=now: rotation.failed(place, at),
            "answer": rotation.answered,
            "begin": rotation.began,
            "leave": rotation.gave_up,
        }
        act[step](order[0])
    assert rotation.candidates(able, now) == rotation.candidates(able, now)


@given(WEIGHTS, st.data())
def test_healthy_engine_is_found_among_failing_ones(
    weights: list[int], data: st.DataObject
) -> None:
    """No request is lost as long as one place answers, and the first of all is soon the one."""
    healthy = data.draw(st.integers(0, len(weights) - 1))
    rotation, able = Rotation(weights), [True] * len(weights)
    now, tries = 0.0, []
    for _ in range(50):
        now += 0.01
        for place in rotation.order(able, now):
            tries.append(place)
            rotation.began(place)
            if place == healthy:
                rotation.answered(place)
                break
            rotation.failed(place, now)
        assert tries[-1] == healthy
    # Within half a second each of the others was tried once, and then left out.
    assert len(tries) - tries.count(healthy) <= len(weights) - 1


def test_a_pause_doubles_up_to_a_limit_and_ends_with_an_answer() -> None:
    rotation, now = Rotation([1, 1]), 0.0
    pauses = []
    for _ in range(40):
        pauses.append(rotation.failed(0, now))
        now += pauses[-1]
    assert pauses[:4] == [1.0, 2.0, 4.0, 8.0]
    assert pauses[-1] == LONGEST_PAUSE_S
    rotation.answered(0)
    assert rotation.failed(0, now) == 1.0


def test_engine_is_left_out_for_its_retry_after() -> None:
    assert Rotation([1]).failed(0, 0.0, 7.0) == 7.0
    assert Rotation([1]).failed(0, 0.0, 7000.0) == LONGEST_PAUSE_S


def test_failures_of_concurrent_requests_count_once() -> None:
    rotation = Rotation([1, 1])
    assert [rotation.failed(0, 0.0) for _ in range(5)] == [1.0] * 5


def test_one_request_at_a_time_tries_a_failed_engine() -> None:
    rotation, able = Rotation([9, 1]), [True, True]
    rotation.failed(0, 0.0)
    assert rotation.order(able, 0.5)[0] == 1
    assert rotation.order(able, 1.0)[0] == 0
    rotation.began(0)
    assert rotation.order(able, 1.0)[0] == 1
    rotation.gave_up(0)
    assert rotation.order(able, 1.0)[0] == 0
    rotation.began(0)
    rotation.answered(0)
    assert rotation.order(able, 1.0)[0] == 0


def test_where_all_are_left_out_the_first_to_be_back_is_tried_first() -> None:
    rotation = Rotation([1, 1])
    rotation.failed(0, 0.0, 9.0)
    rotation.failed(1, 0.0)
    assert rotation.order([True, True], 0.5) == [1, 0]


@pytest.mark.parametrize(("able", "expected"), [([True, True], 0), ([False, True], 1)])
def test_engine_without_weight_is_first_only_if_no_other_is_ready(
    able: list[bool], expected: int
) -> None:
    rotation = Rotation([2, 0])
    assert {rotation.order(able, 0.0)[0] for _ in range(5)} == {expected}
