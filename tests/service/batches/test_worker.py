"""The worker of batches, over the scripted engine: what it gives back, drops, and takes over."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from typing import Any, TypeVar

import msgspec
import pytest
from sqlalchemy import select, update

from antiphon.core.batches import check_batch_params
from antiphon.core.limits.periods import day_of, midnight
from antiphon.core.limits.spend import accounts_of
from antiphon.core.limits.values import Balance, Scope
from antiphon.logs import frames_only
from antiphon.service.batches.group_commit import Ending, GroupCommit
from antiphon.service.batches.hand import FEWEST_IN_HAND, Hand
from antiphon.service.batches.in_hand import InHand
from antiphon.service.batches.run_watch import UNWATCHED, RunWatch
from antiphon.service.batches.runs import (
    BatchRequest,
    BatchRun,
    BatchRunner,
    CheckParams,
    RunSucceeded,
)
from antiphon.service.batches.slow_batches import MAKES_WAY, SlowBatches
from antiphon.service.batches.tenure import PATIENCE_S, Tenure, WorkerParts
from antiphon.service.batches.worker import BatchWorker
from antiphon.service.limits.gate import Gate
from antiphon.service.limits.seeding import SpentTotals
from antiphon.settings import ModelSettings, PriceSettings
from antiphon.store.batches.commits import FinishedRequest, commit
from antiphon.store.batches.create import NewRequest
from antiphon.store.batches.rows import Batch, RowState
from antiphon.store.batches.sections import ClaimedRequest, rank_of
from antiphon.store.batches.workers import LeaseLostError, has_work
from antiphon.store.counters import tally
from antiphon.store.database.batch_tables import batch_requests, batch_workers
from antiphon.store.database.errors import DatabaseUnavailableError
from antiphon.wire.messages import CreateMessageParams
from support.asgi import HELLO
from support.batches import (
    a_batch,
    add_batch,
    add_worker,
    charged,
    end_lease,
    stored_batch,
    stored_rows,
    take,
)
from support.logs import capture_logs
from support.organization import ADMIN, Organization, StartOrganization

pytestmark = pytest.mark.anyio

PRICE = PriceSettings(input=Decimal(3), output=Decimal(15))
# "Hi" is 5 tokens, and the answer 4, at half the price.
COST = (5 * 3000 + 4 * 15000) // 2
REPLIES = [
    {"when": "overload", "error": "overloaded"},
    {"when": "fail", "text": "one two three", "error": "failed", "after": 2},
    {"when": "a while", "text": "one two three", "delay_s": 0.3},
    {"when": "slow", "text": "one two three", "delay_s": 60},
]
T = TypeVar("T")
# Pauses of the worker are this much shorter here.
FASTER = 100


class RecordedRuns(BatchRunner):
    """Notes how many runs there are at most at once, beside those of each request."""

    at_once = 0

    def note(self) -> None:
        self.most: dict[bytes, int] = {}
        self.runs: Counter[bytes] = Counter()

    async def run(self, request: BatchRequest, watch: RunWatch = UNWATCHED) -> BatchRun:
        self.at_once += 1
        self.runs[request.params] += 1
        # Others that are begun together are here as well.
        await asyncio.sleep(0)
        self.most[request.params] = max(self.most.get(request.params, 0), self.at_once)
        try:
            return await super().run(request, watch)
        finally:
            self.at_once -= 1


class Workshop:
    """A platform without workers of its own, and one that tests start and stop."""

    def __init__(self, org: Organization) -> None:
        self.org = org
        one = org.platform
        self.database = one.database
        self.pauses: list[float] = []
        self.patience_s, self.faster = PATIENCE_S, FASTER
        self.check_with(check_batch_params)

    def check_with(self, check: CheckParams) -> None:
        one = self.org.platform
        self.runner = RecordedRuns(one.messages, one.accounts, one.ledger, one.entropy, check)
        self.runner.note()

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await asyncio.sleep(seconds / self.faster)

    def parts(
        self,
        commits: type[GroupCommit] = GroupCommit,
        *,
        counters_are_shared: bool = False,
        hand: Hand | None = None,
    ) -> WorkerParts:
        one = self.org.platform
        return WorkerParts(
            database=one.database,
            accounts=one.accounts,
            runner=self.runner,
            ledger=one.ledger,
            now=self.org.clock,
            entropy=one.entropy,
            counters_are_shared=counters_are_shared,
            sleep=self.sleep,
            commits=commits,
            hand=hand or Hand(),
            patience_s=self.patience_s,
            # However busy the machine is.
            parting_s=60,
        )

    @asynccontextmanager
    async def working(
        self,
        commits: type[GroupCommit] = GroupCommit,
        *,
        counters_are_shared: bool = False,
        workers: int = 1,
        hand: Hand | None = None,
    ) -> AsyncGenerator[list[BatchWorker]]:
        parts = self.parts(commits, counters_are_shared=counters_are_shared, hand=hand)
        found = [BatchWorker(parts) for _ in range(workers)]
        tasks = [asyncio.create_task(worker.run()) for worker in found]
        try:
            yield found
        finally:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
                assert task.cancelled()

    async def send(
        self,
        *texts: str,
        name: str = "msgbatch_1",
        model: str = "claude-x",
        workspace_id: str | None = None,
    ) -> None:
        """Make a batch with a request for each of these prompts."""
        await add_batch(
            self.database,
            a_batch(name, self.org.clock(), workspace_id=workspace_id),
            [NewRequest(at, f"r{at}", at, params(text, model)) for at, text in enumerate(texts)],
        )

    async def send_mixed(self, requests: Sequence[tuple[str, str]]) -> None:
        """Make a batch with a request for each prompt and model."""
        models = list(dict.fromkeys(model for _, model in requests))
        await add_batch(
            self.database,
            a_batch("msgbatch_1", self.org.clock(), workspace_id=None),
            [
                NewRequest(at, f"r{at}", rank_of(models.index(model), at), params(text, model))
                for at, (text, model) in enumerate(requests)
            ],
        )

    async def ended(self, name: str = "msgbatch_1") -> Batch:
        async def batch() -> Batch | None:
            found = await stored_batch(self.database, name)
            return found if found.ended_at else None

        return await until(batch)

    async def rests(self) -> str:
        """Wait until the batch waits for something; return for what."""

        async def reason() -> str | None:
            return (await stored_batch(self.database)).waits_for

        return await until(reason)

    async def running(self) -> None:
        async def held() -> int:
            return (await self.balance()).held

        await until(held)

    async def settled(self) -> None:
        async def no_owners() -> bool:
            return {owner for (owner,) in await stored_rows(self.database, "worker")} == {None}

        await until(no_owners)

    async def balance(self) -> Balance:
        """What the organization spent and holds today."""
        await self.org.platform.ledger.flush()
        directory = await self.org.platform.accounts.current()
        scopes = [(Scope.ORGANIZATION, directory.organization.id)]
        accounts = accounts_of(scopes, midnight(day_of(self.org.clock())))
        return (await self.org.platform.admitter._counters.balance(accounts))[0]


async def until(found: Callable[[], Awaitable[T | None]]) -> T:
    """Ask the database until it has something; it has no events."""
    async with asyncio.timeout(20):
        while not (value := await found()):  # noqa: ASYNC110 - as said
            await asyncio.sleep(0.005)
    return value


def params(text: str, model: str = "claude-x") -> bytes:
    body = {**HELLO, "model": model, "messages": [{"role": "user", "content": text}]}
    return msgspec.json.encode(body)


@pytest.fixture
def workshop(organization: StartOrganization) -> Any:
    async def start(settings: dict[str, Any] | None = None, **options: Any) -> Workshop:
        chosen = {"workers": 0, "admin_key": ADMIN, **(settings or {})}
        org = await organization(
            chosen, price=PRICE, text="one two three", replies=REPLIES, **options
        )
        return Workshop(org)

    return start


async def test_requests_are_charged_once_and_leave_no_hold(workshop: Any) -> None:
    shop = await workshop()
    await shop.send(*["Hi"] * 12)
    async with shop.working():
        batch = await shop.ended()
        await shop.settled()
    assert batch.succeeded == 12
    assert len(await charged(shop.database)) == 12
    assert await shop.balance() == Balance(12 * COST, 0)


async def test_failing_engine_is_tried_again_and_the_request_ends_errored(workshop: Any) -> None:
    shop = await workshop()
    await shop.send("fail", "Hi")
    async with shop.working():
        batch = await shop.ended()
    assert (batch.succeeded, batch.errored) == (1, 1)
    assert {0.5, 1.0} <= set(shop.pauses)
    [failed, _] = await stored_rows(shop.database, "result")
    error = msgspec.json.decode(failed[0])["error"]
    assert (error["type"], error["error"]["type"]) == ("error", "api_error")
    assert error["request_id"].startswith("workerreq_")
    assert await shop.balance() == Balance(COST, 0)


async def test_batch_for_a_model_that_is_away_rests_and_stops_no_other(workshop: Any) -> None:
    shop = await workshop()
    # More than a worker has in hand at first.
    await shop.send(*["overload"] * 10)
    async with shop.working():
        assert "verload" in await shop.rests()
        await shop.send("Hi", name="msgbatch_2")
        assert (await shop.ended("msgbatch_2")).succeeded == 1
    assert await shop.balance() == Balance(COST, 0)


async def test_model_that_is_away_stops_no_other_of_its_batch(workshop: Any) -> None:
    other = ModelSettings(id="other", engine="scripted", price=PRICE, options={"text": "one"})
    shop = await workshop(others=[other])
    shop.faster = 10
    await shop.send_mixed([("overload", "claude-x")] * 10 + [("Hi", "other")] * 40)
    async with shop.working(Kept):
        assert await until(lambda: succeeded(shop)) == 40
        # Only now nothing of the batch can go on.
        assert "verload" in await shop.rests()
    states = [state for (state,) in await stored_rows(shop.database, "state")]
    assert states == [RowState.PENDING] * 10 + [RowState.SUCCEEDED] * 40


async def succeeded(shop: Workshop) -> int | None:
    """Return how many requests have succeeded, once the models that are there have no work."""
    rows = await stored_rows(shop.database, "number", "state")
    if all(state > RowState.CLAIMED for number, state in rows if number >= 10):
        return sum(state == RowState.SUCCEEDED for _, state in rows)
    assert (await stored_batch(shop.database)).waits_for is None
    return None


async def test_spend_limit_rests_a_batch_that_goes_on_after_a_raise(workshop: Any) -> None:
    shop = await workshop()
    scope = {"type": "organization"}
    worst = (5 * 3000 + 100 * 15000) // 2 + 1
    await shop.org.spend_limit(scope, worst + COST)
    await shop.send(*["Hi"] * 6)
    async with shop.working():
        reason = await shop.rests()
        assert "limit" in reason
        assert all(tries == 0 for (tries,) in await stored_rows(shop.database, "tries"))
        await shop.org.spend_limit(scope, 100 * worst)
        assert (await shop.ended()).succeeded == 6
    assert await shop.balance() == Balance(6 * COST, 0)


async def test_requests_of_a_batch_share_what_is_left_under_a_spend_limit(workshop: Any) -> None:
    """Each one holds its worst case; the others go on as soon as that is settled."""
    shop = await workshop()
    worst = (5 * 3000 + 100 * 15000) // 2 + 1
    await shop.org.spend_limit({"type": "organization"}, worst + 6 * COST)
    await shop.send(*["Hi"] * 6)
    async with shop.working():
        assert (await shop.ended()).succeeded == 6
    assert await shop.balance() == Balance(6 * COST, 0)


async def test_batch_tells_that_the_money_left_is_held_while_it_is(workshop: Any) -> None:
    shop = await workshop()
    scope = {"type": "organization"}
    worst = (6 * 3000 + 100 * 15000) // 2 + 1
    await shop.org.spend_limit(scope, worst + COST)
    await shop.send("slow", "Hi")

    async def slowed_by() -> str | None:
        return (await stored_batch(shop.database)).slowed_by

    async def goes_on() -> bool:
        return await slowed_by() is None

    async def answered() -> bool:
        return (await stored_batch(shop.database)).succeeded == 1

    async def hindrance_of(name: str) -> str | None:
        return (await stored_batch(shop.database, name)).hindrance

    async with shop.working():
        await shop.running()
        reason = await until(slowed_by)
        assert reason.endswith("of the organization is held for requests that are running.")
        assert (await stored_batch(shop.database)).hindrance == f"It is slow: {reason}"
        await shop.org.spend_limit(scope, 100 * worst)
        await until(answered)
        await until(goes_on)
        await shop.org.spend_limit(scope, worst + COST)
        await shop.send("Hi", name="msgbatch_2")
        await until(lambda: hindrance_of("msgbatch_2"))
    # Whoever stops leaves no word of what it alone knew.
    assert (await stored_batch(shop.database, "msgbatch_2")).hindrance is None


async def test_batch_tells_that_it_makes_way_for_interactive_requests_while_it_does(
    workshop: Any,
) -> None:
    shop = await workshop(computes_here=True)
    gate = shop.org.platform.models.served[0].gate
    await gate.enter()
    await shop.send("slow", "Hi")

    async def slowed_by() -> str | None:
        return (await stored_batch(shop.database)).slowed_by

    async def goes_on() -> bool:
        return await slowed_by() is None

    async with shop.working():
        assert await until(slowed_by) == MAKES_WAY
        gate.leave()
        await until(goes_on)
        await shop.running()
        # What runs is parked, which is a wait as well.
        await gate.enter()
        assert await until(slowed_by) == MAKES_WAY
    # Whoever stops leaves no word of what it alone knew.
    assert await slowed_by() is None


async def test_batch_that_makes_way_and_waits_for_money_tells_of_the_money(workshop: Any) -> None:
    shop = await workshop(computes_here=True)
    gate = shop.org.platform.models.served[0].gate
    await gate.enter()
    await shop.send("Hi")
    ticket = gate.batches.ticket(lambda: None)
    entering = asyncio.create_task(ticket.enter())
    await asyncio.sleep(0)
    slow, request = SlowBatches(shop.database), ClaimedRequest("msgbatch_1", 0, "r0", 0, b"{}")
    slow.queued(request, ticket)
    slow.waits(request, "The money is held.")
    for reason in ("The money is held.", MAKES_WAY, None):
        await slow.tell()
        assert (await stored_batch(shop.database)).slowed_by == reason
        (slow.goes_on if reason != MAKES_WAY else slow.ended)(request)
    entering.cancel()
    await asyncio.wait([entering])


async def test_request_that_is_stopped_before_its_first_step_is_given_back(
    workshop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, stopped = InHand.start, []

    def start_and_stop(
        in_hand: InHand, request: ClaimedRequest, task: "asyncio.Task[None]"
    ) -> None:
        start(in_hand, request, task)
        if not stopped:
            stopped.append(task)
            task.cancel()

    monkeypatch.setattr(InHand, "start", start_and_stop)
    shop = await workshop()
    await shop.send("Hi")
    async with shop.working():
        assert (await shop.ended()).succeeded == 1
    assert len(stopped) == 1


async def test_stopped_worker_gives_back_without_a_try(workshop: Any) -> None:
    shop = await workshop()
    await shop.send("slow", "slow")
    async with shop.working():
        await shop.running()
    rows = await stored_rows(shop.database, "state", "tries", "worker")
    assert rows == [(0, 0, None)] * 2
    assert await shop.balance() == Balance(0, 0)
    async with shop.database.read() as connection:
        (lease_until,) = await connection.scalars(select(batch_workers.c.lease_until))
    assert lease_until.year == 1970


async def test_worker_that_is_stopped_again_and_again_gives_back(workshop: Any) -> None:
    """A server that stops cancels its workers, and then whatever waits for them."""
    shop = await workshop()
    await shop.send("slow", "slow")
    running = asyncio.create_task(BatchWorker(shop.parts()).run())
    await shop.running()
    while not running.done():
        running.cancel()
        await asyncio.sleep(0)
    assert running.cancelled()
    assert await stored_rows(shop.database, "state", "tries", "worker") == [(0, 0, None)] * 2
    assert await shop.balance() == Balance(0, 0)


async def test_signal_to_stop_gives_back_while_interactive_requests_still_run(
    organization: StartOrganization,
) -> None:
    org = await organization({"workers": 1}, price=PRICE, text="one two three", replies=REPLIES)
    shop = Workshop(org)
    await shop.send("slow", "slow")

    async def claimed() -> bool:
        return {owner for (owner,) in await stored_rows(shop.database, "worker")} != {None}

    await until(claimed)
    await shop.running()
    org.platform.stopping.set()
    await shop.settled()
    rows = await stored_rows(shop.database, "state", "tries", "worker")
    assert rows == [(0, 0, None)] * 2
    # The platform is still open, and claims nothing any more.
    await asyncio.sleep(0.1)
    assert await stored_rows(shop.database, "state", "tries", "worker") == rows
    assert await shop.balance() == Balance(0, 0)


async def test_poisoned_request_is_errored_and_stops_no_other(workshop: Any) -> None:
    def check(params: CreateMessageParams) -> None:
        if params.messages[0].content == "defect":
            raise ValueError
        if params.messages[0].content == "nested":
            check(params)

    shop = await workshop()
    shop.check_with(check)
    await shop.send("nested", "defect", "Hi")
    async with shop.working():
        batch = await shop.ended()
        await shop.send("Hi", name="msgbatch_2")
        assert (await shop.ended("msgbatch_2")).succeeded == 1
    assert (batch.succeeded, batch.errored) == (1, 2)
    results = [
        msgspec.json.decode(result) for (result,) in await stored_rows(shop.database, "result")
    ]
    kinds = [result["error"]["error"]["type"] for result in results if "error" in result]
    assert kinds == ["invalid_request_error", "api_error"]


class BrokenCommits(GroupCommit):
    """The first commits meet a defect."""

    left = 0

    async def _store(self, *args: Any) -> None:
        if BrokenCommits.left:
            BrokenCommits.left -= 1
            raise ValueError
        await super()._store(*args)


async def test_worker_that_meets_a_defect_logs_it_and_goes_on_after_a_pause(
    workshop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BrokenCommits, "left", 2)
    shop = await workshop()
    await shop.send(*["Hi"] * 4)
    with capture_logs() as logs:
        async with shop.working(BrokenCommits):
            assert (await shop.ended()).succeeded == 4
            await shop.settled()
    told = [line for line in logs if line["event"] == "batches.worker_failed"]
    assert [line["log_level"] for line in told] == ["error"] * 2
    assert [cause["exception"] for cause in frames_only(told[0])["causes"]] == ["ValueError"]
    assert {0.5, 1.0} <= set(shop.pauses)
    assert await shop.balance() == Balance(4 * COST, 0)


async def test_worker_that_cannot_look_for_work_goes_on_after_a_pause(
    workshop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = [ValueError(), ValueError()]

    async def look(*args: Any) -> bool:
        if faults:
            raise faults.pop()
        return await has_work(*args)

    monkeypatch.setattr("antiphon.service.batches.worker.has_work", look)
    shop = await workshop()
    await shop.send("Hi")
    async with shop.working():
        assert (await shop.ended()).succeeded == 1
    assert not faults


class LostAnswers(GroupCommit):
    """The first commit is done, and nobody hears of it."""

    lost = False

    async def _store(self, *args: Any) -> None:
        await super()._store(*args)
        if not LostAnswers.lost:
            LostAnswers.lost = True
            raise DatabaseUnavailableError("the answer is lost")


class LostCommits(GroupCommit):
    """The first commit is not done."""

    lost = False

    async def _store(self, *args: Any) -> None:
        if not LostCommits.lost:
            LostCommits.lost = True
            raise DatabaseUnavailableError("the database is away")
        await super()._store(*args)


@pytest.mark.parametrize("commits", [LostAnswers, LostCommits])
async def test_commit_with_an_unknown_end_charges_once(
    workshop: Any, commits: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However many settlements come between, and are all that the counters remember.
    monkeypatch.setattr(tally, "REMEMBERED", 1)
    commits.lost = False
    shop = await workshop()
    await shop.send(*["Hi"] * 4)
    async with shop.working(commits):
        batch = await shop.ended()
        await shop.settled()
    assert commits.lost
    assert batch.succeeded == 4
    # The database was away, and the worker was not: that is no try.
    assert {tries for (tries,) in await stored_rows(shop.database, "tries")} == {0}
    assert len(await charged(shop.database)) == 4
    assert await shop.balance() == Balance(4 * COST, 0)


async def unsettled(shop: Workshop) -> str:
    """Let a worker commit a result, and die before it is settled; return the id of its entry."""
    await shop.send("Hi")
    worker = await add_worker(shop.database, "worker_dead")
    [request] = (await take(shop.database, worker)).requests
    run = await shop.runner.run(
        BatchRequest(
            batch_id="msgbatch_1",
            params=request.params,
            version="2023-06-01",
            betas=frozenset(),
            api_key_id="apikey_1",
        )
    )
    assert isinstance(run, RunSucceeded)
    done = FinishedRequest("msgbatch_1", 0, RowState.SUCCEEDED, b'{"type":"x"}', run.entry)
    async with shop.database.write() as connection:
        await commit(connection, worker, [done])
    await end_lease(shop.database, worker)
    return run.entry.id


async def test_charge_of_a_dead_worker_is_settled_once_in_shared_counters(workshop: Any) -> None:
    shop = await workshop()
    await unsettled(shop)
    assert (await shop.balance()).spent == 0
    for _ in range(2):
        async with shop.working(counters_are_shared=True):
            await shop.settled()
    assert await shop.balance() == Balance(COST, 0)


async def test_counters_in_memory_are_not_told_of_what_they_began_with(workshop: Any) -> None:
    shop = await workshop()
    await unsettled(shop)
    before = await shop.balance()
    async with shop.working():
        await shop.settled()
    assert await shop.balance() == before


async def test_new_shared_counters_know_which_charges_will_come_again(workshop: Any) -> None:
    shop = await workshop()
    entry_id = await unsettled(shop)
    totals = SpentTotals(shop.database, shop.org.clock, with_settled=True)
    # It ended long ago, so it is not there as one of the last hour.
    shop.org.clock.passes(hours=2)
    assert (await totals()).settled == (entry_id,)


@pytest.mark.parametrize("workers", [1, 2])
async def test_suspected_requests_run_alone(workshop: Any, workers: int) -> None:
    shop = await workshop()
    texts = [f"Hi {number}" for number in range(9)]
    await shop.send(*texts)
    suspected = {2, 3, 7}
    async with shop.database.write() as connection:
        rows = update(batch_requests).where(batch_requests.c.number.in_(suspected))
        await connection.execute(rows.values(tries=2))
    async with shop.working(workers=workers):
        assert (await shop.ended()).succeeded == 9
    most = [shop.runner.most[params(text)] for text in texts]
    assert [most[number] for number in sorted(suspected)] == [1, 1, 1]
    assert max(most) > 1


@pytest.mark.parametrize("workers", [1, 2])
async def test_nothing_is_claimed_beside_a_suspected_request(workshop: Any, workers: int) -> None:
    shop = await workshop()
    await shop.send("a while")
    async with shop.database.write() as connection:
        await connection.execute(update(batch_requests).values(tries=2))
    async with shop.working(workers=workers) as found:
        await shop.running()
        await shop.send("Hi", name="msgbatch_2")
        for worker in found:
            worker.wake()
        assert (await shop.ended("msgbatch_2")).succeeded == 1
        assert (await shop.ended()).succeeded == 1
    assert shop.runner.most == {params("a while"): 1, params("Hi"): 1}


async def test_group_that_is_not_owned_is_not_stored_in_part(workshop: Any) -> None:
    shop = await workshop()
    await shop.send("Hi", "Hi")
    worker = await add_worker(shop.database, "worker_1")
    requests = (await take(shop.database, worker)).requests
    done: list[int] = []
    commits = GroupCommit(
        shop.database,
        shop.org.platform.ledger,
        lambda: worker,
        done.append,
        counters_are_shared=False,
    )
    await end_lease(shop.database, worker)
    for request in requests:
        commits.add(Ending(request))
    with pytest.raises(LeaseLostError):
        await commits.flush()
    assert done == []
    states = await stored_rows(shop.database, "state", "worker")
    assert states == [(1, "worker_1")] * 2


async def test_tenure_that_has_not_begun_leaves_nothing_to_close(workshop: Any) -> None:
    shop = await workshop()
    work = asyncio.Event()
    begun = Tenure(shop.parts(), work)
    running = asyncio.create_task(begun.run())
    await shop.send("slow")
    work.set()
    await shop.running()
    running.cancel()
    await asyncio.wait([running])
    assert begun.left == ()
    never = Tenure(shop.parts(), work, (begun,))
    assert never.left == (begun,)


class Kept(GroupCommit):
    """Counts the requests that are given back."""

    given_back = 0

    async def _store(self, endings: Any, *rest: Any) -> None:
        Kept.given_back += sum(ending.finished is None for ending in endings)
        await super()._store(endings, *rest)


@pytest.fixture
def crowded(workshop: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Starts a workshop where an interactive request is at the model `busy` all the time."""
    monkeypatch.setattr(Kept, "given_back", 0)

    async def start(**options: Any) -> tuple[Workshop, Gate]:
        here = {"computes_here": True, "text": "one two three", "replies": REPLIES, **options}
        busy = ModelSettings(id="busy", engine="scripted", price=PRICE, options=here)
        shop: Workshop = await workshop(others=[busy])
        # Batches rest for longer than a group of endings waits for its commit.
        shop.patience_s, shop.faster = 0.05, 10
        gate = shop.org.platform.models.find("busy").gate
        await gate.enter()
        return shop, gate

    return start


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("sizes", [[100], [3] * 30], ids=["one", "many"])
async def test_batches_of_a_busy_model_do_not_stop_those_of_another(
    crowded: Any, sizes: list[int], workers: int
) -> None:
    shop, gate = await crowded()
    busy = [f"msgbatch_busy{number:02}" for number in range(len(sizes))]
    for name, size in zip(busy, sizes, strict=True):
        await shop.send(*["Hi"] * size, name=name, model="busy")
    async with shop.working(Kept, workers=workers):
        await until(lambda: claimed(shop))
        await shop.send(*["Hi"] * 50, name="msgbatch_same")
        await shop.send(*["Hi"] * 50, name="msgbatch_other", workspace_id="wrkspc_b")
        for name in ("msgbatch_same", "msgbatch_other"):
            assert (await shop.ended(name)).succeeded == 50
        assert (await stored_batch(shop.database, busy[0])).succeeded == 0
        # What kept its place begins as soon as the model has room.
        assert await claimed(shop)
        gate.leave()
        for name, size in zip(busy, sizes, strict=True):
            assert (await shop.ended(name)).succeeded == size
        await shop.settled()
    assert {tries for (tries,) in await stored_rows(shop.database, "tries")} == {0}
    assert len(await charged(shop.database)) == 100 + sum(sizes)


