"""`/v1/messages/batches`, over the application and the scripted engine."""

import asyncio
import json
from collections.abc import Sized
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import func, select

from antiphon.core.validation.versions import NEWEST
from antiphon.service.batches import tenure
from antiphon.settings import PriceSettings
from antiphon.store.batches.claims import note_slowed
from antiphon.store.batches.listing import find_batch, unfinished_requests
from antiphon.store.batches.rows import Batch, RowState
from antiphon.store.batches.sections import rank_of
from antiphon.store.database.batch_tables import batch_requests
from antiphon.wire.base import CacheScope
from support.asgi import Client
from support.organization import Organization, StartOrganization

pytestmark = pytest.mark.anyio

BATCHES = "/v1/messages/batches"
PARAMS = {"model": "claude-x", "max_tokens": 20, "messages": [{"role": "user", "content": "Hi"}]}
PRICE = PriceSettings(input=Decimal(3), output=Decimal(15))
KEYS = [
    "id",
    "type",
    "processing_status",
    "request_counts",
    "ended_at",
    "created_at",
    "expires_at",
    "cancel_initiated_at",
    "archived_at",
    "results_url",
]
COUNTS = {"processing": 0, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}


def requests(*changes: dict[str, Any]) -> dict[str, Any]:
    """Return the body of a batch with a request for each of these changes of its params."""
    return {
        "requests": [
            {"custom_id": f"r{number}", "params": {**PARAMS, **one}}
            for number, one in enumerate(changes)
        ]
    }


async def ended(client: Client, batch_id: str) -> dict[str, Any]:
    """Wait for the end of a batch; return it."""
    async with asyncio.timeout(20):
        while True:
            batch: dict[str, Any] = (await client.get(f"{BATCHES}/{batch_id}")).json
            if batch["processing_status"] == "ended":
                return batch
            await asyncio.sleep(0.05)


async def results(client: Client, batch_id: str) -> list[dict[str, Any]]:
    answer = await client.get(f"{BATCHES}/{batch_id}/results")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/x-jsonl")
    return [json.loads(line) for line in answer.body.splitlines()]


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest) -> dict[str, Any]:
    if request.param == "sqlite":
        return {}
    return {"database_url": request.getfixturevalue("postgres_url")}


@pytest.fixture
async def org(settings: dict[str, Any], organization: StartOrganization) -> Organization:
    slow = [{"when": "be slow", "text": "Slowly.", "delay_s": 30}]
    return await organization(settings, price=PRICE, replies=slow)


SLOW = {"messages": [{"role": "user", "content": "be slow"}]}


@pytest.mark.covers("routes: POST /v1/messages/batches", "effect")
@pytest.mark.covers("routes: GET /v1/messages/batches/{id}", "effect")
@pytest.mark.covers("routes: GET /v1/messages/batches/{id}/results", "effect")
async def test_batch_is_created_processed_and_read(org: Organization) -> None:
    made = await org.caller.post(BATCHES, requests({}, {"model": "unknown"}, {"stream": True}))
    assert made.status == 200
    batch = made.json
    assert list(batch) == KEYS
    assert batch["id"].startswith("msgbatch_01")
    assert (batch["type"], batch["processing_status"]) == ("message_batch", "in_progress")
    assert batch["request_counts"] == {**COUNTS, "processing": 3}
    lived = datetime.fromisoformat(batch["expires_at"]) - datetime.fromisoformat(
        batch["created_at"]
    )
    assert lived == timedelta(hours=24)
    assert [batch[key] for key in KEYS if key.endswith(("ended_at", "_url"))] == [None, None]

    done = await ended(org.caller, batch["id"])
    assert done["request_counts"] == {**COUNTS, "succeeded": 1, "errored": 2}
    assert done["results_url"].endswith(f"{BATCHES}/{batch['id']}/results")
    first, second, third = await results(org.caller, batch["id"])
    assert [line["custom_id"] for line in (first, second, third)] == ["r0", "r1", "r2"]
    message = first["result"]["message"]
    assert first["result"]["type"] == "succeeded"
    assert message["usage"]["service_tier"] == "batch"
    assert second["result"]["error"]["error"] == {
        "type": "not_found_error",
        "message": "model: unknown",
        "details": second["result"]["error"]["error"]["details"],
    }
    assert third["result"]["error"]["error"]["message"] == (
        '"stream=True" is not supported in the Message Batches API'
    )


