"""Increase requests: who asks, who decides, and what a decision does to the limit."""

import asyncio
import os
from datetime import timedelta
from typing import Any

import pytest

from antiphon.core.limits.increases import KEPT_FOR, MOST_A_DAY, MOST_OPEN_OF_ONE
from antiphon.server.app import ORGANIZATIONS_PATH
from antiphon.service.admin.administration import build_administration
from antiphon.service.admin.transactions import COMMAND_LINE, AdminTransactions
from antiphon.service.record_upkeep import RecordUpkeep
from antiphon.store.counters.memory import MemoryCounters
from antiphon.store.data_folder import database_path
from antiphon.store.database.database import open_database, sqlite_url
from support.browser import Browser
from support.console import get, join, key_in, member, post, set_up
from support.organization import Organization, StartOrganization

pytestmark = pytest.mark.anyio

PATH = "/limit_increase_requests"
WHOLE = {"type": "organization"}
DENIED = (403, "permission_error")


def of_rate(scope: dict[str, str], kind: str = "requests_per_minute") -> dict[str, Any]:
    return {
        "type": "rate_limit",
        "scope": scope,
        "rate_limit_id": "rl_scripted",
        "limit_type": kind,
    }


def of_spending(scope: dict[str, str], period: str = "monthly") -> dict[str, Any]:
    return {"type": "spend_limit", "scope": scope, "period": period}


def asking(limit: dict[str, Any], requested: int | str, reason: str = "Launch") -> dict[str, Any]:
    return {"limit": limit, "requested": requested, "reason": reason}


async def refused(browser: Browser, path: str, body: Any) -> tuple[int, str, str]:
    answer = await browser.post(ORGANIZATIONS_PATH + path, body)
    status, kind, message = answer.error
    return status, kind, message


async def actions(org: Organization) -> set[tuple[str, str]]:
    """Return what was done, and by whom."""
    entries = (await org.get("/audit_log?limit=1000"))["data"]
    return {(one["action"], one["actor"]["type"]) for one in entries}


@pytest.mark.covers("administration: POST /limit_increase_requests", "effect")
@pytest.mark.covers("administration: POST /limit_increase_requests/{request}/grant", "effect")
async def test_granted_rate_limit_applies_to_the_next_request(
    on_both_databases: StartOrganization,
) -> None:
    org = await on_both_databases()
    caller, workspace, _ = await org.guest()
    await org.limit(f"/workspaces/{workspace}", requests_per_minute=1)
    assert [(await caller.create()).status for _ in range(2)] == [200, 429]
    scope = {"type": "workspace", "workspace_id": workspace}
    org.clock.passes(seconds=1)
    asked = await org.post(PATH, asking(of_rate(scope), 100, "  Two lines\nof a reason "))
    assert asked == {
        "id": asked["id"],
        "type": "limit_increase_request",
        "status": "open",
        "limit": of_rate(scope),
        "current": 1,
        "requested": 100,
        "granted": None,
        "reason": "Two lines\nof a reason",
        "answer": None,
        "asked_by": asked["asked_by"],
        "asked_at": "2026-11-23T12:00:01Z",
        "ended_by": None,
        "ended_at": None,
        "replaced_by": None,
    }
    assert asked["id"].startswith("limreq_01")
    assert (await caller.create()).status == 429
    org.clock.passes(seconds=1)
    granted = await org.post(f"{PATH}/{asked['id']}/grant", {"answer": "Good luck"})
    assert granted == {
        **asked,
        "status": "granted",
        "current": 100,
        "granted": 100,
        "answer": "Good luck",
        "ended_by": asked["asked_by"],
        "ended_at": "2026-11-23T12:00:02Z",
    }
    assert await org.get(f"{PATH}/{asked['id']}") == granted
    assert (await caller.create()).status == 200
    *both, created = (await org.audit())[:3]
    decided, limited = sorted(both, key=lambda entry: str(entry["action"]))
    assert [one["action"] for one in (created, decided, limited)] == [
        "limit_increase_request.create",
        "limit_increase_request.grant",
        "rate_limit.update",
    ]
    assert {one["scope"]["workspace_id"] for one in (*both, created)} == {workspace}
    assert (created["before"], created["after"]) == (None, asked)
    assert (decided["before"], decided["after"]) == (asked, granted)
    assert decided["request_id"] == limited["request_id"]