@pytest.mark.parametrize("workers", [1, 2])
async def test_busy_model_does_not_stop_another_one_of_its_batch(
    crowded: Any, workers: int
) -> None:
    shop, gate = await crowded()
    await shop.send_mixed([*[("Hi", "busy")] * 50, *[("Hi", "claude-x")] * 40])
    async with shop.working(Kept, workers=workers):

        async def others_are_done() -> bool:
            rows = await stored_rows(shop.database, "number", "state")
            return all(state == RowState.SUCCEEDED for number, state in rows if number >= 50)

        await until(others_are_done)
        assert (await stored_batch(shop.database)).succeeded == 40
        gate.leave()
        assert (await shop.ended()).succeeded == 90


async def claimed(shop: Workshop) -> int:
    """Return how many requests workers own."""
    return sum(state == RowState.CLAIMED for (state,) in await stored_rows(shop.database, "state"))


@pytest.mark.parametrize("batches", [1, 2])
async def test_all_stays_in_hand_while_no_other_batch_has_work(crowded: Any, batches: int) -> None:
    shop, gate = await crowded()
    for number in range(batches):
        await shop.send(*["Hi"] * 12, name=f"msgbatch_{number}", model="busy")
    async with shop.working(Kept):
        await until(lambda: claimed(shop))
        await asyncio.sleep(20 * shop.patience_s)
        rows = await stored_rows(shop.database, "state")
        await asyncio.sleep(10 * shop.patience_s)
        assert await stored_rows(shop.database, "state") == rows
        owned = await stored_rows(shop.database, "batch_id", "worker")
        assert {batch_id for batch_id, owner in owned if owner} == {row[0] for row in owned}
        gate.leave()
        for number in range(batches):
            assert (await shop.ended(f"msgbatch_{number}")).succeeded == 12
    assert Kept.given_back == 0


