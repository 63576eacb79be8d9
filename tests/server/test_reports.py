from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from antiphon.server.app import build_app
from antiphon.service.platform import Platform
from antiphon.store.ledger import add_entries
from support.asgi import KEY, Answer, Client
from support.ledger import an_entry
from support.organization import NOT_A_PAGE

pytestmark = pytest.mark.anyio

ADMIN = "sk-antiphon-admin-key-of-the-tests"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
START = "starting_at=2026-11-20T00:00:00Z"
USAGE = "/v1/organizations/usage_report/messages"
COST = "/v1/organizations/cost_report"
AFTER = "ending_at: Input should be after `starting_at`"
TIERS = (
    "service_tiers.1: Input should be 'standard', 'batch', 'priority', 'priority_on_demand', "
    "'flex' or 'flex_discount'"
)
GROUPS = (
    "group_by.1: Input should be 'account_id', 'api_key_id', 'context_window', 'inference_geo', "
    "'model', 'service_account_id', 'service_tier', 'speed' or 'workspace_id'"
)


@pytest.fixture
async def served(platform: Callable[..., Awaitable[Platform]]) -> Platform:
    return await platform(
        {"admin_key": ADMIN}, now=lambda: NOW, text="One two three END four five six."
    )


@pytest.fixture
async def client(served: Platform) -> Client:
    """An administrator, of an organization with two requests."""
    async with served.database.write() as connection:
        entries = [
            an_entry(1, NOW - timedelta(days=1), workspace_id="wrkspc_a"),
            an_entry(2, NOW, model="claude-haiku-5-5", api_key_id="apikey_1"),
        ]
        await add_entries(connection, entries)
    return administrator(served)


def administrator(served: Platform) -> Client:
    headers = {"x-api-key": ADMIN, "anthropic-version": "2026-10-21"}
    return Client(build_app(served), headers)


async def get(client: Client, path: str, query: str) -> Answer:
    return await client.get(f"{path}?{query}")


async def test_usage_report_has_a_bucket_for_each_day_up_to_now(client: Client) -> None:
    answer = await get(client, USAGE, START)
    assert answer.status == 200
    report = answer.json
    assert (report["has_more"], report["next_page"]) == (False, None)
    days = [(bucket["starting_at"], len(bucket["results"])) for bucket in report["data"]]
    assert days == [
        ("2026-11-20T00:00:00Z", 0),
        ("2026-11-21T00:00:00Z", 1),
        ("2026-11-22T00:00:00Z", 1),
    ]
    assert report["data"][1]["ending_at"] == "2026-11-22T00:00:00Z"
    assert report["data"][1]["results"] == [
        {
            "uncached_input_tokens": 10,
            "cache_read_input_tokens": 100,
            "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 2},
            "output_tokens": 7,
            "server_tool_use": {"web_search_requests": 0},
            "api_key_id": None,
            "workspace_id": None,
            "model": None,
            "service_tier": None,
            "context_window": None,
            "inference_geo": None,
            "account_id": None,
            "service_account_id": None,
        }
    ]


async def test_usage_is_grouped_and_filtered_as_the_sdks_write_it(client: Client) -> None:
    query = (
        f"{START}&bucket_width=1d&group_by[]=model&group_by[]=workspace_id&group_by[]=speed"
        "&models[]=claude-opus-5-5&workspace_ids[]=wrkspc_a&service_tiers[]=standard"
        "&context_window[]=0-200k&inference_geos[]=not_available&speeds[]=standard"
    )
    buckets = (await get(client, USAGE, query)).json["data"]
    lines = [line for bucket in buckets for line in bucket["results"]]
    assert [(line["model"], line["workspace_id"], line["speed"]) for line in lines] == [
        ("claude-opus-5-5", "wrkspc_a", "standard")
    ]


async def test_repeated_and_empty_query_parameters_are_ignored(client: Client) -> None:
    plain = (await get(client, USAGE, f"{START}&group_by[]=model&models[]=claude-opus-5-5")).json
    twice = f"{START}&{START}&group_by[]=model&group_by=model&limit=&page=&ending_at="
    twice += "&models[]=claude-opus-5-5&models[]=claude-opus-5-5&models=unknown"
    assert (await get(client, USAGE, twice)).json == plain


async def test_next_page_of_usage_continues_the_first(client: Client) -> None:
    first = (await get(client, USAGE, f"{START}&limit=2")).json
    assert (len(first["data"]), first["has_more"]) == (2, True)
    second = (await get(client, USAGE, f"{START}&limit=2&page={first['next_page']}")).json
    assert [bucket["starting_at"] for bucket in second["data"]] == ["2026-11-22T00:00:00Z"]
    assert (second["has_more"], second["next_page"]) == (False, None)


async def test_costs_are_cents_to_the_nano_dollar(client: Client) -> None:
    report = (await get(client, COST, START)).json
    assert [line["amount"] for bucket in report["data"] for line in bucket["results"]] == [
        "0.0231",
        "0.0006275",
    ]
    whole = (await get(client, COST, f"{START}&group_by[]=workspace_id")).json
    assert whole["data"][1]["results"] == [
        {
            "amount": "0.0231",
            "currency": "USD",
            "workspace_id": "wrkspc_a",
            "description": None,
            "cost_type": None,
            "token_type": None,
            "model": None,
            "service_tier": None,
            "context_window": None,
            "inference_geo": None,
        }
    ]