async def test_grant_by_another_process_applies_to_the_next_request(
    organization: StartOrganization,
) -> None:
    org = await organization()
    await org.limit("", requests_per_minute=1)
    assert [(await org.caller.create()).status for _ in range(2)] == [200, 429]
    asked = await org.post(PATH, asking(of_rate(WHOLE), 100))
    settings = org.platform.settings
    database = await open_database(sqlite_url(database_path(settings.data_dir)))
    elsewhere = build_administration(
        AdminTransactions(database, os.urandom, org.clock),
        settings.limits,
        MemoryCounters(),
        org.platform.administration.rate_limits._models,
    )
    await elsewhere.increases.grant(COMMAND_LINE, asked["id"])
    await database.aclose()
    assert (await org.caller.create()).status == 200
    assert (await org.get(f"{PATH}/{asked['id']}"))["ended_by"] == {
        "type": "command_line",
        "id": None,
    }


@pytest.mark.sql_elsewhere
async def test_granted_spend_limit_is_the_amount_that_the_administrator_chose(
    on_both_databases: StartOrganization,
) -> None:
    org = await on_both_databases()
    limit = await org.spend_limit_in_cents(WHOLE, "1000", "weekly")
    asked = await org.post(PATH, asking(of_spending(WHOLE, "weekly"), "5000.5"))
    assert (asked["current"], asked["requested"]) == ("1000", "5000.5")
    granted = await org.post(f"{PATH}/{asked['id']}/grant", {"granted": "2000"})
    assert (granted["granted"], granted["current"]) == ("2000", "2000")
    assert (await org.get(f"/spend_limits/{limit['id']}"))["amount"] == "2000"


async def test_key_asks_for_its_own_limits(organization: StartOrganization) -> None:
    org = await organization()
    _, _, key = await org.guest()
    scope = {"type": "api_key", "api_key_id": key}
    await org.limit(f"/api_keys/{key}", output_tokens_per_minute=10)
    await org.spend_limit_in_cents(scope, "10", "daily")
    rate = await org.post(PATH, asking(of_rate(scope, "output_tokens_per_minute"), 20))
    money = await org.post(PATH, asking(of_spending(scope, "daily"), "20"))
    for one in (rate, money):
        await org.post(f"{PATH}/{one['id']}/grant")
    rates = (await org.get(f"/api_keys/{key}/rate_limits"))["data"]
    assert rates[0]["limits"][0]["value"] == 20
    assert (await org.get(f"{PATH}/{money['id']}"))["current"] == "20"


@pytest.mark.covers("administration: POST /limit_increase_requests/{request}/refuse", "effect")
async def test_refused_request_changes_no_limit_and_says_why(
    organization: StartOrganization,
) -> None:
    org = await organization()
    before = await org.get("/rate_limits")
    asked = await org.post(PATH, asking(of_rate(WHOLE), 10**7))
    path = f"{PATH}/{asked['id']}"
    assert await org.refusal(f"{path}/refuse", {}) == (400, "answer: Field required")
    said = "answer: Input should be printable characters, not only spaces"
    assert await org.refusal(f"{path}/refuse", {"answer": " \n "}) == (400, said)
    ended = await org.post(f"{path}/refuse", {"answer": "Not this month"})
    assert (ended["status"], ended["answer"], ended["granted"]) == (
        "refused",
        "Not this month",
        None,
    )
    assert await org.get("/rate_limits") == before
    said = "This increase request is refused already: nothing was changed now."
    for step, body in (("grant", {}), ("refuse", {"answer": "x"}), ("withdraw", {})):
        assert await org.refused_without_change(f"{path}/{step}", body) == (400, said)


async def test_of_administrators_who_decide_at_once_one_does(
    on_both_databases: StartOrganization,
) -> None:
    org = await on_both_databases()
    for _ in range(5):
        await org.limit("", requests_per_minute=10)
        asked = await org.post(PATH, asking(of_rate(WHOLE), 20))
        path = f"{ORGANIZATIONS_PATH}{PATH}/{asked['id']}"
        answers = await asyncio.gather(
            org.admin.post(f"{path}/grant", {}),
            org.admin.post(f"{path}/refuse", {"answer": "No"}),
            org.admin.post(f"{path}/grant", {"granted": 30}),
            org.admin.post(f"{path}/withdraw", {}),
        )
        won = [one for one in answers if one.status == 200]
        assert sorted(one.status for one in answers) == [200, 400, 400, 400]
        ended = await org.get(f"{PATH}/{asked['id']}")
        assert ended == won[0].json
        assert {one.error[2] for one in answers if one.status == 400} == {
            f"This increase request is {ended['status']} already: nothing was changed now."
        }
        (limits,) = (await org.get("/rate_limits?model=claude-x"))["data"]
        values = {one["type"]: one["value"] for one in limits["limits"]}
        assert values["requests_per_minute"] == (ended["granted"] or 10)


