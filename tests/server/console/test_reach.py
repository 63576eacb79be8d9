"""What a developer and a user see: their own workspaces, keys, limits and use."""

from typing import Any, NamedTuple

import pytest

from antiphon.server.app import ORGANIZATIONS_PATH
from support.asgi import HELLO, Client
from support.browser import Browser
from support.console import get, join, key_in, member, post, set_up
from support.organization import Organization, StartOrganization

pytestmark = pytest.mark.anyio

USAGE = f"{ORGANIZATIONS_PATH}/usage_report/messages?starting_at=2026-11-23T00:00:00Z"
COST = f"{ORGANIZATIONS_PATH}/cost_report?starting_at=2026-11-23T00:00:00Z"
PRICED = "claude-opus-5-5"
DENIED = (403, "permission_error")


async def refused(browser: Browser, path: str, body: Any = None) -> tuple[int, str]:
    answer = await browser.post(ORGANIZATIONS_PATH + path, body)
    status, kind, _ = answer.error
    return status, kind


def ids(listing: Any) -> set[str]:
    return {one["id"] for one in listing["data"]}


class People(NamedTuple):
    """An administrator, and members of the workspace `lab`; of `hall` is only a key."""

    admin: Browser
    bob: Browser  # a developer
    eve: Browser  # a user
    bill: Browser  # for billing, of no workspace
    eves_id: str
    lab: str
    hall: str
    lab_caller: Client
    hall_caller: Client


async def people(org: Organization) -> People:
    admin = await set_up(org)
    bob, bobs_id = await member(org, "bob", "developer")
    eve, eves_id = await member(org, "eve", "user")
    bill, _ = await member(org, "bill", "billing")
    lab_caller, lab, _ = await org.guest()
    hall = (await org.post("/workspaces", {"name": "Hall"}))["id"]
    hall_caller = org.caller_with((await key_in(org, hall))["secret"])
    await join(org, bobs_id, lab, "workspace_developer")
    await join(org, eves_id, lab, "workspace_user")
    return People(admin, bob, eve, bill, eves_id, lab, hall, lab_caller, hall_caller)


@pytest.mark.sql_elsewhere
async def test_developer_sees_and_changes_own_keys_in_own_workspaces(
    on_both_databases: StartOrganization,
) -> None:
    org = await on_both_databases()
    await set_up(org)
    browser, user_id = await member(org, "bob", "developer")
    lab, shop, hall = [
        (await org.post("/workspaces", {"name": name}))["id"] for name in ("Lab", "Shop", "Hall")
    ]
    await join(org, user_id, lab, "workspace_developer")
    await join(org, user_id, shop, "workspace_user")
    keys = {where: await key_in(org, where) for where in (lab, shop, hall)}
    whole = await org.post("/api_keys", {"name": "whole", "scope": {"type": "organization"}})
    own = await post(
        browser,
        "/api_keys",
        {"name": "own", "scope": {"type": "workspace", "workspace_id": lab}},
    )
    defaults = {key["id"] for key in (await org.get("/api_keys"))["data"]}
    defaults -= {one["id"] for one in (*keys.values(), whole, own)}
    assert ids(await get(browser, "/api_keys?limit=100")) == {keys[lab]["id"], own["id"], *defaults}
    assert ids(await get(browser, f"/api_keys?workspace_id={hall}")) == set()

    for hidden in (keys[shop], keys[hall], whole):
        path = f"/api_keys/{hidden['id']}"
        assert (await browser.get(ORGANIZATIONS_PATH + path)).status == 404
        assert await refused(browser, path, {"name": "mine"}) == (404, "not_found_error")
        assert await refused(browser, f"{path}/rotate") == (404, "not_found_error")
        limits = await browser.get(f"{ORGANIZATIONS_PATH}{path}/rate_limits")
        assert limits.status == 404
    theirs = f"/api_keys/{keys[lab]['id']}"
    assert (await get(browser, theirs))["name"] == "theirs"
    assert await refused(browser, theirs, {"status": "inactive"}) == DENIED
    assert await refused(browser, f"{theirs}/rotate") == DENIED

    path = f"/api_keys/{own['id']}"
    assert (await post(browser, path, {"name": "renamed"}))["name"] == "renamed"
    rotated = await post(browser, f"{path}/rotate", {"grace_period_seconds": 0})
    assert (await org.caller_with(rotated["secret"]).create()).status == 200
    assert (await post(browser, path, {"status": "archived"}))["status"] == "archived"


