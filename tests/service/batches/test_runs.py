"""Runs of batch requests through the real pipeline, over the scripted engine."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import anyio
import msgspec
import pytest
from sqlalchemy import select

from antiphon.core.billing.reports import Span, buckets
from antiphon.core.errors import ApiError, InvalidRequestError
from antiphon.core.limits.periods import day_of, midnight
from antiphon.core.limits.spend import accounts_of
from antiphon.core.limits.values import Balance, Scope
from antiphon.service.access import Caller, RequestContext
from antiphon.service.answer import Answer, TakeGroup
from antiphon.service.batches.runs import (
    BatchRequest,
    BatchRun,
    BatchRunner,
    GiveUp,
    RunErrored,
    RunGivenUp,
    RunSucceeded,
    decode_params,
)
from antiphon.service.limits.batch_lane import BatchLane
from antiphon.service.platform import Platform
from antiphon.settings import PriceSettings
from antiphon.store.database.errors import DatabaseUnavailableError
from antiphon.store.database.tables import ledger
from antiphon.store.ledger import add_entries
from antiphon.wire.messages import CreateMessageParams, Message
from support.asgi import HELLO, KEY
from support.logs import capture_logs
from support.organization import StartPlatform

pytestmark = pytest.mark.anyio

VERSION = "2023-06-01"
PRICE = PriceSettings(input=Decimal(3), output=Decimal(15))
# "Hi" is 5 tokens, and the answer 4: three words and its end.
INPUT_COST, OUTPUT_COST = 5 * 3000, 4 * 15000
REPLIES = [
    {"when": "overload", "error": "overloaded"},
    {"when": "fail", "text": "one two three", "error": "failed", "after": 2},
    {"when": "late", "error": "timeout"},
    {"when": "cannot", "error": "unsupported"},
    {"when": "slow", "text": "one two three", "delay_s": 60},
]


def no_rules(params: CreateMessageParams) -> None:
    """Take all parameters."""


class Office:
    """A platform with a runner of batches, and a caller of interactive requests."""

    def __init__(self, platform: Platform, caller: Caller) -> None:
        self.platform = platform
        self.caller = caller
        self.runner = self.runner_with(no_rules)

    def runner_with(self, check: Callable[[CreateMessageParams], None]) -> BatchRunner:
        one = self.platform
        return BatchRunner(one.messages, one.accounts, one.ledger, one.entropy, check)

    def request(self, text: str = "Hi", version: str = VERSION, **fields: Any) -> BatchRequest:
        body = {**HELLO, "messages": [{"role": "user", "content": text}], **fields}
        return self.raw(msgspec.json.encode(body), version)

    def raw(self, params: bytes, version: str = VERSION) -> BatchRequest:
        return BatchRequest(
            batch_id="msgbatch_1",
            params=params,
            version=version,
            betas=frozenset(),
            api_key_id=self.caller.key_id,
        )

    async def run(self, text: str = "Hi", **fields: Any) -> BatchRun:
        return await self.runner.run(self.request(text, **fields))

    @asynccontextmanager
    async def answer(self, text: str = "Hi") -> AsyncGenerator[Answer]:
        body = {**HELLO, "messages": [{"role": "user", "content": text}]}
        params = msgspec.convert(body, CreateMessageParams)
        context = RequestContext(self.caller, f"req_{id(body)}", VERSION)
        async with self.platform.messages.answer(params, context) as answer:
            yield answer

    async def commit(self, *runs: BatchRun) -> None:
        """Add the entries of runs to the database, and have them settled."""
        entries = [run.entry for run in runs if isinstance(run, RunSucceeded)]
        async with self.platform.database.write() as connection:
            await add_entries(connection, entries)
        await self.platform.ledger.settle_committed(entries)

    async def rows(self) -> list[Any]:
        await self.platform.ledger.flush()
        async with self.platform.database.read() as connection:
            return list((await connection.execute(select(ledger))).mappings())

    async def balance(self) -> Balance:
        """What the organization spent and holds today."""
        directory = await self.platform.accounts.current()
        scopes = [(Scope.ORGANIZATION, directory.organization.id)]
        accounts = accounts_of(scopes, midnight(day_of(datetime.now(UTC))))
        counters = self.platform.admitter._counters
        return (await counters.balance(accounts))[0]

    @property
    def lane(self) -> BatchLane:
        return self.platform.models.served[0].gate.batches.lane

    async def generating(self, number: int) -> None:
        """Wait until the engine works on so many requests of batches."""
        with anyio.fail_after(10):
            while sum(one._stop is not None for one in self.lane.running) < number:  # noqa: ASYNC110 - engines tell nobody
                await anyio.sleep(0.01)

    async def writing(self) -> None:
        """Wait until all that runs has its first token."""
        with anyio.fail_after(10):
            while not (now := (await self.platform.running.show()).data) or any(  # noqa: ASYNC110 - as above
                one.first_token_at is None for one in now
            ):
                await anyio.sleep(0.001)

    async def begun(self) -> None:
        """Wait until a batch request holds money: its answer is being made."""
        await self.platform.ledger.flush()
        with anyio.fail_after(10):
            while not (await self.balance()).held:  # noqa: ASYNC110 - counters have no events
                await anyio.sleep(0.001)


@pytest.fixture
def start(platform: StartPlatform) -> Any:
    async def start(settings: dict[str, Any] | None = None, **options: Any) -> Office:
        options = {"text": "one two three", "replies": REPLIES, **options}
        made = await platform(settings, price=PRICE, **options)
        return Office(made, await made.access.authenticate(KEY, None))

    return start


async def test_run_gives_the_message_and_the_entry_at_half_the_price(start: Any) -> None:
    office = await start()
    run = await office.run()
    assert isinstance(run, RunSucceeded)
    message = msgspec.json.decode(run.message)
    assert message["content"][0]["text"] == "one two three"
    assert message["usage"]["service_tier"] == "batch"
    assert message["usage"]["inference_geo"] == "not_available"
    assert (message["usage"]["input_tokens"], message["usage"]["output_tokens"]) == (5, 4)
    entry = run.entry
    assert (entry.batch_id, entry.service_tier) == ("msgbatch_1", "batch")
    assert entry.id.startswith("workerreq_")
    assert entry.api_key_id == office.caller.key_id
    assert entry.workspace_id is None
    assert entry.first_token_at is not None
    assert (entry.costs.input, entry.costs.output) == (INPUT_COST // 2, OUTPUT_COST // 2)
    assert entry.uncached_cost == INPUT_COST // 2
    async with office.answer() as answer:
        message_of_standard: Message = await answer.message()
    assert message_of_standard.usage.service_tier == "standard"


async def test_run_records_nothing_before_its_entry_is_committed(start: Any) -> None:
    office = await start()
    run = await office.run()
    assert await office.rows() == []
    held = (await office.balance()).held
    # Each of the two parts of the prompt that are rounded up may cost half a nano-dollar more.
    assert held - (5 * 3000 + 100 * 15000) // 2 in {0, 1}
    await office.commit(run)
    assert await office.balance() == Balance((INPUT_COST + OUTPUT_COST) // 2, 0)
    [row] = await office.rows()
    assert (row["batch_id"], row["service_tier"]) == ("msgbatch_1", "batch")


async def test_entry_that_is_settled_again_counts_once(start: Any) -> None:
    office = await start()
    run = await office.run()
    await office.commit(run)
    await office.commit(run, run)
    assert await office.balance() == Balance((INPUT_COST + OUTPUT_COST) // 2, 0)


async def test_released_entry_frees_its_hold_and_costs_nothing(start: Any) -> None:
    office = await start()
    run = await office.run()
    office.platform.ledger.release(run.entry.id)
    await office.platform.ledger.flush()
    assert await office.balance() == Balance(0, 0)
    assert await office.rows() == []


async def test_batch_draws_no_rate_limit(start: Any) -> None:
    office = await start({"limits": {"requests_per_minute": 2}})
    for _ in range(4):
        assert isinstance(await office.run(), RunSucceeded)
    async with office.answer() as answer:
        assert answer.headers["anthropic-ratelimit-requests-remaining"] == "1"


async def test_report_names_the_cost_of_batches(start: Any) -> None:
    office = await start()
    await office.commit(await office.run())
    now = datetime.now(UTC)
    today = datetime(now.year, now.month, now.day, tzinfo=UTC)
    asked = buckets("1d", Span(starting_at=today.isoformat()), now)
    report = await office.platform.reports.costs(asked, ["description"])
    lines = {line.description: line for bucket in report.data for line in bucket.results}
    line = lines["claude-x Usage (batch) - Input Tokens"]
    assert (line.service_tier, line.amount) == ("batch", "0.00075")


async def test_spend_limit_keeps_a_run_back_and_holds_nothing(start: Any) -> None:
    # An interactive request would hold 0.1515 cents, a run of a batch half of it.
    office = await start({"limits": {"monthly_spend": "0.001", "spend_wait_s": 0}})
    with pytest.raises(ApiError, match="usage"):
        async with office.answer():
            pass
    run = await office.run()
    assert isinstance(run, RunSucceeded)
    busy = await office.run()
    assert isinstance(busy, RunGivenUp)
    assert busy.reason is GiveUp.MONEY_HELD
    limit = "the monthly limit of $0.001 of the server for the organization"
    held = f"The money that is left under {limit} is held for requests that are running."
    assert busy.error.message == held
    await office.commit(run)
    many = await office.run(max_tokens=1000)
    assert many.reason is GiveUp.SPEND_LIMIT
    assert "You will regain access on" in many.error.message
    assert many.error.message.endswith(f"This is {limit}.")
    assert (await office.balance()).held == 0


async def test_run_is_parked_for_an_interactive_request(start: Any) -> None:
    office = await start(computes_here=True, tokens_per_second=20)
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(office.run()) for _ in range(2)]
        await office.generating(2)
        async with office.answer() as answer:
            await answer.message()
            assert not office.lane.running
            assert office.lane.waiting == 2
        for run in running:
            assert isinstance(await run, RunSucceeded)
    use = office.lane.idle_use
    assert (use.yielded, use.delayed) == (2, 1)
    assert 0 < use.longest_delay_s < 1


async def test_run_tells_how_long_it_was_parked(start: Any) -> None:
    office = await start(computes_here=True, tokens_per_second=20)
    running = asyncio.create_task(office.run())
    await office.writing()
    async with office.answer() as answer:
        await answer.message()
        assert office.lane.waiting == 1
        now = await office.platform.running.show()
        assert {one.batch_id: one.is_parked for one in now.data} == {
            "msgbatch_1": True,
            None: False,
        }
    run = await running
    assert isinstance(run, RunSucceeded)
    told = run.note.facts.parked
    assert told is not None
    assert told.prefill_us == 0 < told.decode_us
    assert (await office.run()).note.facts.parked is None


async def test_run_that_is_cancelled_while_it_is_parked_leaves_nothing(start: Any) -> None:
    office = await start(computes_here=True)
    running = asyncio.create_task(office.run("slow"))
    await office.generating(1)
    async with office.answer() as answer:
        await answer.message()
        running.cancel()
        await asyncio.wait([running])
        assert running.cancelled()
        assert office.lane.waiting == 0
    await office.platform.ledger.flush()
    assert (await office.balance()).held == 0
    assert isinstance(await office.run(), RunSucceeded)


async def test_run_on_an_engine_that_cannot_park_ends_for_an_interactive_request(
    start: Any,
) -> None:
    office = await start(computes_here=True, parks=False)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(office.run("slow"))
        waiting = group.create_task(office.run("slow"))
        await office.begun()
        async with office.answer() as answer:
            assert (await answer.message()).content[0].text == "one two three"
            assert (await running).reason is GiveUp.YIELDED
            assert (await waiting).reason is GiveUp.YIELDED
    [row] = await office.rows()
    assert row["service_tier"] == "standard"
    assert (await office.balance()).held == 0
    use = office.lane.idle_use
    assert (use.yielded, use.delayed) == (2, 1)
    assert 0 < use.longest_delay_s < 1
    assert use.busy_s > 0


async def test_run_on_an_upstream_goes_on_beside_interactive_requests(start: Any) -> None:
    office = await start(tokens_per_second=1000)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(office.run())
        await office.begun()
        async with office.answer() as answer:
            await answer.message()
        assert isinstance(await running, RunSucceeded)
    assert office.lane.idle_use.yielded == 0


async def test_run_waits_while_an_interactive_request_is_in(start: Any) -> None:
    office = await start(computes_here=True)
    async with asyncio.TaskGroup() as group:
        async with office.answer():
            running = group.create_task(office.run())
            await anyio.sleep(0.05)
            assert not running.done()
            assert office.lane.waiting == 1
        assert isinstance(await running, RunSucceeded)


async def test_cancelled_run_releases_its_hold(start: Any) -> None:
    office = await start()
    running = asyncio.create_task(office.run("slow"))
    await office.begun()
    running.cancel()
    await asyncio.wait([running])
    assert running.cancelled()
    await office.platform.ledger.flush()
    assert await office.balance() == Balance(0, 0)
    assert not office.lane.running


@pytest.mark.parametrize(
    ("text", "reason"),
    [("overload", GiveUp.OVERLOADED), ("fail", GiveUp.FAILED), ("late", GiveUp.FAILED)],
)
async def test_failure_of_the_engine_is_no_result(start: Any, text: str, reason: GiveUp) -> None:
    office = await start()
    with capture_logs() as logs:
        run = await office.run(text)
    assert isinstance(run, RunGivenUp)
    assert run.reason is reason
    assert run.error is not None
    told = [(line["event"], line["request_id"], line["reason"]) for line in logs]
    failed = ("a run of a batch failed", run.run_id, "the script says so")
    assert told == ([failed] if reason is GiveUp.FAILED else [])
    await office.platform.ledger.flush()
    assert await office.balance() == Balance(0, 0)
    assert await office.rows() == []


async def test_error_of_a_request_is_its_result_and_free(start: Any) -> None:
    office = await start()
    run = await office.run("cannot")
    assert isinstance(run, RunErrored)
    assert run.error.type == "invalid_request_error"
    assert (run.entry.costs.total, run.entry.outcome) == (0, "failed")
    unknown = await office.run(model="gpt-x")
    assert (unknown.error.type, unknown.error.message) == ("not_found_error", "model: gpt-x")
    assert unknown.entry is None


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (b'{"model": "claude-x", "max_tokens": 1}', "messages: Field required"),
        (
            b'{"model": "claude-x", "max_tokens": 1, "messages": []}',
            "messages: at least one message is required",
        ),
        (b'{"model": "claude-x", ', "The request body is not valid JSON: "),
    ],
)
async def test_fault_of_the_parameters_is_a_result(start: Any, params: bytes, message: str) -> None:
    office = await start()
    run = await office.runner.run(office.raw(params))
    assert isinstance(run, RunErrored)
    assert run.error.message.startswith(message)


async def test_request_that_is_nested_too_deeply_is_a_result(start: Any) -> None:
    def check(params: CreateMessageParams) -> None:
        if params.messages[0].content == "nested":
            check(params)

    office = await start()
    run = await office.runner_with(check).run(office.request("nested"))
    assert isinstance(run, RunErrored)
    assert run.error.type == "invalid_request_error"
    assert run.error.message == "The request is nested too deeply"
    assert (run.entry, await office.balance()) == (None, Balance(0, 0))


async def test_engine_that_recurses_too_far_gives_a_result_that_is_free(
    start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def generate(_: Answer, __: TakeGroup) -> None:
        raise RecursionError

    office = await start()
    monkeypatch.setattr(Answer, "generate", generate)
    run = await office.run()
    assert run.error.type == "invalid_request_error"
    assert (run.entry.costs.total, run.entry.outcome) == (0, "failed")


@pytest.mark.parametrize("fault", [ValueError("what the caller sent"), MemoryError()])
async def test_defect_is_a_failure_of_its_run_alone(start: Any, fault: Exception) -> None:
    def check(_: CreateMessageParams) -> None:
        raise fault

    office = await start()
    with capture_logs() as logs:
        run = await office.runner_with(check).run(office.request())
    assert (run.reason, run.error.type) == (GiveUp.FAILED, "api_error")
    assert run.error.message == "Internal server error"
    [line] = logs
    assert (line["event"], line["log_level"]) == ("a run of a batch failed", "error")
    assert (line["request_id"], line["batch_id"]) == (run.run_id, "msgbatch_1")
    assert (line["reason"], line["exc_info"]) == (type(fault).__name__, fault)
    assert await office.balance() == Balance(0, 0)


async def test_database_that_is_away_ends_the_run_without_a_result(start: Any) -> None:
    def check(_: CreateMessageParams) -> None:
        raise DatabaseUnavailableError("away")

    office = await start()
    with pytest.raises(DatabaseUnavailableError):
        await office.runner_with(check).run(office.request())


async def test_parameters_are_decoded_by_the_version_of_the_batch(start: Any) -> None:
    office = await start()
    assert isinstance(await office.run(temperature=0.5), RunSucceeded)
    run = await office.run(version="2026-10-21", temperature=0.5)
    assert run.error.message == "temperature: Extra inputs are not permitted"


async def test_parameters_pass_the_rules_of_batches(start: Any) -> None:
    def check(params: CreateMessageParams) -> None:
        if params.stream:
            raise InvalidRequestError("no streams")

    office = await start()
    runner = office.runner_with(check)
    run = await runner.run(office.request(stream=True))
    assert run.error.message == "no streams"
    assert isinstance(await runner.run(office.request()), RunSucceeded)


async def test_run_goes_on_without_the_key_that_created_the_batch(start: Any) -> None:
    office = await start()
    request = msgspec.structs.replace(
        office.request(), api_key_id="apikey_gone", account_id="user_ada"
    )
    run = await office.runner.run(request)
    assert (run.entry.api_key_id, run.entry.account_id) == ("apikey_gone", "user_ada")


async def test_first_token_of_an_interactive_request_is_noted(start: Any) -> None:
    class Pace:
        def __init__(self) -> None:
            self.noted: list[tuple[bool, bool]] = []

        def window(self) -> int:
            return 8

        def note_first_token(self, seconds: float, *, beside_batches: bool) -> None:
            self.noted.append((0 <= seconds < 5, beside_batches))

    office, pace = await start(), Pace()
    office.platform.models.served[0].gate.batches.pacing = pace
    await office.commit(await office.run())
    async with office.answer() as answer:
        await answer.message()
    running = asyncio.create_task(office.run("slow"))
    await office.begun()
    async with office.answer() as answer:
        await answer.message()
    running.cancel()
    await asyncio.wait([running])
    assert pace.noted == [(True, False), (True, True)]


def test_decoding_raises_what_becomes_the_result() -> None:
    params = b'{"model": "m", "messages": [{"role": "user", "content": "Hi"}]}'
    with pytest.raises(InvalidRequestError, match="max_tokens: Field required"):
        decode_params(params, VERSION, frozenset())


@pytest.mark.parametrize("here", [False, True])
async def test_only_batches_that_run_beside_interactive_requests_have_a_pace(
    start: Any, *, here: bool
) -> None:
    office = await start({"workers": 1}, computes_here=here)
    [model] = office.platform.models.served
    assert (model.gate.batches.pacing is None) == here
