"""Spend limits, over the application as it is served: nothing too much, and nothing too little."""

import asyncio
from collections import Counter
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from antiphon.core.billing.money import dollars
from antiphon.settings import PriceSettings
from antiphon.store.limits import list_spend_limits, set_spend_limit
from support.asgi import Answer, Call, Client
from support.organization import Organization, Recorded, StartOrganization
from support.valkey import Server

pytestmark = pytest.mark.anyio

AT_ONCE = 200
PRICE = PriceSettings(input=Decimal(3), output=Decimal(15))
# A prompt of 5 tokens, and 3 of the answer's four.
CUT = {"max_tokens": 3}
CUT_COST = 5 * 3_000 + 3 * 15_000
# The same prompt, and all four, where it might have been a hundred.
WHOLE_COST = 5 * 3_000 + 4 * 15_000
WHOLE_WORST = 5 * 3_000 + 100 * 15_000
SCOPES = ("organization", "workspace", "key")


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest) -> dict[str, Any]:
    if request.param == "sqlite":
        return {}
    return {"database_url": request.getfixturevalue("postgres_url")}


async def opened(
    organization: StartOrganization, settings: dict[str, Any], **more: Any
) -> Organization:
    options = {"text": "One two three", "tokens_per_second": 2000, **more}
    return await organization(settings, price=PRICE, **options)


async def limited(org: Organization, scope: str, nano_dollars: int) -> Client:
    """Limit the spend of a scope, and return a caller whom that concerns."""
    caller, workspace, key = await org.guest()
    scopes = {
        "organization": {"type": "organization"},
        "workspace": {"type": "workspace", "workspace_id": workspace},
        "key": {"type": "api_key", "api_key_id": key},
    }
    await org.spend_limit(scopes[scope], nano_dollars)
    return caller


async def all_at_once(caller: Client, **changes: Any) -> list[Answer]:
    return await asyncio.gather(*(caller.create(**changes) for _ in range(AT_ONCE)))


def statuses(answers: list[Answer]) -> Counter[int]:
    return Counter(answer.status for answer in answers)


async def spent(org: Organization) -> int:
    return sum(entry.cost for entry in (await org.entries()).values())


REFUSALS = {
    "organization": "You have reached your specified API usage limits.",
    "workspace": "You have reached your specified workspace API usage limits.",
    "key": "You have reached the usage limits of this API key.",
}


@pytest.mark.sql_elsewhere
@pytest.mark.parametrize("scope", SCOPES)
async def test_spend_limit_serves_as_many_requests_as_fit_and_not_a_nano_dollar_more(
    organization: StartOrganization, settings: dict[str, Any], scope: str
) -> None:
    org = await opened(organization, settings)
    limit = 77 * CUT_COST + CUT_COST - 1
    caller = await limited(org, scope, limit)
    answers = await all_at_once(caller, **CUT)
    assert statuses(answers) == {200: 77, 400: AT_ONCE - 77}
    assert await spent(org) == 77 * CUT_COST <= limit
    assert len(await org.entries()) == 77
    refused = next(answer for answer in answers if answer.status == 400)
    said = f"{REFUSALS[scope]} You will regain access on 2026-12-01 at 00:00 UTC. "
    assert refused.error[1] == "invalid_request_error"
    # A workspace's key is not told the amount of the organization.
    amount = "" if scope == "organization" else f" of ${dollars(limit)}"
    assert refused.error[2].startswith(f"{said}This is the monthly limit{amount} of ")
    assert "retry-after" not in refused.headers
    assert "anthropic-ratelimit-requests-remaining" in refused.headers


@pytest.mark.parametrize("scope", SCOPES)
async def test_request_that_might_fit_waits_and_is_served_if_it_does(
    organization: StartOrganization, settings: dict[str, Any], scope: str
) -> None:
    org = await opened(organization, settings)
    # Until the last one begins, at most a few fit beside one another.
    limit = (AT_ONCE - 1) * WHOLE_COST + WHOLE_WORST
    caller = await limited(org, scope, limit)
    assert statuses(await all_at_once(caller)) == {200: AT_ONCE}
    assert await spent(org) == AT_ONCE * WHOLE_COST <= limit


@pytest.mark.sql_elsewhere
async def test_last_request_is_refused_if_a_nano_dollar_is_missing(
    organization: StartOrganization, settings: dict[str, Any]
) -> None:
    org = await opened(organization, settings)
    limit = (AT_ONCE - 1) * WHOLE_COST + WHOLE_WORST - 1
    caller = await limited(org, "organization", limit)
    assert statuses(await all_at_once(caller)) == {200: AT_ONCE - 1, 400: 1}
    assert await spent(org) == (AT_ONCE - 1) * WHOLE_COST


