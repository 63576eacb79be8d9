from collections import Counter
from hashlib import sha256

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


# Marked prompts --------------------------------------------------------------------------------

KEYS = [sha256(b"%d" % number).digest() for number in range(400)]
SOME_WEIGHTS = st.lists(st.integers(1, 7), min_size=2, max_size=5)


def firsts(rotation: Rotation, able: list[bool], now: float = 0.0) -> list[int]:
    return [rotation.order(able, now, key)[0] for key in KEYS]


@given(SOME_WEIGHTS, st.data())
def test_engine_that_fails_moves_its_own_share_and_gets_it_back(
    weights: list[int], data: st.DataObject
) -> None:
    rotation, able = Rotation(weights), [True] * len(weights)
    lost = data.draw(st.integers(0, len(weights) - 1))
    before = firsts(rotation, able)
    if data.draw(st.booleans()):
        rotation.failed(lost, 0.0)
        meanwhile = firsts(rotation, able)
        rotation.answered(lost)
    else:
        meanwhile = firsts(rotation, [index != lost for index in range(len(weights))])
    assert lost not in meanwhile
    kept = [(old, new) for old, new in zip(before, meanwhile, strict=True) if old != lost]
    assert all(old == new for old, new in kept)
    assert firsts(rotation, able) == before


@given(SOME_WEIGHTS)
def test_another_engine_takes_its_share_from_the_others_alone(weights: list[int]) -> None:
    fewer = firsts(Rotation(weights[:-1]), [True] * (len(weights) - 1))
    more = firsts(Rotation(weights), [True] * len(weights))
    moved = [new for old, new in zip(fewer, more, strict=True) if old != new]
    assert set(moved) <= {len(weights) - 1}


@pytest.mark.parametrize("weights", [[1, 1], [3, 1], [1, 2, 5], [7, 1, 1, 1]])
def test_keys_are_spread_by_weight(weights: list[int]) -> None:
    rotation, able, many = Rotation(weights), [True] * len(weights), 20_000
    keys = (sha256(b"k%d" % number).digest() for number in range(many))
    found = Counter(rotation.order(able, 0.0, key)[0] for key in keys)
    for index, weight in enumerate(weights):
        share = weight / sum(weights)
        # Four standard deviations of a fair draw.
        assert abs(found[index] / many - share) < 4 * (share * (1 - share) / many) ** 0.5


@given(WEIGHTS, st.lists(st.booleans(), max_size=30))
def test_marked_prompts_take_no_turn_of_others(weights: list[int], marked: list[bool]) -> None:
    mixed, alone, able = Rotation(weights), Rotation(weights), [True] * len(weights)
    for number, one in enumerate(marked):
        if one:
            mixed.order(able, 0.0, KEYS[number])
        else:
            assert mixed.order(able, 0.0) == alone.order(able, 0.0)


@given(WEIGHTS, st.data())
def test_order_of_a_marked_prompt_has_every_engine_once_and_the_unusable_ones_last(
    weights: list[int], data: st.DataObject
) -> None:
    rotation = Rotation(weights)
    able = data.draw(st.lists(st.booleans(), min_size=len(weights), max_size=len(weights)))
    for index in data.draw(st.sets(st.integers(0, len(weights) - 1))):
        rotation.failed(index, 0.0)
    for index in data.draw(st.lists(st.integers(0, len(weights) - 1), max_size=40)):
        rotation.began(index)
    order = rotation.order(able, 0.5, KEYS[0])
    assert sorted(order) == list(range(len(weights)))
    assert [able[index] for index in order] == sorted(able, reverse=True)


def test_busy_engine_leaves_its_share_to_the_others_until_requests_end() -> None:
    rotation, able = Rotation([1, 1]), [True, True]
    home = rotation.order(able, 0.0, KEYS[0])[0]
    other = 1 - home
    for _ in range(4):
        assert rotation.order(able, 0.0, KEYS[0]) == [home, other]
        rotation.began(home)
    assert rotation.order(able, 0.0, KEYS[0]) == [other, home]
    for _ in range(3):
        rotation.began(other)
    assert rotation.order(able, 0.0, KEYS[0]) == [home, other]
    for _ in range(3):
        rotation.ended(other)
    assert rotation.order(able, 0.0, KEYS[0]) == [other, home]
    rotation.ended(home)
    assert rotation.order(able, 0.0, KEYS[0]) == [home, other]


@given(SOME_WEIGHTS, st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5)), max_size=200))
def test_no_engine_runs_much_more_than_its_share_while_prompts_are_marked(
    weights: list[int], steps: list[tuple[int, int]]
) -> None:
    rotation, able, running = Rotation(weights), [True] * len(weights), [0] * len(weights)
    for key, end in steps:
        first = rotation.order(able, 0.0, KEYS[key])[0]
        rotation.began(first)
        running[first] += 1
        share = weights[first] / sum(weights)
        assert running[first] <= max(4, 1.5 * share * sum(running))
        if end < len(weights) and running[end]:
            rotation.ended(end)
            running[end] -= 1


def test_the_only_engine_is_never_busy() -> None:
    rotation = Rotation([1, 0])
    for _ in range(100):
        assert rotation.order([True, True], 0.0, KEYS[0]) == [0, 1]
        rotation.began(0)
