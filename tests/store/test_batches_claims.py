"""Claims: what a worker gets, in which order, and what is due before."""

from datetime import timedelta

import pytest

from antiphon.store.batches.claims import (
    claim,
    clear_waits_for,
    close_stopped,
    give_back,
    note_slowed,
    others_wait,
)
from antiphon.store.batches.create import NewRequest, begin_batch
from antiphon.store.batches.listing import cancel_batch, stopped_batches
from antiphon.store.batches.rows import BEHIND, SECTIONS, RowState, SectionKey, count_finished
from antiphon.store.batches.sections import MOST_SECTIONS, ClaimedRequest, all_that_wait, rank_of
from antiphon.store.batches.workers import (
    MOST_TRIES,
    TRIES_ALONE,
    LeaseLostError,
    NotOwnerError,
    Unsettled,
    leave,
    renew,
)
from antiphon.store.database.database import Database
from antiphon.store.ledger import find_entries
from support.batches import (
    EXHAUSTED,
    a_batch,
    a_worker,
    add_batch,
    add_worker,
    all_results,
    end_lease,
    finish,
    finished,
    settle,
    some_requests,
    stored_batch,
    stored_rows,
    take,
)
from support.ledger import NOON

pytestmark = pytest.mark.anyio

SECOND = timedelta(seconds=1)


def keys(requests: tuple[ClaimedRequest, ...]) -> list[tuple[str, int]]:
    return [(request.batch_id, request.number) for request in requests]


async def test_claim_has_the_requests_with_all_that_their_run_needs(database: Database) -> None:
    batch = await add_batch(database, a_batch(), 2)
    worker = await add_worker(database)
    claimed = await take(database, worker)
    assert claimed.requests == (
        ClaimedRequest("msgbatch_1", 0, "custom_0", 0, b'{"number":0}'),
        ClaimedRequest("msgbatch_1", 1, "custom_1", 0, b'{"number":1}'),
    )
    assert claimed.batches == {"msgbatch_1": batch}
    assert batch.betas == ("one-2026-01-01", "two-2026-01-01")
    assert (await take(database, worker)).requests == ()


async def test_claims_go_by_prefix_then_by_number(database: Database) -> None:
    await add_batch(database, a_batch(), some_requests(6, prefixes=2))
    worker = await add_worker(database)
    first, second = await take(database, worker, 4), await take(database, worker, 4)
    numbers = [request.number for request in (*first.requests, *second.requests)]
    assert numbers == [0, 2, 4, 1, 3, 5]


async def test_oldest_batch_of_a_workspace_comes_first(database: Database) -> None:
    await add_batch(database, a_batch("msgbatch_b", NOON + SECOND), 2)
    await add_batch(database, a_batch("msgbatch_c"), 2)
    await add_batch(database, a_batch("msgbatch_a", NOON + SECOND), 2)
    claimed = await take(database, await add_worker(database), 5)
    assert [batch for batch, _ in keys(claimed.requests)] == [
        "msgbatch_c",
        "msgbatch_c",
        "msgbatch_a",
        "msgbatch_a",
        "msgbatch_b",
    ]


async def test_workspaces_get_equal_shares_and_what_others_leave(database: Database) -> None:
    for number, (workspace, size) in enumerate(((None, 50), ("wrkspc_a", 50), ("wrkspc_b", 2))):
        batch = a_batch(f"msgbatch_{number}", NOON + number * SECOND, workspace_id=workspace)
        await add_batch(database, batch, size)
    claimed = await take(database, await add_worker(database), 30)
    shares = [
        sum(key[0] == f"msgbatch_{number}" for key in keys(claimed.requests)) for number in range(3)
    ]
    assert sorted(shares) == [2, 14, 14]
    assert len(claimed.requests) == 30


async def test_share_of_a_workspace_is_filled_from_its_next_batches(database: Database) -> None:
    for number, (workspace, size) in enumerate((("wrkspc_a", 1), ("wrkspc_a", 5), ("wrkspc_b", 9))):
        batch = a_batch(f"msgbatch_{number}", NOON + number * SECOND, workspace_id=workspace)
        await add_batch(database, batch, size)
    claimed = await take(database, await add_worker(database), 4)
    assert [batch for batch, _ in keys(claimed.requests)] == [
        "msgbatch_0",
        "msgbatch_1",
        "msgbatch_2",
        "msgbatch_2",
    ]