@pytest.mark.sql_elsewhere
@pytest.mark.parametrize(("cap", "own"), [(77, 99), (99, 77), (77, 77)])
async def test_cap_of_the_server_and_the_limit_below_it_are_one_account(
    organization: StartOrganization, cap: int, own: int
) -> None:
    org = await opened(
        organization, {"limits": {"monthly_spend": str(Decimal(cap * CUT_COST) / 10**9)}}
    )
    caller = await limited(org, "organization", min(cap, own) * CUT_COST)
    if own > cap:
        # A lowered cap leaves a limit above it.
        async with org.platform.database.write() as connection:
            (kept,) = await list_spend_limits(connection)
            await set_spend_limit(connection, replace(kept, amount=own * CUT_COST))
    answers = [answer for _ in range(3) for answer in await all_at_once(caller, **CUT)]
    assert statuses(answers)[200] == 77
    assert await spent(org) == 77 * CUT_COST
    assert statuses(answers)[429 if cap < own else 400] == 3 * AT_ONCE - 77
    (balance, *_) = (await org.get("/balances?scope=organization"))["data"]
    assert (balance["held"], balance["remaining"]) == ("0", "0")


@pytest.mark.sql_elsewhere
async def test_spend_limits_of_all_scopes_apply_together(
    organization: StartOrganization, settings: dict[str, Any]
) -> None:
    org = await opened(organization, settings)
    caller, workspace, key = await org.guest()
    await org.spend_limit({"type": "organization"}, 100 * CUT_COST)
    await org.spend_limit({"type": "workspace", "workspace_id": workspace}, 60 * CUT_COST)
    await org.spend_limit({"type": "api_key", "api_key_id": key}, 50 * CUT_COST, period="daily")
    guests, others = await asyncio.gather(
        all_at_once(caller, **CUT), all_at_once(org.caller, **CUT)
    )
    assert statuses(guests)[200] == 50
    assert statuses(others)[200] == 50
    assert await spent(org) == 100 * CUT_COST


async def test_aborted_streams_count_towards_the_spend_limit(
    organization: StartOrganization, settings: dict[str, Any]
) -> None:
    org = await opened(organization, settings, text="word " * 99, tokens_per_second=500)
    limit = 40 * WHOLE_WORST
    caller = await limited(org, "organization", limit)
    body = {
        "model": "claude-x",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": True,
    }
    calls = [caller.start("POST", "/v1/messages", body) for _ in range(AT_ONCE)]

    await asyncio.gather(
        *(hung_up(call) if number % 2 else call.task for number, call in enumerate(calls))
    )
    cost = await spent(org)
    assert cost <= limit
    # What remains is too little for any further request.
    assert cost + WHOLE_WORST > limit or all(c.answer.status == 200 for c in calls)


async def hung_up(call: Call) -> None:
    """Hang up once something was said, or see the refusal."""
    said = asyncio.create_task(call.until(b"word"))
    await asyncio.wait([said, call.task], return_when=asyncio.FIRST_COMPLETED)
    said.cancel()
    call.hang_up()
    await call.task


@pytest.mark.covers("errors: spend limits: 400, and 429 for the server's cap", "effect")
async def test_cap_of_the_server_ends_with_the_month(organization: StartOrganization) -> None:
    org = await organization(
        {"limits": {"monthly_spend": "0.0001"}}, timed=True, price=PRICE, text="One two three"
    )
    assert (await org.caller.create(**CUT)).status == 200
    refused = await org.caller.create(**CUT)
    assert refused.error[:2] == (429, "rate_limit_error")
    assert refused.error[2] == (
        "You have reached your API usage limits: your organization has crossed its monthly API "
        "usage threshold, set based on your organization's API tier. You will regain access on "
        "2026-12-01 at 00:00 UTC. This is the monthly limit of $0.0001 of the server for the "
        "organization. This request could cost up to $0.00006. A smaller `max_tokens` can make it "
        "fit."
    )
    assert refused.json["error"]["details"] == {"error_code": "enforced_spend_limit_reached"}
    assert "retry-after" not in refused.headers
    assert refused.headers["anthropic-ratelimit-requests-limit"] == "1000000"
    org.clock.passes(days=7, hours=11, minutes=59)
    assert (await org.caller.create(**CUT)).status == 429
    org.clock.passes(minutes=1)
    assert (await org.caller.create(**CUT)).status == 200
    assert (await org.caller.create(**CUT)).status == 429