@pytest.mark.sql_elsewhere
@pytest.mark.covers("routes: GET /v1/messages/batches", "effect")
async def test_batches_are_listed_newest_first_in_pages(org: Organization) -> None:
    made = []
    for _ in range(3):
        made.append((await org.caller.post(BATCHES, requests({}))).json["id"])
        org.clock.passes(seconds=1)
    newest, middle, oldest = reversed(made)
    page = (await org.caller.get(f"{BATCHES}?limit=2")).json
    assert [one["id"] for one in page["data"]] == [newest, middle]
    assert (page["has_more"], page["first_id"], page["last_id"]) == (True, newest, middle)
    rest = (await org.caller.get(f"{BATCHES}?limit=2&after_id={middle}")).json
    assert ([one["id"] for one in rest["data"]], rest["has_more"]) == ([oldest], False)
    before = (await org.caller.get(f"{BATCHES}?limit=1&before_id={oldest}")).json
    assert [one["id"] for one in before["data"]] == [middle]


@pytest.mark.sql_elsewhere
async def test_batches_of_all_pages_can_be_deleted_page_by_page(org: Organization) -> None:
    for _ in range(3):
        batch_id = (await org.caller.post(BATCHES, requests({}))).json["id"]
        await ended(org.caller, batch_id)
        org.clock.passes(seconds=1)
    after, deleted = "", 0
    while (page := (await org.caller.get(f"{BATCHES}?limit=1{after}")).json)["data"]:
        last = page["last_id"]
        assert (await org.caller.start("DELETE", f"{BATCHES}/{last}").task).status == 200
        after, deleted = f"&after_id={last}", deleted + 1
    assert deleted == 3
    guest, _, _ = await org.guest()
    unknown = await guest.get(f"{BATCHES}?{after}")
    assert unknown.error[2] == f"after_id: no such id: {last}"


@pytest.mark.sql_elsewhere
async def test_batch_belongs_to_its_workspace(org: Organization) -> None:
    guest, _, _ = await org.guest()
    batch_id = (await org.caller.post(BATCHES, requests({}))).json["id"]
    unknown = (404, "not_found_error", f"Message Batch {batch_id} not found.")
    assert (await guest.get(f"{BATCHES}/{batch_id}")).error == unknown
    assert (await guest.get(f"{BATCHES}/{batch_id}/results")).error == unknown
    assert (await guest.post(f"{BATCHES}/{batch_id}/cancel", b"")).error == unknown
    assert (await guest.start("DELETE", f"{BATCHES}/{batch_id}").task).error == unknown
    assert (await guest.get(BATCHES)).json == {
        "data": [],
        "has_more": False,
        "first_id": None,
        "last_id": None,
    }