async def test_developer_creates_keys_in_own_workspaces_for_nobody_else(
    organization: StartOrganization,
) -> None:
    org = await organization()
    await set_up(org)
    browser, user_id = await member(org, "bob", "developer")
    other = (await org.add_user("eve"))["id"]
    hall = (await org.post("/workspaces", {"name": "Hall"}))["id"]
    before = ids(await org.get("/api_keys"))
    for body in (
        {"name": "x", "scope": {"type": "workspace", "workspace_id": hall}},
        {"name": "x", "scope": {"type": "organization"}},
        {"name": "x", "created_by_user_id": other},
    ):
        assert await refused(browser, "/api_keys", body) == DENIED
    assert ids(await org.get("/api_keys")) == before
    await join(org, user_id, hall, "workspace_admin")
    body = {"name": "x", "scope": {"type": "workspace", "workspace_id": hall}}
    assert (await post(browser, "/api_keys", body))["created_by"]["id"] == user_id


async def test_administrator_of_a_workspace_changes_its_keys(
    organization: StartOrganization,
) -> None:
    org = await organization()
    await set_up(org)
    browser, user_id = await member(org, "bob", "developer")
    lab = (await org.post("/workspaces", {"name": "Lab"}))["id"]
    key = await key_in(org, lab)
    await join(org, user_id, lab, "workspace_admin")
    path = f"/api_keys/{key['id']}"
    assert (await post(browser, path, {"status": "inactive"}))["status"] == "inactive"


async def test_developer_sees_own_workspaces_limits_and_balances(
    organization: StartOrganization,
) -> None:
    org = await organization()
    await set_up(org)
    browser, user_id = await member(org, "bob", "developer")
    lab = (await org.post("/workspaces", {"name": "Lab"}))["id"]
    hall = (await org.post("/workspaces", {"name": "Hall"}))["id"]
    await join(org, user_id, lab, "workspace_developer")
    limits = {}
    for workspace in (lab, hall):
        scope = {"type": "workspace", "workspace_id": workspace}
        limits[workspace] = await org.spend_limit_in_cents(scope, "100", "monthly")
    scope = {"type": "api_key", "api_key_id": (await key_in(org, hall))["id"]}
    hidden = await org.spend_limit_in_cents(scope, "100", "monthly")
    whole = await org.spend_limit_in_cents({"type": "organization"}, "1000", "monthly")

    assert ids(await get(browser, "/workspaces")) == {lab}
    assert (await browser.get(f"{ORGANIZATIONS_PATH}/workspaces/{hall}")).status == 404
    assert (await get(browser, f"/workspaces/{lab}"))["name"] == "Lab"
    path = f"{ORGANIZATIONS_PATH}/workspaces/{hall}/rate_limits"
    assert (await browser.get(path)).status == 404
    assert ids(await get(browser, "/spend_limits")) == {limits[lab]["id"], whole["id"]}
    for limit in (limits[hall], hidden):
        path = f"{ORGANIZATIONS_PATH}/spend_limits/{limit['id']}"
        assert (await browser.get(path)).status == 404
    balances = (await get(browser, "/balances?limit=100"))["data"]
    scopes = [one["scope"] for one in balances]
    assert {"organization"}.isdisjoint(one["type"] for one in scopes)
    assert hall not in {one.get("workspace_id") for one in scopes}
    assert lab in {one.get("workspace_id") for one in scopes}