async def test_small_claims_go_to_each_workspace_in_turn(database: Database) -> None:
    for workspace in ("wrkspc_a", "wrkspc_b", "wrkspc_c"):
        await add_batch(database, a_batch(f"msgbatch_{workspace}", workspace_id=workspace), 4)
    worker = await add_worker(database)
    order = [
        (await take(database, worker, 1, turn=turn)).requests[0].batch_id[-1] for turn in range(6)
    ]
    assert order == ["a", "b", "c", "a", "b", "c"]


async def test_claim_is_bounded_by_bytes_but_has_one_request(database: Database) -> None:
    large = [NewRequest(number, f"c{number}", 0, b"x" * 100) for number in range(5)]
    await add_batch(database, a_batch(), large)
    await add_batch(database, a_batch("msgbatch_2", workspace_id="wrkspc_b"), large)
    worker = await add_worker(database)
    assert len((await take(database, worker, size=399)).requests) == 3
    assert len((await take(database, worker, size=1)).requests) == 1


async def test_claim_passes_over_the_batches_that_it_is_told(database: Database) -> None:
    for number in range(4):
        await add_batch(database, a_batch(f"msgbatch_{number}"), 2)
    worker = await add_worker(database)
    busy = {SectionKey(f"msgbatch_{number}", 0) for number in range(3)}
    async with database.write() as connection:
        assert await others_wait(connection, NOON, busy)
        claimed = await claim(connection, worker, 1, passed_over=busy)
        assert keys(claimed.requests) == [("msgbatch_3", 0)]
        assert await others_wait(connection, NOON, busy)
        claimed = await claim(connection, worker, 5, passed_over=busy)
        assert keys(claimed.requests) == [("msgbatch_3", 1)]
        assert not await others_wait(connection, NOON, busy)
        assert (await claim(connection, worker, 5, passed_over=busy)).requests == ()
    assert len((await take(database, worker)).requests) == 6


def of_models(*numbers: int) -> list[NewRequest]:
    """Return requests for models one after the other, so many for each."""
    models = [model for model, number in enumerate(numbers) for _ in range(number)]
    return [
        NewRequest(number, f"c{number}", rank_of(model, number), b"{}")
        for number, model in enumerate(models)
    ]


async def test_models_of_a_batch_get_equal_shares_and_what_others_leave(
    database: Database,
) -> None:
    await add_batch(database, a_batch(), of_models(20, 2, 20))
    worker = await add_worker(database)
    claimed = (await take(database, worker, 10)).requests
    assert [request.number for request in claimed] == [0, 1, 2, 3, 20, 21, 22, 23, 24, 25]
    assert {request.section for request in claimed} == {
        SectionKey("msgbatch_1", section) for section in range(3)
    }
    assert len((await take(database, worker, 40)).requests) == 32


async def test_small_claims_go_to_each_model_of_each_workspace_in_turn(database: Database) -> None:
    for workspace in ("wrkspc_a", "wrkspc_b"):
        batch = a_batch(f"msgbatch_{workspace}", workspace_id=workspace)
        await add_batch(database, batch, of_models(2, 2))
    worker = await add_worker(database)
    order = [(await take(database, worker, 1, turn=turn)).requests[0] for turn in range(8)]
    taken = [(request.batch_id[-1], request.section.section) for request in order]
    assert taken == 2 * [("a", 0), ("b", 0), ("a", 1), ("b", 1)]


async def test_claim_passes_over_the_models_of_a_batch_that_it_is_told(database: Database) -> None:
    await add_batch(database, a_batch(), of_models(2, 2, 2))
    worker = await add_worker(database)
    busy = {SectionKey("msgbatch_1", 0), SectionKey("msgbatch_1", 2)}
    async with database.write() as connection:
        assert await others_wait(connection, NOON, busy)
        claimed = await claim(connection, worker, 9, passed_over=busy)
        assert [request.number for request in claimed.requests] == [2, 3]
        assert not await others_wait(connection, NOON, busy)
        assert (await claim(connection, worker, 9, passed_over=busy)).requests == ()
        assert await others_wait(connection, NOON, {SectionKey("msgbatch_1", 0)})


async def test_claim_takes_from_some_models_of_a_batch_that_has_many(database: Database) -> None:
    await add_batch(database, a_batch(), of_models(*[1] * 20))
    worker = await add_worker(database)
    numbers = [request.number for request in (await take(database, worker, 12)).requests]
    assert numbers == list(range(MOST_SECTIONS))
    assert len((await take(database, worker, 12)).requests) == MOST_SECTIONS


