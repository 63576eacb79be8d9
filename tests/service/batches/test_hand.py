import asyncio

import anyio
import pytest

from antiphon.service.batches.hand import (
    FEWEST_IN_HAND,
    MOST_BYTES,
    MOST_IN_HAND,
    QUICK_S,
    SLOW_S,
    Hand,
)

pytestmark = pytest.mark.anyio


def test_quick_work_takes_more_and_slow_work_less() -> None:
    hand = Hand()
    for _ in range(10):
        hand.adapt(QUICK_S / 2)
    assert hand.room == MOST_IN_HAND
    hand.adapt((QUICK_S + SLOW_S) / 2)
    assert hand.room == MOST_IN_HAND
    for _ in range(10):
        hand.adapt(2 * SLOW_S)
    assert hand.room == FEWEST_IN_HAND


def test_tenures_share_the_room() -> None:
    hand = Hand()
    hand.take("one", [10] * 5)
    hand.take("other", [10] * 9)
    assert (hand.count, hand.room) == (14, 0)
    hand.drop("other")
    assert (hand.count, hand.room) == (5, FEWEST_IN_HAND - 5)


def test_requests_set_aside_leave_their_room_unless_one_is_to_be_alone() -> None:
    hand = Hand()
    hand.take("one", [10] * FEWEST_IN_HAND)
    hand.set_aside("one", FEWEST_IN_HAND - 1)
    assert hand.room == FEWEST_IN_HAND - 1
    hand.take_one_by_one()
    assert hand.room == 0
    hand.drop("one")
    assert (hand.count, hand.aside, hand.room) == (0, 0, 1)


def test_hand_is_never_fuller_than_its_bound() -> None:
    hand = Hand()
    hand.take("one", [10] * MOST_IN_HAND)
    hand.set_aside("one", MOST_IN_HAND)
    assert hand.room == 0


async def test_waiting_for_half_of_a_hand_ends_with_the_patience() -> None:
    hand = Hand()
    hand.take("one", [10] * FEWEST_IN_HAND)
    assert not await hand.half_done(0.01)
    hand.set_aside("one", FEWEST_IN_HAND)
    assert await hand.half_done(0.01)


@pytest.mark.parametrize("sizes", [[1] * FEWEST_IN_HAND, [MOST_BYTES // 2 + 1]])
async def test_more_is_taken_when_half_is_done(sizes: list[int]) -> None:
    hand = Hand()
    hand.take("one", sizes)
    waiting = asyncio.create_task(hand.half_done())
    await anyio.lowlevel.checkpoint()
    assert not waiting.done()
    hand.give("one", sizes[: (len(sizes) + 1) // 2])
    await waiting