@pytest.mark.sql_elsewhere
async def test_reports_show_what_is_within_reach(on_both_databases: StartOrganization) -> None:
    org = await on_both_databases()
    admin = await set_up(org)
    bob, bobs_id = await member(org, "bob", "developer")
    eve, eves_id = await member(org, "eve", "user")
    caller, lab, _ = await org.guest()
    hall = (await org.post("/workspaces", {"name": "Hall"}))["id"]
    hall_key = await key_in(org, hall)
    await join(org, bobs_id, lab, "workspace_developer")
    await join(org, eves_id, lab, "workspace_user")
    hello = {**HELLO, "model": PRICED}
    for one in (caller, org.caller_with(hall_key["secret"]), org.caller):
        assert (await one.create(model=PRICED)).status == 200
    assert (await eve.post("/v1/messages", hello, anthropic_workspace_id=lab)).status == 200
    assert (await bob.post("/v1/messages", hello)).status == 200
    await org.platform.ledger.flush()

    async def seen(browser: Browser, more: str = "") -> dict[tuple[Any, Any], int]:
        path = f"{USAGE}&group_by[]=workspace_id&group_by[]=account_id{more}"
        report = await browser.get(path)
        assert report.status == 200, report.json
        return {
            (one["workspace_id"], one["account_id"]): one["output_tokens"]
            for bucket in report.json["data"]
            for one in bucket["results"]
        }

    everything = await seen(admin)
    assert set(everything) == {
        (lab, None),
        (lab, eves_id),
        (hall, None),
        (None, None),
        (None, bobs_id),
    }
    assert set(await seen(bob)) == set(everything) - {(hall, None)}
    assert set(await seen(bob, f"&workspace_ids[]={hall}")) == set()
    assert set(await seen(bob, f"&workspace_ids[]={hall}&workspace_ids[]={lab}")) == {
        (lab, None),
        (lab, eves_id),
    }
    assert set(await seen(eve)) == {(lab, eves_id)}
    assert set(await seen(eve, f"&account_ids[]={bobs_id}")) == set()

    async def cost(browser: Browser) -> set[Any]:
        report = (await browser.get(f"{COST}&group_by[]=workspace_id")).json
        return {one["workspace_id"] for bucket in report["data"] for one in bucket["results"]}

    assert await cost(admin) == {lab, hall, None}
    assert await cost(bob) == {lab, None}
    assert (await eve.get(COST)).error[:2] == DENIED


@pytest.mark.covers("administration: GET /requests", "effect")
async def test_requests_are_seen_within_reach(on_both_databases: StartOrganization) -> None:
    org = await on_both_databases()
    admin, bob, eve, bill, eves_id, lab, hall, caller, hall_caller = await people(org)
    scope = {"type": "workspace", "workspace_id": lab}
    own = {"name": "own", "scope": scope, "created_by_user_id": eves_id}
    eves_key = org.caller_with((await org.post("/api_keys", own))["secret"])
    hello = {**HELLO, "model": PRICED}
    sent = {
        "lab": await caller.create(model=PRICED),
        "hall": await hall_caller.create(model=PRICED),
        "default": await org.caller.create(model=PRICED),
        "refused in hall": await hall_caller.create(max_tokens=-1),
        "eve": await eve.post("/v1/messages", hello, anthropic_workspace_id=lab),
        "eve's key": await eves_key.create(model=PRICED),
        "bob": await bob.post("/v1/messages", hello),
        "unknown": await org.caller_with("sk-nobody").create(),
    }
    names = {answer.headers["request-id"]: name for name, answer in sent.items()}
    await org.platform.ledger.flush()
    await org.platform.request_log.flush()

    async def listed(browser: Browser, query: str = "") -> set[str]:
        return {names[one] for one in ids(await get(browser, f"/requests?{query}"))}

    async def explained(browser: Browser) -> set[str]:
        found = set()
        for request, name in names.items():
            answer = await browser.get(f"{ORGANIZATIONS_PATH}/requests/{request}")
            assert answer.status in {200, 404}
            if answer.status == 200:
                found.add(name)
        return found

    of_bob = {"lab", "default", "eve", "eve's key", "bob"}
    of_eve = {"eve", "eve's key"}
    for browser, seen in ((admin, set(sent)), (bob, of_bob), (eve, of_eve)):
        assert await listed(browser) == seen
        assert await explained(browser) == seen
        assert await listed(browser, f"workspace_id={hall}") <= seen
        assert await listed(browser, f"workspace_id={lab}") == seen & {"lab", "eve", "eve's key"}
        assert await listed(browser, "error_type=invalid_request_error") <= seen
    assert (await bill.get(f"{ORGANIZATIONS_PATH}/requests")).error[:2] == DENIED
    (one,) = [one for one in (await get(bob, "/requests"))["data"] if names[one["id"]] == "eve"]
    assert (one["api_key_id"], one["account_id"]) == (None, eves_id)
    why = await get(bob, f"/requests/{one['id']}")
    assert (why["account"], why["api_key"]) == ({"id": eves_id, "name": "Eve"}, None)


