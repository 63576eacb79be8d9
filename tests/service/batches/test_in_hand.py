"""What a tenure keeps, and what it gives back, when its requests crowd out others."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from antiphon.service.batches.hand import FEWEST_IN_HAND, MOST_ASIDE, Hand
from antiphon.service.batches.in_hand import MOST_BYTES_ASIDE, InHand
from antiphon.store.batches.rows import SectionKey
from antiphon.store.batches.sections import ClaimedRequest

pytestmark = pytest.mark.anyio


class Table:
    """A hand with the requests of one tenure, whose tasks wait until they are cancelled."""

    def __init__(self) -> None:
        self.hand = Hand()
        self.mine = InHand("one", self.hand)
        self.tasks: list[asyncio.Task[None]] = []

    async def deal(self, batch_id: str, number: int, size: int = 1) -> list[ClaimedRequest]:
        dealt = [ClaimedRequest(batch_id, at, f"r{at}", 0, b"x" * size) for at in range(number)]
        self.mine.take(dealt)
        for request in dealt:
            task = asyncio.create_task(_forever())
            self.tasks.append(task)
            self.mine.start(request, task)
        await asyncio.sleep(0)
        return dealt

    async def cancelled(self) -> int:
        await asyncio.sleep(0)
        return sum(task.cancelled() for task in self.tasks)


async def _forever() -> None:
    await asyncio.Event().wait()


@pytest.fixture
async def table() -> AsyncGenerator[Table]:
    table = Table()
    yield table
    for task in table.tasks:
        task.cancel()
    await asyncio.gather(*table.tasks, return_exceptions=True)


@pytest.mark.parametrize(
    ("batches", "number", "size", "kept"),
    [
        (1, FEWEST_IN_HAND, 1, FEWEST_IN_HAND),
        (1, FEWEST_IN_HAND + 3, 1, FEWEST_IN_HAND),
        (2, FEWEST_IN_HAND + 3, 1, 2 * FEWEST_IN_HAND),
        (MOST_ASIDE + 5, 1, 1, MOST_ASIDE),
        (1, 4, MOST_BYTES_ASIDE // 2, 2),
    ],
    ids=["few", "many of a batch", "of two batches", "many batches", "large"],
)
async def test_requests_that_have_not_begun_are_kept_up_to_bounds(
    table: Table, batches: int, number: int, size: int, kept: int
) -> None:
    for batch in range(batches):
        await table.deal(f"batch_{batch}", number, size)
    for _ in range(2):  # what was set aside before stays so
        table.mine.make_room()
        assert table.hand.aside == kept
        assert await table.cancelled() == batches * number - kept
    assert len(table.mine.passed_over) == batches


async def test_begun_requests_are_kept_beyond_all_bounds(table: Table) -> None:
    for request in await table.deal("batch_1", 2 * FEWEST_IN_HAND):
        table.mine.begin(request)
    waiting = await table.deal("batch_2", FEWEST_IN_HAND)
    table.hand.take_one_by_one()
    table.mine.make_room()
    assert await table.cancelled() == len(waiting)
    assert table.hand.aside == 2 * FEWEST_IN_HAND


async def test_batch_is_claimed_again_when_what_was_set_aside_is_finished(table: Table) -> None:
    dealt = await table.deal("batch_1", FEWEST_IN_HAND + 1)
    table.mine.make_room()
    table.mine.give(dealt[FEWEST_IN_HAND:])
    assert table.mine.passed_over == {SectionKey("batch_1", 0)}
    table.mine.give(dealt[: FEWEST_IN_HAND - 1])
    table.mine.try_again()
    assert table.mine.passed_over == {SectionKey("batch_1", 0)}
    table.mine.give(dealt[FEWEST_IN_HAND - 1 : FEWEST_IN_HAND])
    assert (table.mine.passed_over, table.hand.count, table.hand.aside) == (set(), 0, 0)


async def test_what_was_set_aside_is_given_back_before_a_request_that_has_to_be_alone(
    table: Table,
) -> None:
    dealt = await table.deal("batch_1", 3)
    table.mine.make_room()
    table.hand.take_one_by_one()
    table.mine.make_room()
    assert await table.cancelled() == 3
    table.mine.give(dealt)
    assert table.hand.room == 1
    # Not at once: its model has no room.
    assert table.mine.passed_over == {SectionKey("batch_1", 0)}
    table.mine.try_again()
    assert table.mine.passed_over == set()


async def test_no_batch_is_passed_over_when_no_other_has_work(table: Table) -> None:
    await table.deal("batch_1", FEWEST_IN_HAND + 1)
    assert not table.mine.pass_over_none()
    table.mine.make_room()
    assert table.mine.pass_over_none()
    assert (table.mine.passed_over, table.hand.aside) == (set(), 0)


async def test_section_rests_until_it_is_tried_again(table: Table) -> None:
    [dealt] = await table.deal("batch_1", 1)
    table.mine.give([dealt])
    table.mine.rest(dealt.section)
    assert table.mine.passed_over == {dealt.section}
    table.mine.try_again()
    assert table.mine.passed_over == set()


async def test_request_may_be_claimed_anew_before_it_is_known_to_be_gone(table: Table) -> None:
    before = await table.deal("batch_1", 1)
    await table.deal("batch_1", 1)
    table.mine.give(before)
    assert (table.hand.count, table.mine.sections) == (1, {SectionKey("batch_1", 0)})