async def test_last_section_has_all_further_models_and_the_highest_rank(database: Database) -> None:
    highest = rank_of(SECTIONS - 1, 2**17 - 1) + (TRIES_ALONE - 1) * BEHIND
    assert rank_of(SECTIONS + 5, 7) == rank_of(SECTIONS - 1, 7)
    assert highest < 2**31
    requests = [NewRequest(0, "one", 0, b"{}"), NewRequest(1, "last", highest, b"{}")]
    await add_batch(database, a_batch(), requests)
    claimed = (await take(database, await add_worker(database))).requests
    assert [request.section.section for request in claimed] == [0, SECTIONS - 1]


async def test_model_is_all_that_waits_unless_another_has_waiting_requests(
    database: Database,
) -> None:
    await add_batch(database, a_batch(), of_models(1, 1, 1))
    worker = await add_worker(database)
    keys_ = [SectionKey("msgbatch_1", section) for section in range(3)]
    async with database.write() as connection:
        assert await all_that_wait(connection, keys_) == []
        await claim(connection, worker, 9, passed_over=keys_[1:2])
        assert await all_that_wait(connection, keys_) == keys_[1:2]


async def test_batches_that_are_stopped_or_rest_do_not_wait(database: Database) -> None:
    await add_batch(database, a_batch("msgbatch_0"), 1)
    await add_batch(database, a_batch("msgbatch_1"), 1)
    async with database.write() as connection:
        await cancel_batch(connection, "wrkspc_a", "msgbatch_0", NOON)
        await count_finished(connection, {}, NOON, {"msgbatch_1": "a spend limit"})
        assert not await others_wait(connection, NOON, ())
        await clear_waits_for(connection)
        assert await others_wait(connection, NOON, ())


async def test_slow_batch_is_claimed_and_says_why_until_it_rests_or_ends(
    database: Database,
) -> None:
    for number in range(3):
        await add_batch(database, a_batch(f"msgbatch_{number}"), 1)

    async def hindrances() -> list[str | None]:
        return [(await stored_batch(database, f"msgbatch_{n}")).hindrance for n in range(3)]

    async with database.write() as connection:
        await note_slowed(connection, {"msgbatch_0", "msgbatch_1"}, "the money is held")
        await note_slowed(connection, {"msgbatch_1"}, None)
        await count_finished(connection, {}, NOON, {"msgbatch_2": "a spend limit"})
        await note_slowed(connection, {"msgbatch_2"}, "the money is held")
    slow, waits = "It is slow: the money is held", "It waits: a spend limit"
    assert await hindrances() == [slow, None, waits]
    worker = await add_worker(database)
    claimed = (await take(database, worker)).requests
    assert keys(claimed) == [("msgbatch_0", 0), ("msgbatch_1", 0)]
    async with database.write() as connection:
        await clear_waits_for(connection)
    assert await hindrances() == [None] * 3
    async with database.write() as connection:
        await note_slowed(connection, {"msgbatch_0"}, "the money is held")
    await finish(database, worker, claimed)
    assert await hindrances() == [None] * 3


async def test_claim_passes_over_what_is_not_ready_or_waits(database: Database) -> None:
    async with database.write() as connection:
        await begin_batch(connection, a_batch("msgbatch_unready"))
    for number in range(3):
        await add_batch(database, a_batch(f"msgbatch_{number}"), 1)
    async with database.write() as connection:
        resting = dict.fromkeys(["msgbatch_0", "msgbatch_1"], "a spend limit")
        await count_finished(connection, {}, NOON, resting)
    worker = await add_worker(database)
    assert keys((await take(database, worker)).requests) == [("msgbatch_2", 0)]
    assert (await stored_batch(database, "msgbatch_0")).waits_for == "a spend limit"
    async with database.write() as connection:
        await clear_waits_for(connection)
    found = keys((await take(database, worker)).requests)
    assert found == [("msgbatch_0", 0), ("msgbatch_1", 0)]
    assert (await stored_batch(database, "msgbatch_1")).waits_for is None


