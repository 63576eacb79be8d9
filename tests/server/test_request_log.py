"""The request log, what explains a request, and the activity: over the application."""

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from antiphon.core.pagination import bind_token, page_token
from antiphon.settings import EngineSettings, ModelSettings, PriceSettings
from antiphon.store.ledger import add_entries
from support.asgi import HELLO, Answer, Call
from support.cached_requests import FIVE_MINUTES, system, turn
from support.ledger import an_entry
from support.organization import NOON, NOT_A_PAGE, Organization, StartOrganization

pytestmark = pytest.mark.anyio

PRICE = PriceSettings(input=Decimal("0.25"), output=Decimal(5))
TODAY = "starting_at=2026-11-23T00:00:00Z"
SECRET_TEXT = "nobody may read this"
SLOW = {"text": "Slowly.", "delay_s": 300}
SAID = {**HELLO, "messages": [{"role": "user", "content": SECRET_TEXT}]}


async def listed(org: Organization, query: str = "") -> list[Any]:
    """Return all requests of a listing, page by page."""
    await org.platform.request_log.flush()
    found: list[Any] = []
    page = ""
    while True:
        answer = await org.get(f"/requests?{query}{page}")
        found += answer["data"]
        if answer["next_page"] is None:
            return found
        page = f"&page={answer['next_page']}"


async def explained(org: Organization, answer: Answer) -> Any:
    await org.platform.request_log.flush()
    await org.platform.ledger.flush()
    return await org.get(f"/requests/{answer.headers['request-id']}")


async def activity(org: Organization, query: str = "") -> list[Any]:
    await org.platform.request_log.flush()
    await org.platform.ledger.flush()
    answer = await org.get(f"/activity?{TODAY}&{query}")
    assert answer["has_more"] is False
    return [line for bucket in answer["data"] for line in bucket["results"]]


async def running(org: Organization) -> Call:
    """Return a request whose engine works on it."""
    call = org.caller.start("POST", "/v1/messages", {**HELLO, "stream": True})
    gate = org.platform.models.find("scripted").gate
    await until(lambda: gate.busy)
    return call


async def until(there: Callable[[], object]) -> None:
    """Let everything go on until something is there that tells nobody."""
    while not there():  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0)


@pytest.fixture
async def org(organization: StartOrganization) -> Organization:
    return await organization(price=PRICE, timed=True, text="One two three END four five.")


@pytest.mark.sql_elsewhere
@pytest.mark.covers("administration: GET /requests", "effect")
@pytest.mark.covers("administration: GET /requests/{request}", "effect")
async def test_finished_requests_are_listed_newest_first_and_explained(
    on_both_databases: Any,
) -> None:
    org = await on_both_databases()
    caller, workspace, key = await org.guest()
    first = await caller.create(**SAID)
    org.clock.passes(seconds=1)
    second = await org.caller.create(stream=True)
    newest, oldest = await listed(org, "limit=1")
    assert [newest["id"], oldest["id"]] == [one.headers["request-id"] for one in (second, first)]
    assert (newest["streamed"], newest["workspace_id"]) == (True, None)
    assert oldest == {
        "id": first.headers["request-id"],
        "type": "request",
        "ended_at": "2026-11-23T12:00:00.000Z",
        "route": "/v1/messages",
        "status": 200,
        "error_type": None,
        "api_key_id": key,
        "workspace_id": workspace,
        "model": HELLO["model"],
        "served_model": "scripted",
        "streamed": False,
        "batch_id": None,
        "account_id": None,
        "latency": {
            "total_ms": oldest["latency"]["total_ms"],
            "queue_ms": oldest["latency"]["queue_ms"],
            "money_ms": None,
            "parked_ms": None,
            "prefill_ms": 0.0,
            "decode_ms": 0.0,
        },
        "usage": {
            "input_tokens": first.json["usage"]["input_tokens"],
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "cache_read_input_tokens": 0,
            "output_tokens": first.json["usage"]["output_tokens"],
            "thinking_tokens": 0,
        },
        "cost": {"amount": "0", "currency": "USD"},
    }
    why = await explained(org, first)
    assert why["api_key"] == {"id": key, "name": "guest"}
    assert why["workspace"] == {"id": workspace, "name": "Research"}
    assert (why["engines"], why["recorded"]) == (["scripted"], True)
    assert (why["engine"], why["engine_number"]) == ("scripted", None)
    assert (why["refused_by"], why["cache"]) == (None, None)