async def test_later_request_of_the_same_asker_replaces_the_earlier(
    on_both_databases: StartOrganization,
) -> None:
    org = await on_both_databases()
    await set_up(org)
    bob, bobs = await member(org, "bob", "developer")
    first = await post(bob, PATH, asking(of_rate(WHOLE), 10**7))
    others = await org.post(PATH, asking(of_rate(WHOLE), 10**7 + 5))
    input_tokens = of_rate(WHOLE, "input_tokens_per_minute_cache_aware")
    other_limit = await post(bob, PATH, asking(input_tokens, 10**9 + 1))
    second = await post(bob, PATH, asking(of_rate(WHOLE), 10**7 + 1))
    replaced = await get(bob, f"{PATH}/{first['id']}")
    assert (replaced["status"], replaced["replaced_by"]) == ("replaced", second["id"])
    assert replaced["ended_by"] == {"type": "user", "id": bobs}
    is_open = await org.get(f"{PATH}?statuses[]=open")
    assert {one["id"] for one in is_open["data"]} == {
        second["id"],
        others["id"],
        other_limit["id"],
    }
    assert ("limit_increase_request.replace", "user") in await actions(org)


@pytest.mark.sql_elsewhere
@pytest.mark.covers("administration: GET /limit_increase_requests", "effect")
async def test_requests_are_listed_by_page_and_status(
    on_both_databases: StartOrganization,
) -> None:
    org = await on_both_databases()
    await org.limit("", requests_per_minute=1, output_tokens_per_minute=1)
    kinds = ("requests_per_minute", "output_tokens_per_minute")
    asked = []
    for number in range(6):
        org.clock.passes(seconds=number % 2)
        asked.append(await org.post(PATH, asking(of_rate(WHOLE, kinds[number % 2]), 10 + number)))
    found: list[Any] = []
    page = await org.get(f"{PATH}?limit=4")
    while True:
        found += page["data"]
        if page["next_page"] is None:
            break
        page = await org.get(f"{PATH}?limit=4&page={page['next_page']}")
    assert [one["asked_at"] for one in found] == sorted(
        (one["asked_at"] for one in asked), reverse=True
    )
    assert {one["id"] for one in found} == {one["id"] for one in asked}
    listed = await org.get(f"{PATH}?statuses[]=open&statuses[]=granted")
    assert {one["id"] for one in listed["data"]} == {one["id"] for one in asked[-2:]}
    assert await org.refusal(f"{PATH}?statuses[]=lost", method="GET") == (
        400,
        "statuses.0: Input should be 'open', 'granted', 'refused', 'withdrawn' or 'replaced'",
    )
    for token in ("nothing", "page_NQ=="):
        assert (await org.refusal(f"{PATH}?page={token}", method="GET"))[0] == 400
    for unknown in ("limreq_01nothing", "%00"):
        assert (await org.refusal(f"{PATH}/{unknown}", method="GET"))[0] == 404


@pytest.mark.sql_elsewhere
@pytest.mark.covers("administration: GET /limit_increase_requests/{request}", "effect")
@pytest.mark.covers("administration: POST /limit_increase_requests/{request}/withdraw", "effect")
async def test_developer_asks_within_reach_and_sees_own_requests_only(
    on_both_databases: StartOrganization,
) -> None:
    org = await on_both_databases()
    await set_up(org)
    bob, bobs = await member(org, "bob", "developer")
    eve, _ = await member(org, "eve", "developer")
    lab, hall = [(await org.post("/workspaces", {"name": name}))["id"] for name in ("Lab", "Hall")]
    await join(org, bobs, lab, "workspace_developer")
    for workspace in (lab, hall):
        await org.limit(f"/workspaces/{workspace}", requests_per_minute=5)
    hidden_key = (await key_in(org, hall))["id"]
    await org.limit(f"/api_keys/{hidden_key}", requests_per_minute=5)
    own = await post(bob, PATH, asking(of_rate({"type": "workspace", "workspace_id": lab}), 9))
    assert own["asked_by"] == {"type": "user", "id": bobs}
    for scope in (
        {"type": "workspace", "workspace_id": hall},
        {"type": "api_key", "api_key_id": hidden_key},
    ):
        assert (await refused(bob, PATH, asking(of_rate(scope), 9)))[0] == 404

    path = f"{PATH}/{own['id']}"
    assert [one["id"] for one in (await get(bob, PATH))["data"]] == [own["id"]]
    assert (await get(eve, PATH))["data"] == []
    assert (await eve.get(ORGANIZATIONS_PATH + path)).status == 404
    assert (await refused(eve, f"{path}/withdraw", {}))[0] == 404
    for step, body in (("grant", {}), ("refuse", {"answer": "x"})):
        for browser in (bob, eve):
            assert (await refused(browser, f"{path}/{step}", body))[:2] == DENIED
    said = "Only whoever has asked can withdraw an increase request; refuse it instead."
    assert await org.refusal(f"{path}/withdraw") == (400, said)
    assert (await post(bob, f"{path}/withdraw"))["status"] == "withdrawn"
    assert ("limit_increase_request.withdraw", "user") in await actions(org)


