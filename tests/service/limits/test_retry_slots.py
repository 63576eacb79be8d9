import pytest

from antiphon.core.limits.values import Ask, Draw, Granted, Limited
from antiphon.service.limits.retry_slots import DISTRUST_MS, GRACE_MS, TRUST, RetrySlot, RetrySlots
from antiphon.store.counters.memory import MemoryCounters
from support.valkey import Clock

pytestmark = pytest.mark.anyio

LIMIT = 60  # one a second
ASKED = (Draw("requests", LIMIT, 1), Draw("output", LIMIT, 0, needs_positive=True))


class EmptyBucket:
    """An empty bucket, and retry slots for it."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.counters = MemoryCounters(self.clock)
        self.slots = RetrySlots(self.counters, self.clock)

    async def empty(self) -> None:
        await self.counters.seed({})
        left = (await self.counters.levels(ASKED))[0].remaining
        await self.counters.draw([Draw("requests", LIMIT, left)])

    async def full_in_ms(self) -> int:
        return (await self.counters.levels(ASKED))[0].full_in_ms

    async def wait_ms(self, asked: tuple[Draw, ...] = ASKED) -> int:
        """Return how long a new request without a slot has to wait."""
        verdict = await self.counters.admit(Ask(f"{self.clock.now}", asked, (), 1000))
        return verdict.retry_after_ms if isinstance(verdict, Limited) else 0

    async def promise(self, key_id: str = "key") -> int | None:
        return await self.slots.promise(key_id, ASKED, await self.wait_ms())


@pytest.fixture
async def bucket() -> EmptyBucket:
    bucket = EmptyBucket()
    await bucket.empty()
    return bucket


async def test_each_promised_slot_is_later_than_the_one_before(bucket: EmptyBucket) -> None:
    assert [await bucket.promise() for _ in range(5)] == [1000, 2000, 3000, 4000, 5000]
    assert await bucket.wait_ms() == 6000


async def test_slot_is_claimed_when_it_is_due_and_not_before(bucket: EmptyBucket) -> None:
    await bucket.promise()
    await bucket.promise()
    assert await bucket.slots.claim("key", ASKED) == 1000
    bucket.clock.now += 999
    assert await bucket.slots.claim("key", ASKED) == 1
    bucket.clock.now += 1
    assert isinstance(await bucket.slots.claim("key", ASKED), RetrySlot)
    assert await bucket.slots.claim("key", ASKED) == 1000


async def test_slot_is_for_the_same_request_of_the_same_key(bucket: EmptyBucket) -> None:
    await bucket.promise()
    bucket.clock.now += 1000
    assert await bucket.slots.claim("another", ASKED) is None
    assert await bucket.slots.claim("key", (Draw("requests", LIMIT, 2),)) is None


async def test_new_request_waits_behind_a_promised_slot(bucket: EmptyBucket) -> None:
    await bucket.promise()
    bucket.clock.now += 1000
    assert await bucket.wait_ms() == 1000
    assert isinstance(await bucket.slots.claim("key", ASKED), RetrySlot)
    bucket.clock.now += 1000
    assert await bucket.wait_ms() == 0


async def test_lapsed_slot_is_given_back(bucket: EmptyBucket) -> None:
    await bucket.promise()
    full_in_ms = await bucket.full_in_ms()
    bucket.clock.now += 1000 + GRACE_MS - 1
    await bucket.slots.tidy()
    assert await bucket.full_in_ms() == full_in_ms - 1000 - GRACE_MS + 1
    bucket.clock.now += 1
    await bucket.slots.tidy()
    assert await bucket.full_in_ms() == full_in_ms - 1000 - GRACE_MS - 1000
    assert await bucket.slots.claim("key", ASKED) is None


async def test_claimed_slot_is_not_given_back_by_tidying(bucket: EmptyBucket) -> None:
    await bucket.promise()
    bucket.clock.now += 1000
    slot = await bucket.slots.claim("key", ASKED)
    assert isinstance(slot, RetrySlot)
    bucket.clock.now += GRACE_MS
    full_in_ms = await bucket.full_in_ms()
    await bucket.slots.tidy()
    assert await bucket.full_in_ms() == full_in_ms
    await bucket.slots.give_back(slot)
    assert await bucket.full_in_ms() == full_in_ms - 1000


async def test_no_slot_is_promised_for_more_than_the_limit_or_far_ahead(
    bucket: EmptyBucket,
) -> None:
    large = (Draw("requests", LIMIT, LIMIT + 1),)
    assert await bucket.slots.promise("key", large, 60_000) is None
    assert await bucket.slots.promise("key", ASKED, 60_001) is None
    assert await bucket.wait_ms() == 1000


async def test_key_whose_slots_lapse_gets_no_more_for_a_while(bucket: EmptyBucket) -> None:
    for _ in range(TRUST):
        assert await bucket.promise() is not None
    bucket.clock.now += TRUST * 1000 + GRACE_MS
    await bucket.slots.tidy()
    await bucket.empty()
    assert await bucket.promise() is None
    assert await bucket.promise("another") is not None
    bucket.clock.now += DISTRUST_MS
    await bucket.slots.tidy()
    await bucket.empty()
    assert await bucket.promise() is not None


async def test_key_that_uses_as_many_slots_as_lapse_keeps_its_trust(bucket: EmptyBucket) -> None:
    for _ in range(2 * TRUST):
        await bucket.promise()
        await bucket.promise()
        bucket.clock.now += 1000
        assert isinstance(await bucket.slots.claim("key", ASKED), RetrySlot)
        bucket.clock.now += 1000 + GRACE_MS
        await bucket.slots.tidy()
        await bucket.empty()
    assert await bucket.promise() is not None


async def test_draws_in_advance_never_exceed_the_limit(bucket: EmptyBucket) -> None:
    granted = 0
    for _ in range(300):
        await bucket.promise()
        bucket.clock.now += 300
        claimed = await bucket.slots.claim("key", ASKED)
        asked = () if isinstance(claimed, RetrySlot) else ASKED
        verdict = await bucket.counters.admit(Ask(f"{bucket.clock.now}", asked, (), 1))
        granted += isinstance(verdict, Granted)
    assert 80 <= granted <= 300 * 300 // 1000