async def test_bill_is_explained_by_its_price(org: Organization) -> None:
    answer = await org.caller.create()
    why = await explained(org, answer)
    usage = answer.json["usage"]
    assert why["costs"] == [
        {
            "token_type": "uncached_input_tokens",
            "tokens": usage["input_tokens"],
            "dollars_per_million": "0.25",
            "amount": f"{usage['input_tokens'] * 0.000025:.6f}".rstrip("0"),
        },
        {
            "token_type": "output_tokens",
            "tokens": usage["output_tokens"],
            "dollars_per_million": "5.00",
            "amount": f"{usage['output_tokens'] * 0.0005:.6f}".rstrip("0"),
        },
    ]
    # A key that is changed meanwhile is told by its present name.
    await org.post(f"/api_keys/{why['api_key_id']}", {"name": "renamed"})
    assert (await explained(org, answer))["api_key"]["name"] == "renamed"


async def test_rate_limit_that_refused_is_told_with_all_buckets(org: Organization) -> None:
    caller, workspace, _ = await org.guest()
    await org.limit(f"/workspaces/{workspace}", requests_per_minute=2)
    for _ in range(2):
        assert (await caller.create()).status == 200
    why = await explained(org, await caller.create())
    assert (why["status"], why["error_type"]) == (429, "rate_limit_error")
    by = why["refused_by"]
    buckets = by.pop("buckets")
    assert by == {
        "kind": "rate_limit",
        "limit": 2,
        "scope": "workspace",
        "scope_id": workspace,
        "type": "requests_per_minute",
        "held": False,
        "retry_after_ms": 30_000,
    }
    refusing = {
        "scope": "workspace",
        "scope_id": workspace,
        "type": "requests_per_minute",
        "limit": 2,
        "remaining": 0,
        "full_in_ms": 60_000,
    }
    assert refusing in buckets
    # Those of the organization as well, of which nothing is short.
    assert len(buckets) == 4
    assert why["model"] == HELLO["model"]
    assert why["served_model"] is None
    assert why["costs"] == []


async def test_spend_limit_that_refused_is_told(org: Organization) -> None:
    caller, workspace, _ = await org.guest()
    scope = {"type": "workspace", "workspace_id": workspace}
    await org.spend_limit_in_cents(scope, "0.001", "daily")
    why = await explained(org, await caller.create())
    assert why["status"] == 400
    by = why["refused_by"]
    assert (by["kind"], by["limit"], by["scope"], by["type"], by["held"]) == (
        "spend_limit",
        "0.001",
        "workspace",
        "daily",
        False,
    )


async def test_full_queue_is_told(
    organization: StartOrganization,
) -> None:
    limits = {"concurrent_requests": 1, "queued_requests": 0, "spend_wait_s": 0}
    org = await organization({"limits": limits}, replies=[SLOW])
    call = await running(org)
    why = await explained(org, await org.caller.create())
    by = why["refused_by"]
    assert (why["status"], by["kind"], by["limit"]) == (529, "queue", 0)
    call.hang_up()
    await call.task


def several(*engines: dict[str, Any]) -> ModelSettings:
    """Return a model that these engines run; their options are those of the scripted engine."""
    runs_on = tuple(EngineSettings(engine="scripted", options=one) for one in engines)
    return ModelSettings(id="several", engines=runs_on)