@pytest.mark.sql_elsewhere
async def test_who_has_left_a_workspace_no_longer_sees_its_limits(
    on_both_databases: StartOrganization,
) -> None:
    org = await on_both_databases()
    await set_up(org)
    _, lab, key = await org.guest()
    bob, bobs = await member(org, "bob", "developer")
    await join(org, bobs, lab, "workspace_developer")
    await org.limit(f"/workspaces/{lab}", requests_per_minute=10)
    await org.limit(f"/api_keys/{key}", requests_per_minute=5)
    of_lab = asking(of_rate({"type": "workspace", "workspace_id": lab}), 20)
    of_key = asking(of_rate({"type": "api_key", "api_key_id": key}), 7)
    asked = [await post(bob, PATH, body) for body in (of_lab, of_key)]
    assert [one["current"] for one in asked] == [10, 5]
    await org.delete(f"/workspaces/{lab}/members/{bobs}")
    await org.limit(f"/workspaces/{lab}", requests_per_minute=11)
    ids = [one["id"] for one in asked]
    listed = {one["id"]: one for one in (await get(bob, PATH))["data"]}
    shown = [
        *(listed[one] for one in ids),
        *[await get(bob, f"{PATH}/{one}") for one in ids],
        *[await post(bob, f"{PATH}/{one}/withdraw") for one in ids],
    ]
    assert [one["current"] for one in shown] == [None] * 6
    assert (await org.get(f"{PATH}/{ids[0]}"))["current"] == 11


async def test_only_administrators_decide(organization: StartOrganization) -> None:
    org = await organization()
    admin = await set_up(org)
    billing, _ = await member(org, "bill", "billing")
    user, _ = await member(org, "eve", "user")
    asked = await post(billing, PATH, asking(of_rate(WHOLE), 10**7))
    assert [one["id"] for one in (await get(billing, PATH))["data"]] == [asked["id"]]
    path = f"{PATH}/{asked['id']}"
    assert (await refused(billing, f"{path}/grant", {}))[:2] == DENIED
    assert (await refused(user, PATH, asking(of_rate(WHOLE), 10**8)))[:2] == DENIED
    assert (await user.get(ORGANIZATIONS_PATH + PATH)).error[:2] == DENIED
    assert (await post(admin, f"{path}/grant"))["status"] == "granted"


async def test_what_cannot_be_granted_is_not_asked_for(organization: StartOrganization) -> None:
    org = await organization({"limits": {"monthly_spend": "100"}})
    await org.limit("", requests_per_minute=50)
    workspace = (await org.post("/workspaces", {"name": "Lab"}))["id"]
    await org.limit(f"/workspaces/{workspace}", requests_per_minute=5)
    lab = {"type": "workspace", "workspace_id": workspace}
    listed = (await org.get("/workspaces?include_default=true"))["data"]
    default = next(one["id"] for one in listed if one["name"] == "Default")
    await org.spend_limit_in_cents(WHOLE, "5", "monthly")

    async def complaint(limit: dict[str, Any], requested: int | str, why: str = "x") -> str:
        status, said = await org.refused_without_change(PATH, asking(limit, requested, why))
        assert status in {400, 404}, said
        return said

    assert await complaint(of_rate(WHOLE), 50) == (
        "requested: the limit is 50 now, so this is no increase"
    )
    assert await complaint(of_rate(lab), 51) == (
        "requested: 51 is above the organization's limit, 50"
    )
    assert await complaint(of_spending(WHOLE), "10001") == (
        "requested: 10001 cents is above the cap of this server, 10000 cents"
    )
    no_limit = "limit: no such limit is set, so nothing has to be raised; a limit above it may"
    assert (await complaint(of_spending(lab), "5")).startswith(no_limit)
    assert (await complaint(of_rate(lab, "output_tokens_per_minute"), 5)).startswith(no_limit)
    assert await complaint(of_rate({"type": "workspace", "workspace_id": default}), 5) == (
        "The Default workspace cannot have limits of its own."
    )
    assert await complaint({**of_rate(WHOLE), "rate_limit_id": "rl_gone"}, 5) == (
        "Rate limit rl_gone not found."
    )
    counts = {**of_rate(WHOLE, "output_tokens_per_minute"), "rate_limit_id": "rl_token_count"}
    assert await complaint(counts, 5) == (
        "limit_type: this group has no limit of type 'output_tokens_per_minute'"
    )
    assert await complaint(of_rate(WHOLE), 51, "\u202e") == (
        "reason: Input should be printable characters, not only spaces"
    )
    assert await complaint(of_rate(WHOLE), 51, "x" * 1001) == (
        "reason: String should have at most 1000 characters"
    )
    assert (await org.get(PATH))["data"] == []