async def test_cancelled_requests_end_in_portions_and_claimed_ones_may_finish(
    database: Database,
) -> None:
    await add_batch(database, a_batch(), 10)
    worker = await add_worker(database)
    claimed = await take(database, worker, 2)
    async with database.write() as connection:
        cancelled = await cancel_batch(connection, "wrkspc_a", "msgbatch_1", NOON + SECOND)
    assert cancelled is not None
    assert cancelled.cancel_initiated_at == NOON + SECOND
    async with database.read() as connection:
        assert await stopped_batches(connection, ["msgbatch_1"], NOON) == {"msgbatch_1"}
    async with database.write() as connection:
        assert await close_stopped(connection, NOON, portion=5) == 5
    assert (await stored_batch(database)).canceled == 5
    assert (await take(database, worker)).requests == ()
    batch = await stored_batch(database)
    assert (batch.canceled, batch.processing, batch.ended_at) == (8, 2, None)
    await finish(database, worker, claimed.requests)
    batch = await stored_batch(database)
    assert (batch.canceled, batch.succeeded, batch.ended_at) == (8, 2, NOON)
    results = await all_results(database)
    assert [result.result for result in results].count(b'{"type":"canceled"}') == 8
    assert await stored_rows(database, "params") == [(None,)] * 10


async def test_requests_expire_after_their_time_also_while_they_wait_for_a_limit(
    database: Database,
) -> None:
    await add_batch(database, a_batch(), 3)
    worker = await add_worker(database)
    claimed = await take(database, worker, 1)
    async with database.write() as connection:
        await count_finished(connection, {}, NOON, {"msgbatch_1": "a spend limit"})
        await close_stopped(connection, NOON + timedelta(days=1) - SECOND)
    assert (await stored_batch(database)).expired == 0
    async with database.write() as connection:
        await close_stopped(connection, NOON + timedelta(days=1))
    await finish(database, worker, claimed.requests)
    batch = await stored_batch(database)
    assert (batch.expired, batch.succeeded, batch.ended_at) == (2, 1, NOON)
    assert (await all_results(database))[2].result == b'{"type":"expired"}'


async def test_requests_given_back_wait_again_without_a_try(database: Database) -> None:
    await add_batch(database, a_batch(), 3)
    worker = await add_worker(database)
    for _ in range(5):
        claimed = await take(database, worker)
        assert [request.tries for request in claimed.requests] == [0, 0, 0]
        async with database.write() as connection:
            await give_back(connection, worker, claimed.requests)


async def test_worker_gives_back_only_what_it_owns(database: Database) -> None:
    await add_batch(database, a_batch(), 2)
    worker, other = await add_worker(database), await add_worker(database, "worker_2")
    mine = (await take(database, worker, 1)).requests
    theirs = (await take(database, other, 1)).requests
    with pytest.raises(NotOwnerError):
        async with database.write() as connection:
            await give_back(connection, worker, [*mine, *theirs])
    states = await stored_rows(database, "state", "worker")
    assert states == [(RowState.CLAIMED, "worker_1"), (RowState.CLAIMED, "worker_2")]


async def test_requests_of_a_dead_worker_wait_again_with_a_try_more(database: Database) -> None:
    await add_batch(database, a_batch(), 2)
    dead, other = await add_worker(database), await add_worker(database, "worker_2")
    await take(database, dead)
    assert (await take(database, other)).requests == ()
    await end_lease(database, dead)
    claimed = await take(database, other)
    assert [(request.number, request.tries) for request in claimed.requests] == [(0, 1), (1, 1)]


async def test_poisonous_request_that_is_alone_each_time_ends_as_errored(
    database: Database,
) -> None:
    poison = [NewRequest(0, "poison", 0, b"{}"), *some_requests(2, first=1)]
    await add_batch(database, a_batch(), poison)
    for number, most in enumerate((3, 2, 1)):
        worker = await add_worker(database, f"dies_{number}")
        claimed = await take(database, worker, most)
        assert (claimed.requests[0].custom_id, claimed.requests[0].tries) == ("poison", number)
        await end_lease(database, worker)
    # From now on it is behind the others.
    lives = await add_worker(database, "lives")
    others = (await take(database, lives, 2)).requests
    assert [request.number for request in others] == [1, 2]
    await finish(database, lives, others)
    for number in range(3, MOST_TRIES):
        worker = await add_worker(database, f"dies_{number}")
        assert [request.tries for request in (await take(database, worker)).requests] == [number]
        await end_lease(database, worker)
    assert (await take(database, lives)).requests == ()
    batch = await stored_batch(database)
    assert (batch.errored, batch.succeeded, batch.ended_at) == (1, 2, NOON)
    assert (await all_results(database))[0].result == EXHAUSTED