async def test_engine_that_answered_is_recorded(organization: StartOrganization) -> None:
    busy = {"replies": [{"error": "overloaded"}]}
    model = several(busy, {"text": "Second."}, busy)
    org = await organization(others=[model])
    answer = await org.caller.create(model="several")
    assert answer.json["content"][0]["text"] == "Second."
    why = await explained(org, answer)
    assert why["engines"] == ["scripted"] * 3
    assert (why["engine"], why["engine_number"]) == ("scripted", 2)


async def test_no_engine_is_recorded_where_all_of_several_failed(
    organization: StartOrganization,
) -> None:
    busy = {"replies": [{"error": "overloaded"}]}
    org = await organization(others=[several(busy, busy)])
    why = await explained(org, await org.caller.create(model="several"))
    assert (why["status"], why["engine"], why["engine_number"]) == (529, None, None)


async def test_waits_for_a_place_and_for_money_are_told_apart(
    organization: StartOrganization,
) -> None:
    limits = {"concurrent_requests": 2, "spend_wait_s": 60}
    slow = {"when": "slow", **SLOW}
    org = await organization({"limits": limits}, price=PRICE, replies=[slow], text="One.")
    said = [{"role": "user", "content": "slow"}]
    running_one = org.caller.start(
        "POST",
        "/v1/messages",
        {**HELLO, "messages": said, "stream": True, "max_tokens": 10 * HELLO["max_tokens"]},
    )
    gate = org.platform.models.find("scripted").gate
    await until(lambda: org.platform.running._metering.followed)
    # The one that runs leaves money for half of another one; then there is enough for many.
    money = HELLO["max_tokens"] * 5000 * 21 // 2
    await org.spend_limit({"type": "organization"}, money, period="daily")
    poor = org.caller.start("POST", "/v1/messages", HELLO)
    await until(lambda: org.platform.admitter._room._queues)
    queued = org.caller.start("POST", "/v1/messages", HELLO)
    await until(lambda: gate.waiting)
    # The loop's clock shows milliseconds, and that it waited has to be seen.
    began = asyncio.get_running_loop().time()
    await until(lambda: asyncio.get_running_loop().time() > began)
    running_one.hang_up()
    await running_one.task
    first, second = await poor.task, await queued.task
    assert (first.status, second.status) == (200, 200)
    for_money = (await explained(org, first))["latency"]
    for_a_place = (await explained(org, second))["latency"]
    assert for_money["money_ms"] > 0
    assert for_money["queue_ms"] < for_a_place["queue_ms"]
    # The place is free before the money is: that of the request which left is settled after it.
    assert for_money["money_ms"] > (for_a_place["money_ms"] or 0)
    # A wait for money is no part of the times to the first token, in the activity either.
    entry = (await org.entries())[first.headers["request-id"]]
    assert entry.row["money_us"] / 1000 == for_money["money_ms"]


async def test_wait_of_a_refused_request_is_told(organization: StartOrganization) -> None:
    limits = {"spend_wait_s": 0.02}
    slow = {"when": "slow", **SLOW}
    org = await organization({"limits": limits}, price=PRICE, replies=[slow], text="One.")
    said = [{"role": "user", "content": "slow"}]
    call = org.caller.start("POST", "/v1/messages", {**HELLO, "messages": said, "stream": True})
    await until(lambda: org.platform.running._metering.followed)
    worst = HELLO["max_tokens"] * 5000 + 100_000
    await org.spend_limit({"type": "organization"}, worst, period="daily")
    why = await explained(org, await org.caller.create())
    assert (why["status"], why["refused_by"]["held"]) == (529, True)
    assert why["latency"]["money_ms"] >= 20
    call.hang_up()
    await call.task