@pytest.mark.sql_elsewhere
@pytest.mark.parametrize(
    ("period", "until", "days"), [("daily", "2026-11-24", 0.5), ("weekly", "2026-11-30", 6.5)]
)
async def test_daily_and_weekly_limits_end_when_the_refusal_says(
    organization: StartOrganization, period: str, until: str, days: float
) -> None:
    org = await organization(timed=True, price=PRICE, text="One two three")
    await org.spend_limit({"type": "organization"}, CUT_COST, period=period)
    assert (await org.caller.create(**CUT)).status == 200
    assert f"access on {until} at" in (await org.caller.create(**CUT)).error[2]
    org.clock.passes(days=days)
    assert (await org.caller.create(**CUT)).status == 200


async def test_clock_that_jumps_resets_no_spend_limit(organization: StartOrganization) -> None:
    org = await organization(price=PRICE, text="One two three")
    await org.spend_limit({"type": "organization"}, 2 * CUT_COST)
    november, december = org.clock.now, org.clock.now.replace(month=12)

    async def asked(at: datetime) -> int:
        org.clock.now = at
        return (await org.caller.create(**CUT)).status

    assert [await asked(at) for at in (november, december, november)] == [200] * 3
    assert await asked(november + timedelta(days=7)) == 400
    assert await asked(december - timedelta(days=1)) == 200
    assert await asked(december) == 400
    assert await asked(december.replace(year=2027)) == 200
    assert [await asked(at) for at in (november, december)] == [400, 400]
    months = Counter(entry.row["started_at"].strftime("%Y-%m") for entry in await billed(org))
    assert months == {"2026-11": 2, "2026-12": 2, "2027-12": 1}


async def billed(org: Organization) -> list[Recorded]:
    return [entry for entry in (await org.entries()).values() if entry.cost]


async def test_free_request_is_never_refused_by_a_spend_limit(
    organization: StartOrganization,
) -> None:
    org = await organization(text="One two three")
    await org.spend_limit({"type": "organization"}, 0)
    answer = await org.caller.post(
        "/v1/messages",
        {"model": "scripted", "max_tokens": 3, "messages": [{"role": "user", "content": "Hi"}]},
    )
    assert answer.status == 200


async def test_organizations_on_one_valkey_server_have_counters_of_their_own(
    organization: StartOrganization, tmp_path: Path
) -> None:
    (tmp_path / "valkey").mkdir()
    valkey = Server(tmp_path / "valkey")
    try:
        orgs = [await organization({"counters_url": valkey.url}, price=PRICE) for _ in range(2)]
        for org in orgs:
            assert (await org.caller.create(**CUT)).status == 200
            await org.spend_limit({"type": "organization"}, CUT_COST + 1)
            await org.entries()
        # Who seeds the counters of one leaves those of the other alone.
        valkey.stop()
        for org in orgs:
            assert (await org.caller.create(**CUT)).status == 529
        valkey.start()
        for org in orgs * 2:
            while (answer := await org.caller.create(**CUT)).status == 529:  # noqa: ASYNC110 - no event tells when it is back
                await asyncio.sleep(0.05)
            assert answer.status == 400
    finally:
        valkey.close()


@pytest.mark.parametrize("before", [None, "weekly"])
@pytest.mark.parametrize("scope", ["organization", "workspace", "key"])
async def test_first_limit_is_not_overspent_by_requests_that_run_when_it_is_set(
    organization: StartOrganization, before: str | None, scope: str
) -> None:
    org = await organization(price=PRICE, text="word " * 99, tokens_per_second=100)
    caller, workspace, key = await org.guest()
    if before is not None:
        # Another limit was there: what runs holds something, but not of the new one.
        await org.spend_limit({"type": "organization"}, 10**12, period=before)
    body = {
        "model": "claude-x",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": True,
    }
    running = [caller.start("POST", "/v1/messages", body) for _ in range(10)]
    await asyncio.gather(*(call.until(b"word") for call in running))

    limit = 10 * WHOLE_WORST + WHOLE_WORST // 2
    scopes = {
        "organization": {"type": "organization"},
        "workspace": {"type": "workspace", "workspace_id": workspace},
        "key": {"type": "api_key", "api_key_id": key},
    }
    await org.spend_limit(scopes[scope], limit)
    wire = "api_key" if scope == "key" else scope
    balances = (await org.get(f"/balances?scope={wire}"))["data"]
    held = next(
        Decimal(one["held"]) * 10**7
        for one in balances
        if one["period"] == "monthly" and one["limit"] is not None
    )
    assert held == 10 * WHOLE_WORST
    late = [caller.start("POST", "/v1/messages", body) for _ in range(10)]
    await asyncio.gather(*(call.task for call in (*running, *late)))
    assert all(call.answer.status == 200 for call in running)
    assert sum(entry.cost for entry in (await org.entries()).values()) <= limit
    after = (await org.get(f"/balances?scope={wire}"))["data"]
    assert {one["held"] for one in after} == {"0"}