async def test_grant_that_fails_leaves_the_request_open_and_the_limit_as_it_is(
    organization: StartOrganization,
) -> None:
    org = await organization()
    await org.limit("", requests_per_minute=50)
    workspace = (await org.post("/workspaces", {"name": "Lab"}))["id"]
    await org.limit(f"/workspaces/{workspace}", requests_per_minute=5)
    asked = await org.post(
        PATH, asking(of_rate({"type": "workspace", "workspace_id": workspace}), 40)
    )
    grant = f"{PATH}/{asked['id']}/grant"
    await org.limit("", requests_per_minute=30)
    said = "granted: 40 is above the organization's limit, 30"
    assert await org.refused_without_change(grant, {}) == (400, said)
    assert (await org.refused_without_change(grant, {"granted": 4}))[0] == 400
    await org.post(f"/workspaces/{workspace}/archive")
    assert (await org.refused_without_change(grant, {"granted": 30}))[0] == 400
    assert await org.get(f"{PATH}/{asked['id']}") == asked


async def test_limit_that_was_raised_meanwhile_is_not_lowered(
    organization: StartOrganization,
) -> None:
    org = await organization()
    await org.limit("", requests_per_minute=50)
    asked = await org.post(PATH, asking(of_rate(WHOLE), 60))
    await org.limit("", requests_per_minute=70)
    assert (await org.get(f"{PATH}/{asked['id']}"))["current"] == 70
    granted = await org.post(f"{PATH}/{asked['id']}/grant")
    assert (granted["granted"], granted["current"]) == (70, 70)
    said = "This increase request is granted already: nothing was changed now."
    assert await org.refusal(f"{PATH}/{asked['id']}/grant", {"granted": 1}) == (400, said)
    changed = [one["action"] for one in await org.audit()].count("rate_limit.update")
    assert changed == 2, "the grant sets nothing"


async def test_open_requests_of_one_asker_are_bounded(organization: StartOrganization) -> None:
    org = await organization()
    workspaces = [
        (await org.post("/workspaces", {"name": f"w{number}"}))["id"]
        for number in range(MOST_OPEN_OF_ONE + 1)
    ]
    for one in workspaces:
        await org.limit(f"/workspaces/{one}", requests_per_minute=5)
    asks = [asking(of_rate({"type": "workspace", "workspace_id": one}), 6) for one in workspaces]
    for ask in asks[:-1]:
        await org.post(PATH, ask)
    status, said = await org.refused_without_change(PATH, asks[-1])
    assert (status, said[:35]) == (400, "You have 20 open increase requests,")
    # One that replaces another is no further one.
    last = await org.post(PATH, asks[0])
    await org.post(f"{PATH}/{last['id']}/withdraw")
    await org.post(PATH, asks[-1])
    for number in range(MOST_A_DAY - MOST_OPEN_OF_ONE - 2):
        await org.post(PATH, asking(asks[-1]["limit"], 7 + number))
    status, said = await org.refusal(PATH, asks[-1])
    assert (status, said[:40]) == (400, "You have made 100 increase requests with")
    org.clock.passes(days=1)
    await org.post(PATH, asks[-1])


@pytest.mark.sql_elsewhere
async def test_ended_requests_are_kept_for_a_year_and_open_ones_for_longer(
    on_both_databases: StartOrganization,
) -> None:
    org = await on_both_databases()
    tokens = of_rate(WHOLE, "output_tokens_per_minute")
    still_open = await org.post(PATH, asking(tokens, 10**10))
    ended = await org.post(PATH, asking(of_rate(WHOLE), 10**7))
    await org.post(f"{PATH}/{ended['id']}/withdraw")
    for later, left in (
        (timedelta(0), [ended["id"], still_open["id"]]),
        (timedelta(microseconds=1), [still_open["id"]]),
    ):
        now = org.clock.now + KEPT_FOR + later
        await RecordUpkeep(org.platform.database, lambda: now, 30).remove_old()  # noqa: B023
        found = [one["id"] for one in (await org.get(PATH))["data"]]
        assert sorted(found) == sorted(left)