async def test_archiving_a_workspace_cancels_its_batches_at_once(
    org: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The worker hears of it before it renews its lease.
    monkeypatch.setattr(tenure, "HEARTBEAT_S", 3600)
    guest, workspace, _ = await org.guest()
    theirs = (await guest.post(BATCHES, requests(SLOW, SLOW))).json["id"]
    other = (await org.caller.post(BATCHES, requests(SLOW))).json["id"]
    async with asyncio.timeout(20):
        while await claimed(org) < 3:  # noqa: ASYNC110 - of the database
            await asyncio.sleep(0.05)
    await org.post(f"/workspaces/{workspace}/archive", {})
    async with asyncio.timeout(20):
        while True:
            async with org.platform.database.read() as connection:
                batch = await find_batch(connection, workspace, theirs)
            assert batch is not None
            if batch.ended_at is not None:
                break
            await asyncio.sleep(0.1)
    assert (batch.canceled, batch.succeeded) == (2, 0)
    shown = (await org.caller.get(f"{BATCHES}/{other}")).json
    assert shown["processing_status"] == "in_progress"


async def claimed(org: Organization) -> int:
    """Return how many requests of batches workers own."""
    async with org.platform.database.read() as connection:
        owned = batch_requests.c.state == RowState.CLAIMED.value
        number = await connection.scalar(
            select(func.count()).select_from(batch_requests).where(owned)
        )
        return int(number or 0)


@pytest.mark.sql_elsewhere
async def test_running_batch_has_no_results_and_is_polled_and_not_deleted(
    org: Organization,
) -> None:
    batch_id = (await org.caller.post(BATCHES, requests(SLOW))).json["id"]
    shown = await org.caller.get(f"{BATCHES}/{batch_id}")
    assert (shown.json["processing_status"], shown.headers["retry-after"]) == ("in_progress", "10")
    missing = (404, "not_found_error", f"Message Batch {batch_id} has no available results.")
    assert (await org.caller.get(f"{BATCHES}/{batch_id}/results")).error == missing
    kept = "In progress batches cannot be deleted. Consider canceling the batch instead."
    deletion = await org.caller.start("DELETE", f"{BATCHES}/{batch_id}").task
    assert deletion.error == (400, "invalid_request_error", kept)


@pytest.mark.sql_elsewhere
@pytest.mark.covers("routes: POST /v1/messages/batches/{id}/cancel", "effect")
async def test_cancelled_batch_ends_with_results(org: Organization) -> None:
    made = await org.caller.post(BATCHES, requests(*[SLOW] * 30))
    assert made.status == 200, made.json
    batch_id = made.json["id"]
    canceled = await org.caller.post(f"{BATCHES}/{batch_id}/cancel", b"")
    assert canceled.json["processing_status"] == "canceling"
    assert canceled.json["cancel_initiated_at"] is not None
    done = await ended(org.caller, batch_id)
    assert done["request_counts"] == {**COUNTS, "canceled": 30}
    lines = await results(org.caller, batch_id)
    assert {json.dumps(line["result"]) for line in lines} == {'{"type": "canceled"}'}
    late = await org.caller.post(f"{BATCHES}/{batch_id}/cancel", b"")
    assert late.error[:2] == (400, "invalid_request_error")


@pytest.mark.sql_elsewhere
async def test_cancel_stops_running_requests_at_once_and_those_of_no_other_batch(
    org: Organization,
) -> None:
    kept = (await org.caller.post(BATCHES, requests(SLOW))).json["id"]
    batch_id = (await org.caller.post(BATCHES, requests(SLOW, SLOW))).json["id"]
    (model,) = org.platform.models.served
    running = model.gate.batches.lane.running
    await until_there_are(3, running)
    await org.caller.post(f"{BATCHES}/{batch_id}/cancel", b"")
    # Long before the next heartbeat of the worker.
    async with asyncio.timeout(1):
        await until_there_are(1, running)
    assert (await ended(org.caller, batch_id))["request_counts"]["canceled"] == 2
    assert len(running) == 1
    assert (await org.caller.get(f"{BATCHES}/{kept}")).json["processing_status"] == "in_progress"


async def until_there_are(number: int, running: Sized) -> None:
    async with asyncio.timeout(20):
        while len(running) != number:  # noqa: ASYNC110 - a lane has no events
            await asyncio.sleep(0.01)


async def test_batch_is_cancelled_once(organization: StartOrganization) -> None:
    org = await organization({"workers": 0})
    batch_id = (await org.caller.post(BATCHES, requests({}))).json["id"]
    first = await org.caller.post(f"{BATCHES}/{batch_id}/cancel", b"")
    org.clock.passes(seconds=1)
    assert (await org.caller.post(f"{BATCHES}/{batch_id}/cancel", b"")).json == first.json


@pytest.mark.sql_elsewhere
@pytest.mark.covers("routes: DELETE /v1/messages/batches/{id}", "effect")
async def test_ended_batch_is_deleted_with_its_results(org: Organization) -> None:
    batch_id = (await org.caller.post(BATCHES, requests({}))).json["id"]
    await ended(org.caller, batch_id)
    deletion = await org.caller.start("DELETE", f"{BATCHES}/{batch_id}").task
    assert deletion.json == {"id": batch_id, "type": "message_batch_deleted"}
    assert (await org.caller.get(f"{BATCHES}/{batch_id}")).status == 404
    assert (await org.caller.get(BATCHES)).json["data"] == []


@pytest.mark.sql_elsewhere
async def test_batch_is_billed_at_half_the_price_and_errors_are_free(org: Organization) -> None:
    batch_id = (await org.caller.post(BATCHES, requests({}, {"model": "unknown"}))).json["id"]
    await ended(org.caller, batch_id)
    single = (await org.caller.create(**PARAMS)).json
    (line, _) = await results(org.caller, batch_id)
    usage = line["result"]["message"]["usage"]
    assert usage["output_tokens"] == single["usage"]["output_tokens"]
    await org.platform.ledger.flush()
    by_tier = {entry.row["service_tier"]: entry for entry in (await org.entries()).values()}
    assert by_tier["batch"].row["batch_id"] == batch_id
    assert 2 * by_tier["batch"].cost == by_tier["standard"].cost > 0
    assert len(await org.entries()) == 2


async def test_repeated_create_returns_the_batch_that_it_made(org: Organization) -> None:
    name = {"idempotency_key": "nightly-1"}
    first = await org.caller.post(BATCHES, requests({}), **name)
    again = await org.caller.post(BATCHES, requests({}), **name)
    assert again.json["id"] == first.json["id"]
    assert len((await org.caller.get(BATCHES)).json["data"]) == 1
    other = await org.caller.post(BATCHES, requests({}, {}), **name)
    assert other.error == (
        400,
        "invalid_request_error",
        "Idempotency-Key: it has been used for another request",
    )
    guest, _, _ = await org.guest()
    assert (await guest.post(BATCHES, requests({}), **name)).json["id"] != first.json["id"]


@pytest.mark.sql_elsewhere
@pytest.mark.parametrize(
    "changed",
    [{"anthropic_version": NEWEST}, {"anthropic_beta": CacheScope.beta}],
    ids=["version", "betas"],
)
async def test_repeated_create_whose_params_mean_something_else_is_refused(
    org: Organization, changed: dict[str, str]
) -> None:
    name = {"idempotency_key": "nightly-1"}
    first = await org.caller.post(BATCHES, requests({}), **name)
    assert first.status == 200
    other = await org.caller.post(BATCHES, requests({}), **name, **changed)
    assert other.error == (
        400,
        "invalid_request_error",
        "Idempotency-Key: it has been used for another request",
    )
    again = await org.caller.post(
        BATCHES, requests({}), **name, anthropic_beta="a-name-without-effect-2026-01-01"
    )
    assert again.json["id"] == first.json["id"]


async def test_same_create_twice_at_once_makes_one_batch(org: Organization) -> None:
    calls = [org.caller.post(BATCHES, requests({}), idempotency_key="once") for _ in range(4)]
    answers = await asyncio.gather(*calls)
    assert len({answer.json["id"] for answer in answers}) == 1
    assert len((await org.caller.get(BATCHES)).json["data"]) == 1


@pytest.mark.sql_elsewhere
async def test_faulty_body_is_refused_and_leaves_nothing(org: Organization) -> None:
    faulty: tuple[tuple[Any, str], ...] = (
        (b"{", "The request body is not valid JSON: Input data was truncated"),
        ({"requests": []}, "requests: List should have at least 1 item after validation, not 0"),
        ({}, "requests: Field required"),
        ({"requests": [{"params": {}}]}, "requests.0.custom_id: Field required"),
        ({"requests": [{"custom_id": "a"}]}, "requests.0.params: Field required"),
        (
            {"requests": [{"custom_id": "a" * 65, "params": {}}]},
            "requests.0.custom_id: String should have at most 64 characters",
        ),
        (
            {"requests": [{"custom_id": "a b", "params": {}}]},
            "requests.0.custom_id: String should match pattern '^[a-zA-Z0-9_-]{1,64}$'",
        ),
        (
            {"requests": 2 * [{"custom_id": "dup", "params": {}}]},
            "requests: custom_id's must be unique within a batch. Duplicate custom_id found: dup",
        ),
        ({**requests({}), "metadata": {}}, "metadata: Extra inputs are not permitted"),
    )
    for body, said in faulty:
        refused = (await org.caller.post(BATCHES, body)).error
        assert refused == (400, "invalid_request_error", said), body
        assert (await org.caller.get(BATCHES)).json["data"] == [], body


@pytest.mark.sql_elsewhere
async def test_fault_behind_many_requests_leaves_nothing(org: Organization) -> None:
    many = requests(*[{}] * 600)
    many["requests"].append({"custom_id": "r0", "params": {}})
    text = json.dumps(many).encode()
    pieces = [text[start : start + 50_000] for start in range(0, len(text), 50_000)]
    assert (await org.caller.post(BATCHES, pieces)).status == 400
    assert (await org.caller.get(BATCHES)).json["data"] == []
    assert await unfinished(org) == 0


@pytest.mark.sql_elsewhere
async def test_caller_that_leaves_while_the_body_arrives_leaves_nothing(org: Organization) -> None:
    text = json.dumps(requests(*[{}] * 600)).encode()
    call = org.caller.start("POST", BATCHES, [text[:-100], b""])
    # What follows never comes: `more_body` of the last piece is false, so the body is cut.
    assert (await call.task).status == 400
    assert await unfinished(org) == 0


async def unfinished(org: Organization) -> int:
    async with org.platform.database.read() as connection:
        return await unfinished_requests(connection, org.clock())


async def test_body_and_request_above_their_limits_are_refused(
    organization: StartOrganization,
) -> None:
    org = await organization({"max_batch_bytes": 4000, "max_body_bytes": 1024})
    large = {"messages": [{"role": "user", "content": "x" * 1100}]}
    for body in (requests(*[{}] * 40), requests({}, large)):
        answer = await org.caller.post(BATCHES, body)
        assert answer.error[:2] == (413, "request_too_large")
        assert (await org.caller.get(BATCHES)).json["data"] == []


async def test_full_queue_refuses_further_batches(organization: StartOrganization) -> None:
    org = await organization({"limits": {"queued_batch_requests": 3}, "workers": 0})
    assert (await org.caller.post(BATCHES, requests(*[{}] * 3))).status == 200
    assert (await org.caller.post(BATCHES, requests({}))).error[:2] == (429, "rate_limit_error")


async def test_batch_that_begins_below_the_limit_of_the_queue_is_taken_whole(
    organization: StartOrganization,
) -> None:
    org = await organization({"limits": {"queued_batch_requests": 300}, "workers": 0})
    text = json.dumps(requests(*[{}] * 600)).encode()
    pieces = [text[start : start + 50_000] for start in range(0, len(text), 50_000)]
    assert (await org.caller.post(BATCHES, pieces)).status == 200
    assert (await org.caller.post(BATCHES, requests({}))).error[:2] == (429, "rate_limit_error")


async def test_batch_waits_at_a_spend_limit_and_goes_on_after_its_raise(
    organization: StartOrganization,
) -> None:
    org = await organization({}, price=PRICE)
    limit = {"type": "organization"}
    await org.spend_limit(limit, 0)
    batch_id = (await org.caller.post(BATCHES, requests({}, {}))).json["id"]
    async with asyncio.timeout(20):
        while (found := await stored(org, batch_id)).waits_for is None:  # noqa: ASYNC110 - of the database
            await asyncio.sleep(0.05)
    assert found.waits_for.endswith("This is the monthly limit of $0.00 of the organization.")
    answer = await org.caller.get(f"{BATCHES}/{batch_id}")
    assert answer.json["request_counts"] == {**COUNTS, "processing": 2}
    assert answer.headers["x-antiphon-hint"] == f"It waits: {found.waits_for}"
    await org.spend_limit(limit, 10**12)
    done = await ended(org.caller, batch_id)
    assert "x-antiphon-hint" not in (await org.caller.get(f"{BATCHES}/{batch_id}")).headers
    assert done["request_counts"] == {**COUNTS, "succeeded": 2}


@pytest.mark.sql_elsewhere
async def test_batch_costs_what_the_reports_say(org: Organization) -> None:
    batch_id = (await org.caller.post(BATCHES, requests({}, {"max_tokens": 3}, SLOW))).json["id"]
    other = (await org.caller.post(BATCHES, requests({"model": "unknown"}))).json["id"]
    assert "cost" not in await ended(org.caller, other)
    async with asyncio.timeout(20):
        path = f"{BATCHES}/{batch_id}"
        while (await org.caller.get(path)).json["request_counts"]["succeeded"] < 2:  # noqa: ASYNC110 - of the database
            await asyncio.sleep(0.05)
    running = (await org.caller.get(path)).json["cost"]
    assert Decimal(running["amount"]) > 0
    await org.caller.post(f"{path}/cancel", {})
    done = (await ended(org.caller, batch_id))["cost"]
    # What was cancelled costs nothing.
    assert done == running
    (listed,) = [
        one for one in (await org.caller.get(BATCHES)).json["data"] if one["id"] == batch_id
    ]
    assert listed["cost"] == done
    since = "starting_at=2026-11-23T00:00:00Z"
    (day,) = (await org.get(f"/cost_report?{since}"))["data"]
    assert done["amount"] == day["results"][0]["amount"]
    assert (
        sum(entry.cost for entry in (await org.entries()).values())
        == Decimal(done["amount"]) * 10**7
    )


@pytest.mark.sql_elsewhere
async def test_slow_batch_says_why_in_its_object_and_in_the_hint(
    settings: dict[str, Any], organization: StartOrganization
) -> None:
    org = await organization({**settings, "workers": 0})
    batch_id = (await org.caller.post(BATCHES, requests(SLOW))).json["id"]
    reason = "Requests that run hold what is left."
    async with org.platform.database.write() as connection:
        await note_slowed(connection, {batch_id}, reason)
    answer = await org.caller.get(f"{BATCHES}/{batch_id}")
    assert answer.json["slowed_by"] == reason
    assert answer.headers["x-antiphon-hint"] == f"It is slow: {reason}"
    assert (await org.caller.get(BATCHES)).json["data"][0]["slowed_by"] == reason


@pytest.mark.sql_elsewhere
async def test_requests_for_one_model_are_a_section_in_the_order_of_their_prefixes(
    organization: StartOrganization,
) -> None:
    org = await organization({"workers": 0})
    asked = [("a", "s"), ("b", "s"), ("a", "t"), ("c", "s"), ("b", "s"), ("a", "s")]
    sent = requests(*({"model": model, "system": system} for model, system in asked))
    assert (await org.caller.post(BATCHES, sent)).status == 200
    async with org.platform.database.read() as connection:
        columns = batch_requests.c
        ranks = await connection.scalars(select(columns.rank).order_by(columns.number))
        assert list(ranks) == [
            rank_of(0, 0),
            rank_of(1, 1),
            rank_of(0, 2),
            rank_of(2, 3),
            rank_of(1, 1),
            rank_of(0, 0),
        ]


async def stored(org: Organization, batch_id: str) -> Batch:
    async with org.platform.database.read() as connection:
        found = await find_batch(connection, None, batch_id)
    assert found is not None
    return found