@pytest.mark.covers("administration: GET /running_requests", "effect")
async def test_running_requests_are_told_until_they_end(organization: StartOrganization) -> None:
    org = await organization(replies=[{"when": "slow", **SLOW}], text="One.")
    caller, workspace, key = await org.guest()
    assert (await org.get("/running_requests"))["total"] == 0
    said = [{"role": "user", "content": "slow"}]
    call = caller.start("POST", "/v1/messages", {**HELLO, "messages": said, "stream": True})
    while not (now := await org.get("/running_requests"))["total"]:
        pass
    (one,) = now["data"]
    assert (one["api_key_id"], one["workspace_id"]) == (key, workspace)
    assert (one["model"], one["served_model"]) == (HELLO["model"], "scripted")
    assert (one["started_at"], one["first_token_at"]) == ("2026-11-23T12:00:00Z", None)
    assert one["input_tokens"] > 0
    assert now["models"] == [{"id": "scripted", "running": 1, "waiting": 0}]
    metering = org.platform.running._metering
    (admission,) = metering.followed
    call.hang_up()
    await call.task
    # One that has ended is none that runs, though it is followed until it is settled.
    await org.platform.ledger.flush()
    metering.follow(admission)
    ended = await org.get("/running_requests")
    assert (ended["data"], ended["models"][0]["running"]) == ([], 0)
    (listed_one,) = await listed(org)
    assert listed_one["id"] == one["id"]


async def test_use_of_the_prompt_cache_is_told_by_breakpoint(
    organization: StartOrganization,
) -> None:
    org = await organization(timed=True, text="one two", cache_minimum_tokens=1024)
    body = {"system": system(1100, mark=FIVE_MINUTES), "messages": [turn(50)]}
    wrote = await explained(org, await org.caller.create(**body))
    assert wrote["cache"] == {
        "read_tokens": 0,
        "written_tokens": 1100,
        "planned_read_tokens": 0,
        "source": None,
        "reason": "no-entry",
        "breakpoints": [{"tokens": 1100, "ttl": "5m", "state": "written"}],
    }
    read = await explained(org, await org.caller.create(**body))
    assert (read["cache"]["read_tokens"], read["cache"]["source"]) == (1100, "memory")
    assert read["cache"]["reason"] is None
    assert read["cache"]["breakpoints"] == [{"tokens": 1100, "ttl": "5m", "state": "read"}]


async def test_unknown_keys_and_models_leave_no_text(org: Organization) -> None:
    stranger = org.caller_with("sk-antiphon-unknown-key-of-somebody")
    await stranger.create(**SAID)
    await org.caller.create(**{**SAID, "model": SECRET_TEXT})
    await org.caller.create(**{**SAID, "max_tokens": SECRET_TEXT})
    await org.caller.create(**SAID, stop_sequences=[SECRET_TEXT])
    found = await listed(org)
    assert [(one["status"], one["error_type"]) for one in reversed(found)] == [
        (401, "authentication_error"),
        (404, "not_found_error"),
        (400, "invalid_request_error"),
        (200, None),
    ]
    assert (found[-1]["api_key_id"], found[-1]["workspace_id"]) == (None, None)
    assert found[-2]["model"] is None
    async with org.platform.database.read() as connection:
        rows = await connection.exec_driver_sql("SELECT * FROM request_log")
        stored = str(rows.all())
    assert SECRET_TEXT not in stored
    assert "sk-antiphon" not in stored


async def test_calls_of_other_endpoints_of_keys_are_listed_and_administration_is_not(
    org: Organization,
) -> None:
    await org.caller.post("/v1/messages/count_tokens", {k: HELLO[k] for k in ("model", "messages")})
    await org.caller.get("/v1/models")
    await org.get("/me")
    await org.caller.get("/health")
    assert [one["route"] for one in await listed(org)] == [
        "/v1/models",
        "/v1/messages/count_tokens",
    ]


