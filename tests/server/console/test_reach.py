"""What a developer and a user see: their own workspaces, keys, limits and use."""

from typing import Any

import pytest

from antiphon.server.app import ORGANIZATIONS_PATH
from support.asgi import HELLO
from support.browser import Browser
from support.console import get, join, key_in, member, post, set_up
from support.organization import StartOrganization

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
