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


@pytest.mark.parametrize("sizes", [[1] * FEWEST_IN_HAND, [MOST_BYTES // 2 + 1]])
async def test_more_is_taken_when_half_is_done(sizes: list[int]) -> None:
    hand = Hand()
    hand.take("one", sizes)
    waiting = asyncio.create_task(hand.half_done())
    await anyio.lowlevel.checkpoint()
    assert not waiting.done()
    hand.give("one", sizes[: (len(sizes) + 1) // 2])
    await waiting