async def test_listing_is_filtered(org: Organization) -> None:
    caller, workspace, key = await org.guest()
    await caller.create()
    await org.caller.create(max_tokens=-1)
    org.clock.passes(seconds=60)
    await org.caller.create()
    default = org.platform.accounts
    own = (await default.current()).default_workspace.id

    async def count(query: str) -> int:
        return len(await listed(org, query))

    assert await count("") == 3
    assert await count(f"api_key_id={key}") == 1
    assert await count(f"workspace_id={workspace}") == 1
    assert await count(f"workspace_id={own}") == 2
    assert await count(f"workspace_id={own}&status_class=4xx") == 1
    assert await count("error_type=invalid_request_error") == 1
    # Of a body that cannot be decoded, no model is known.
    assert await count(f"model={HELLO['model']}") == 2
    assert await count("status_class=5xx") == 0
    assert await count("starting_at=2026-11-23T12:01:00Z") == 1
    assert await count("ending_at=2026-11-23T13:01:00%2B01:00") == 2


def of_requests(position: str) -> str:
    """Return the token of a page of the request log that begins behind a position."""
    return bind_token(page_token(position), "/v1/organizations/requests?")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("page=page_x", NOT_A_PAGE),
        # Places of no request: a text, and a number that the database does not have.
        (f"page={of_requests('5 audit_1')}", "page: not a page of this listing"),
        (f"page={of_requests('5 ' + 19 * '9')}", "page: not a page of this listing"),
        ("status_class=3xx", "status_class: Input should be '2xx', '4xx' or '5xx'"),
        ("starting_at=now", "starting_at: Input should be a valid RFC 3339 datetime"),
        (
            f"{TODAY}&ending_at=2026-11-23T00:00:00Z",
            "ending_at: Input should be after `starting_at`",
        ),
        ("prompt=x", "prompt: Extra inputs are not permitted"),
    ],
)
async def test_wrong_query_is_refused(org: Organization, query: str, message: str) -> None:
    assert await org.refusal(f"/requests?{query}", method="GET") == (400, message)


@pytest.mark.parametrize("request_id", ["req_none", "req_%00"])
async def test_unknown_request_is_not_found(org: Organization, request_id: str) -> None:
    status, message = await org.refusal(f"/requests/{request_id}", method="GET")
    assert status == 404
    assert message.startswith("request: req_")


async def test_without_a_log_requests_are_explained_from_the_ledger(
    organization: StartOrganization,
) -> None:
    org = await organization({"request_log_days": 0}, text="One.")
    answer = await org.caller.create()
    await org.caller.create(max_tokens=-1)
    assert await listed(org) == []
    why = await explained(org, answer)
    assert (why["recorded"], why["status"], why["served_model"]) == (False, 200, "scripted")
    assert [line["token_type"] for line in why["costs"]] == [
        "uncached_input_tokens",
        "output_tokens",
    ]
    assert why["costs"][0]["dollars_per_million"] is None
    # Refusals are counted all the same.
    (line,) = await activity(org)
    assert (line["requests"], line["refused"]) == (2, 1)


@pytest.mark.covers("administration: GET /activity", "effect")
async def test_activity_counts_requests_errors_tokens_and_money(org: Organization) -> None:
    caller, workspace, key = await org.guest()
    used = [(await one.create()).json["usage"] for one in (caller, org.caller)]
    await org.caller.create(max_tokens=-1)
    await org.limit(f"/workspaces/{workspace}", requests_per_minute=1)
    await caller.create()
    assert (await caller.create()).status == 429
    whole, guest = await activity(org), await activity(org, f"api_key_ids[]={key}")
    errors = {"invalid_request_error": 1, "rate_limit_error": 1}
    assert [whole[0]["errors"], guest[0]["errors"]] == [errors, {"rate_limit_error": 1}]
    assert [whole[0]["requests"], whole[0]["refused"]] == [5, 2]
    assert [guest[0]["requests"], guest[0]["refused"]] == [3, 1]
    assert whole[0]["output_tokens"] == 3 * used[0]["output_tokens"]
    answer = await org.get(f"/activity?{TODAY}&bucket_width=1h&group_by[]=api_key_id")
    of_lines = [line["requests"] for bucket in answer["data"] for line in bucket["results"]]
    assert len(of_lines) > 1
    assert answer["total"] == whole[0]
    report = await org.get(f"/cost_report?{TODAY}")
    assert whole[0]["cost"]["amount"] == report["data"][0]["results"][0]["amount"]
    assert whole[0]["first_token"] == {"mean_ms": 0, "p50_ms": 12, "p95_ms": 24}
    grouped = await activity(org, "group_by[]=workspace_id&group_by[]=model&bucket_width=1h")
    assert [(one["workspace_id"], one["model"], one["requests"]) for one in grouped] == [
        (None, None, 1),
        (None, HELLO["model"], 1),
        (workspace, HELLO["model"], 3),
    ]