@pytest.mark.sql_elsewhere
async def test_activity_is_seen_within_reach(on_both_databases: StartOrganization) -> None:
    org = await on_both_databases()
    admin, bob, eve, bill, _, lab, hall, caller, hall_caller = await people(org)
    hello = {**HELLO, "model": PRICED}
    for one in (caller, hall_caller):
        assert (await one.create(model=PRICED)).status == 200
        assert (await one.create(max_tokens=-1)).status == 400
    assert (await eve.post("/v1/messages", hello, anthropic_workspace_id=lab)).status == 200
    assert (await org.caller_with("sk-nobody").create()).status == 401
    await org.platform.ledger.flush()
    await org.platform.request_log.flush()
    path = "/activity?starting_at=2026-11-23T00:00:00Z"

    async def told(browser: Browser, query: str = "") -> tuple[int, dict[str, int]]:
        total = (await get(browser, path + query))["total"]
        return total["requests"], total["errors"]

    bad, unknown = "invalid_request_error", "authentication_error"
    assert await told(admin) == await told(bill) == (6, {bad: 2, unknown: 1})
    assert await told(bob) == (3, {bad: 1})
    assert await told(bob, f"&workspace_ids[]={hall}") == (0, {})
    assert await told(eve) == (1, {})
    for browser, sees_costs in ((admin, True), (bill, True), (bob, True), (eve, False)):
        total = (await get(browser, path))["total"]
        assert (total["cost"] is not None) is sees_costs
        assert (total["saved"] is not None) is sees_costs


async def test_user_sees_no_cost_of_the_own_requests(organization: StartOrganization) -> None:
    org = await organization()
    await set_up(org)
    eve, eves_id = await member(org, "eve", "user")
    hello = {**HELLO, "model": PRICED}
    answer = await eve.post("/v1/messages", hello)
    await org.spend_limit_in_cents({"type": "organization"}, "0.0001", "daily")
    refusal = await eve.post("/v1/messages", hello)
    assert (answer.status, refusal.status) == (200, 400)
    await org.platform.ledger.flush()
    await org.platform.request_log.flush()
    for one in (await get(eve, "/requests"))["data"]:
        assert one["cost"] is None
    total = (await get(eve, "/activity?starting_at=2026-11-23T00:00:00Z"))["total"]
    assert (total["requests"], total["cost"]) == (1, None)
    for one, limit in ((answer, None), (refusal, "0.0001")):
        path = f"/requests/{one.headers['request-id']}"
        theirs, whole = await get(eve, path), await org.get(path)
        assert (theirs["cost"], theirs["costs"]) == (None, [])
        assert theirs["account"]["id"] == eves_id
        by = (theirs["refused_by"] or {}).get("limit"), (whole["refused_by"] or {}).get("limit")
        assert by == (None, limit)


async def test_what_pages_read_is_not_in_the_log(
    organization: StartOrganization,
) -> None:
    org = await organization()
    browser = await set_up(org)
    for path in ("/v1/models", "/v1/messages/batches"):
        assert (await browser.get(path)).status == 200
    assert (await browser.get("/v1/models/none")).status == 404
    assert (await org.caller.get("/v1/models")).status == 200
    await org.platform.request_log.flush()
    statuses = [(one["status"], one["account_id"]) for one in (await org.get("/requests"))["data"]]
    user = (await browser.get("/v1/console/session")).json["user"]["id"]
    assert statuses == [(200, None), (404, user)]


async def test_running_requests_are_seen_within_reach(organization: StartOrganization) -> None:
    slow = {"when": "slow", "text": "Slowly.", "delay_s": 300}
    org = await organization(replies=[slow], text="One.")
    admin = await set_up(org)
    bob, bobs_id = await member(org, "bob", "developer")
    eve, _ = await member(org, "eve", "user")
    caller, lab, _ = await org.guest()
    await join(org, bobs_id, lab, "workspace_developer")
    said = [{"role": "user", "content": "slow"}]
    body = {**HELLO, "messages": said, "stream": True}
    hall = (await org.post("/workspaces", {"name": "Hall"}))["id"]
    others = org.caller_with((await key_in(org, hall))["secret"])
    calls = [one.start("POST", "/v1/messages", body) for one in (caller, others)]
    while (await org.get("/running_requests"))["total"] < len(calls):
        pass
    for browser, seen in ((admin, {lab, hall}), (bob, {lab}), (eve, set())):
        now = await get(browser, "/running_requests")
        assert {one["workspace_id"] for one in now["data"]} == seen
        assert now["total"] == len(seen)
    for call in calls:
        call.hang_up()
        await call.task