@pytest.mark.parametrize("parks", [True, False])
async def test_begun_requests_are_kept_when_they_make_way(crowded: Any, *, parks: bool) -> None:
    shop, gate = await crowded(parks=parks)
    gate.leave()
    texts = ["a while" + " " * number for number in range(FEWEST_IN_HAND)]
    await shop.send(*texts, *["Hi"] * 20, model="busy")
    async with shop.working(Kept):
        await until(lambda: all_run(gate, parks=parks))
        await gate.enter()
        await shop.send(*["Hi"] * 20, name="msgbatch_2")
        assert (await shop.ended("msgbatch_2")).succeeded == 20
        assert await claimed(shop) >= FEWEST_IN_HAND
        gate.leave()
        assert (await shop.ended()).succeeded == FEWEST_IN_HAND + 20
    assert Kept.given_back == 0
    if parks:
        assert {shop.runner.runs[params(text, "busy")] for text in texts} == {1}


async def all_run(gate: Gate, *, parks: bool) -> bool:
    """Return whether the engine works on a whole hand, and can park it if it `parks` at all."""
    running = gate.batches.lane.running
    return len(running) == FEWEST_IN_HAND and all(ticket.parks == parks for ticket in running)


async def test_what_has_not_begun_is_given_back_but_for_some(crowded: Any) -> None:
    shop, gate = await crowded()
    hand = Hand()
    for _ in range(10):
        hand.adapt(0)
    await shop.send(*["Hi"] * 400, model="busy")
    async with shop.working(Kept, hand=hand):
        await until(lambda: claimed(shop))
        await shop.send(*["Hi"] * 50, name="msgbatch_2")
        assert (await shop.ended("msgbatch_2")).succeeded == 50
        assert Kept.given_back == 400 - FEWEST_IN_HAND
        gate.leave()
        assert (await shop.ended()).succeeded == 400
    assert {tries for (tries,) in await stored_rows(shop.database, "tries")} == {0}


async def test_suspected_request_of_a_busy_model_makes_room(crowded: Any) -> None:
    shop, gate = await crowded()
    await shop.send(*["Hi"] * 3, model="busy")
    async with shop.database.write() as connection:
        await connection.execute(update(batch_requests).values(tries=2))
    async with shop.working(Kept):
        await until(lambda: claimed(shop))
        await shop.send(*["Hi"] * 10, name="msgbatch_2")
        assert (await shop.ended("msgbatch_2")).succeeded == 10
        gate.leave()
        assert (await shop.ended()).succeeded == 3
    assert shop.runner.most[params("Hi", "busy")] == 1