async def test_activity_tells_the_share_of_reads_and_what_they_saved(org: Organization) -> None:
    async with org.platform.database.write() as connection:
        await add_entries(connection, [an_entry(1, NOON), an_entry(2, NOON)])
    (line,) = await activity(org)
    assert line["cache_read_share"] == round(100 / 115, 4)
    assert line["cache_creation_input_tokens"] == 10
    assert Decimal(line["saved"]["amount"]) > 0
    assert line["first_token"] is None


async def in_a_batch(org: Organization, **params: Any) -> Any:
    """Send a request in a batch of its own; return its explanation."""
    asked = {"max_tokens": 9, "messages": HELLO["messages"], "model": HELLO["model"], **params}
    body = {"requests": [{"custom_id": "one", "params": asked}]}
    batch = (await org.caller.post("/v1/messages/batches", body)).json["id"]
    async with asyncio.timeout(20):
        while not (found := [one for one in await listed(org) if one["batch_id"] == batch]):
            org.clock.passes(milliseconds=1)
            await asyncio.sleep(0.05)
    return await org.get(f"/requests/{found[0]['id']}")


async def test_request_of_a_batch_is_explained_as_others_are(
    organization: StartOrganization,
) -> None:
    busy = {"replies": [{"error": "overloaded"}]}
    model = several(busy, {"text": "Second."}, busy)
    org = await organization(price=PRICE, others=[model], cache_minimum_tokens=1)
    why = await in_a_batch(org, model="several")
    assert (why["engine"], why["engine_number"]) == ("scripted", 2)
    latency = why["latency"]
    assert latency["queue_ms"] >= 0
    assert latency["money_ms"] is None
    parts = (latency["queue_ms"], latency["prefill_ms"], latency["decode_ms"])
    assert latency["total_ms"] == pytest.approx(sum(parts))
    text = [{"type": "text", "text": "Some rules.", "cache_control": {"type": "ephemeral"}}]
    cached = await in_a_batch(org, system=text)
    assert (cached["engine"], cached["engine_number"]) == ("scripted", None)
    assert [one["state"] for one in cached["cache"]["breakpoints"]] == ["written"]
    assert {line["dollars_per_million"] for line in cached["costs"]} >= {"0.25", "5.00"}


async def test_requests_of_batches_are_listed(org: Organization) -> None:
    params = {"model": HELLO["model"], "max_tokens": 9, "messages": HELLO["messages"]}
    body = {"requests": [{"custom_id": "one", "params": params}]}
    batch = (await org.caller.post("/v1/messages/batches", body)).json["id"]
    async with asyncio.timeout(20):
        while not (found := [one for one in await listed(org) if one["batch_id"] == batch]):
            org.clock.passes(seconds=1)
            await asyncio.sleep(0.05)
    assert [(one["status"], one["route"], one["served_model"]) for one in found] == [
        (200, "/v1/messages", "scripted")
    ]
    answer = await org.get(f"/requests/{found[0]['id']}")
    assert answer["recorded"] is True
    assert answer["costs"]


async def test_caller_that_hangs_up_is_recorded(organization: StartOrganization) -> None:
    org = await organization(replies=[SLOW])
    call = await running(org)
    call.hang_up()
    await call.task
    (found,) = await listed(org)
    assert (found["status"], found["served_model"]) == (499, "scripted")