async def test_invalid_query_is_refused_with_its_parameter(client: Client) -> None:
    for path, query, message in (
        (USAGE, "", "starting_at: Field required"),
        (USAGE, "starting_at=", "starting_at: Field required"),
        (
            USAGE,
            f"{START}&starting_at=2026-11-21T00:00:00Z",
            "starting_at: Input should be given once",
        ),
        (USAGE, f"{START}&limit=1&limit=2", "limit: Input should be given once"),
        (
            USAGE,
            f"{START}&models[]=claude-opus-5-5&models[]=",
            "models.1: String should have at least 1 character",
        ),
        (
            USAGE,
            f"{START}&service_tiers[]=standard&service_tiers[]=best",
            TIERS,
        ),
        (
            USAGE,
            f"{START}&inference_geos[]=eu",
            "inference_geos.0: Input should be 'global', 'us' or 'not_available'",
        ),
        (USAGE, f"{START}&speeds[]=slow", "speeds.0: Input should be 'standard' or 'fast'"),
        (USAGE, f"{START}&ending_at=2026-11-19T00:00:00Z", AFTER),
        (COST, f"{START}&ending_at=2026-11-20T00:00:00Z", AFTER),
        (
            USAGE,
            f"{START}&bucket_width=1h&limit=169",
            "limit: Input should be less than or equal to 168",
        ),
        (
            USAGE,
            f"{START}&bucket_width=1m&limit=1441",
            "limit: Input should be less than or equal to 1440",
        ),
        (COST, f"{START}&limit=32", "limit: Input should be less than or equal to 31"),
        (COST, "starting_at=2026-11-20", "starting_at: Input should be a valid RFC 3339 datetime"),
        (COST, f"{START}&speeds[]=fast", "speeds: Extra inputs are not permitted"),
        (USAGE, f"{START}&model=x", "model: Extra inputs are not permitted"),
        (
            USAGE,
            f"{START}&bucket_width=1w",
            "bucket_width: Input should be '1m', '1h' or '1d'",
        ),
        (USAGE, f"{START}&limit=32", "limit: Input should be less than or equal to 31"),
        (
            USAGE,
            f"{START}&group_by[]=model&group_by[]=colour",
            GROUPS,
        ),
        (
            USAGE,
            f"{START}&context_window[]=1M",
            "context_window.0: Input should be '0-200k' or '200k-1M'",
        ),
        (USAGE, f"{START}&page=page_x", NOT_A_PAGE),
        (COST, f"{START}&bucket_width=1h", "bucket_width: Input should be '1d'"),
        (
            COST,
            f"{START}&group_by[]=model",
            "group_by.0: Input should be 'workspace_id' or 'description'",
        ),
        (COST, f"{START}&models[]=x", "models: Extra inputs are not permitted"),
    ):
        answer = await get(client, path, query)
        assert answer.error == (400, "invalid_request_error", message), query


def told(answer: Answer) -> dict[str, int]:
    """What a caller was told to have used, in a JSON answer or at the end of a stream."""
    if answer.headers["content-type"] == "application/json":
        usage: dict[str, Any] = answer.json["usage"]
    else:
        usage = next(event["usage"] for event in answer.events if event["type"] == "message_delta")
    return {name: usage[name] for name in ("input_tokens", "output_tokens")}


@pytest.mark.covers("routes: GET /v1/organizations/usage_report/messages", "effect")
@pytest.mark.covers("routes: GET /v1/organizations/cost_report", "effect")
async def test_reports_equal_what_the_callers_were_told(served: Platform) -> None:
    caller = Client(build_app(served))
    answers = [
        await caller.create(model="claude-opus-5-5"),
        await caller.create(model="claude-opus-5-5", stream=True),
        await caller.create(model="claude-opus-5-5", max_tokens=2),
        await caller.create(model="claude-opus-5-5", stop_sequences=["END"], stream=True),
    ]
    refused = await caller.create(model="claude-opus-5-5", max_tokens=-1)
    assert refused.status == 400
    await served.ledger.flush()
    admin = administrator(served)
    query = f"{START}&group_by[]=model&group_by[]=api_key_id"
    (line,) = (await get(admin, USAGE, query)).json["data"][-1]["results"]
    usages = [told(answer) for answer in answers]
    used = {name: sum(usage[name] for usage in usages) for name in usages[0]}
    assert line["model"] == "claude-opus-5-5"
    assert line["api_key_id"].startswith("apikey_01")
    assert line["uncached_input_tokens"] == used["input_tokens"]
    assert line["output_tokens"] == used["output_tokens"]
    (bill,) = (await get(admin, COST, START)).json["data"][-1]["results"]
    nano_dollars = used["input_tokens"] * 4_000 + used["output_tokens"] * 20_000
    assert bill["amount"] == f"{nano_dollars // 10**7}.{nano_dollars % 10**7:07}".rstrip("0")


async def test_stream_that_breaks_is_in_the_reports_with_what_came_of_it(
    platform: Callable[..., Awaitable[Platform]],
) -> None:
    served = await platform(
        {"admin_key": ADMIN},
        now=lambda: NOW,
        replies=[{"text": "One two three four five.", "error": "failed", "after": 3}],
    )
    answer = await Client(build_app(served)).create(model="claude-opus-5-5", stream=True)
    assert answer.events[-1]["type"] == "error"
    await served.ledger.flush()
    (line,) = (await get(administrator(served), USAGE, START)).json["data"][-1]["results"]
    started = answer.events[0]["message"]["usage"]
    assert line["uncached_input_tokens"] == started["input_tokens"]
    assert line["output_tokens"] == 3


async def test_reports_are_refused_to_keys_that_do_not_administer(served: Platform) -> None:
    for path in (USAGE, COST):
        answer = await get(Client(build_app(served), {"x-api-key": KEY}), path, START)
        assert answer.error[:2] == (403, "permission_error")