async def test_request_that_is_never_alone_is_not_errored_however_many_workers_die(
    database: Database,
) -> None:
    await add_batch(database, a_batch(), 2)
    for number in range(10):
        worker = await add_worker(database, f"dies_{number}")
        claimed = await take(database, worker)
        assert [request.tries for request in claimed.requests] == [min(number, 2)] * 2
        await end_lease(database, worker)
    # Many ends meet each in turn while it is alone, and are not enough either.
    met = []
    for number in range(2 * (TRIES_ALONE - 1)):
        worker = await add_worker(database, f"dies_again_{number}")
        met += [request.number for request in (await take(database, worker, 1)).requests]
        await end_lease(database, worker)
    assert met == [0, 1] * (TRIES_ALONE - 1)
    worker = await add_worker(database, "lives")
    claimed = await take(database, worker)
    assert [request.tries for request in claimed.requests] == [MOST_TRIES - 1] * 2
    await finish(database, worker, claimed.requests)
    assert (await stored_batch(database)).succeeded == 2


async def test_workers_that_die_together_were_alone_each_for_itself(database: Database) -> None:
    await add_batch(database, a_batch(), 3)
    for number in range(3):
        alone = await add_worker(database, f"alone_{number}")
        together = await add_worker(database, f"together_{number}")
        await take(database, alone, 1)
        await take(database, together)
        await end_lease(database, alone)
        await end_lease(database, together)
    worker = await add_worker(database, "lives")
    assert [request.tries for request in (await take(database, worker)).requests] == [2, 2, 3]


async def test_last_poisonous_request_ends_its_batch(database: Database) -> None:
    await add_batch(database, a_batch(), 1)
    for number in range(MOST_TRIES):
        worker = await add_worker(database, f"dies_{number}")
        await take(database, worker)
        await end_lease(database, worker)
    await take(database, await add_worker(database, "lives", NOON + SECOND), 0)
    batch = await stored_batch(database)
    assert (batch.errored, batch.ended_at) == (1, NOON + SECOND)


async def test_unsettled_requests_of_a_dead_worker_are_handed_over_until_settled(
    database: Database,
) -> None:
    await add_batch(database, a_batch(), 3)
    worker = await add_worker(database)
    claimed = (await take(database, worker)).requests
    await finish(database, worker, claimed[:2])
    await finish(database, worker, claimed[2:], succeeded=False)
    await settle(database, worker, claimed[:1])
    # What errored has no entry, so there is nothing to settle.
    assert await stored_rows(database, "worker") == [(None,), ("worker_1",), (None,)]
    unsettled = (Unsettled("msgbatch_1", 1, "req_msgbatch_1_1_0"),)
    async with database.read() as connection:
        entries = await find_entries(connection, [row.entry_id for row in unsettled])
    assert entries == (finished(claimed[1]).entry,)
    for name in ("worker_2", "worker_3"):
        await end_lease(database, worker)
        worker = await add_worker(database, name)
        assert (await take(database, worker)).unsettled == unsettled
        assert (await take(database, worker)).unsettled == ()
    await settle(database, worker, [unsettled[0]])
    await end_lease(database, worker)
    assert (await take(database, await add_worker(database, "worker_4"))).unsettled == ()


async def test_worker_whose_lease_has_ended_gets_nothing(database: Database) -> None:
    await add_batch(database, a_batch(), 1)
    worker = await add_worker(database)
    await end_lease(database, worker)
    with pytest.raises(LeaseLostError):
        await take(database, worker)
    with pytest.raises(LeaseLostError):
        await take(database, a_worker("never registered"))
    assert await stored_rows(database, "state") == [(RowState.PENDING,)]


async def test_renewed_lease_keeps_the_requests(database: Database) -> None:
    await add_batch(database, a_batch(), 1)
    worker, other = await add_worker(database), await add_worker(database, "worker_2")
    await take(database, worker)
    async with database.write() as connection:
        assert not await renew(connection, worker)
        await leave(connection, other)
        assert await renew(connection, worker)
    assert (await take(database, worker)).requests == ()
    assert await stored_rows(database, "worker") == [("worker_1",)]


async def test_worker_that_leaves_gives_back_without_a_try_and_hands_over(
    database: Database,
) -> None:
    await add_batch(database, a_batch(), 2)
    worker = await add_worker(database)
    claimed = (await take(database, worker)).requests
    await finish(database, worker, claimed[:1])
    async with database.write() as connection:
        await leave(connection, worker)
    with pytest.raises(LeaseLostError):
        await take(database, worker)
    found = await take(database, await add_worker(database, "worker_2"))
    assert [(request.number, request.tries) for request in found.requests] == [(1, 0)]
    assert [row.number for row in found.unsettled] == [0]
