"""The audit log."""

from datetime import timedelta

import pytest

from antiphon.server.app import ORGANIZATIONS_PATH
from support.organization import StartOrganization

pytestmark = pytest.mark.anyio


@pytest.mark.covers("administration: audit of every change", "effect")
async def test_every_change_is_in_the_audit_log_without_a_secret(
    organization: StartOrganization,
) -> None:
    org = await organization()
    made = await org.post("/api_keys", {"name": "k"})
    await org.post(f"/api_keys/{made['id']}", {"name": "laptop"})
    await org.post(f"/api_keys/{made['id']}/rotate")
    log = await org.admin.get(f"{ORGANIZATIONS_PATH}/audit_log?object_id={made['id']}")
    actions = [entry["action"] for entry in log.json["data"]]
    assert sorted(actions) == ["api_key.create", "api_key.rotate", "api_key.update"]
    assert b"sk-antiphon-" + made["secret"][-40:].encode() not in log.body
    assert made["secret"].encode() not in log.body
    update = next(entry for entry in log.json["data"] if entry["action"] == "api_key.update")
    assert (update["before"]["name"], update["after"]["name"]) == ("k", "laptop")
    assert update["actor"]["type"] == "api_key"
    assert update["actor"]["id"].startswith("apikey_")
    assert update["object"] == {"type": "api_key", "id": made["id"]}
    assert update["request_id"].startswith("req_")


@pytest.mark.covers("administration: GET /audit_log", "effect")
@pytest.mark.covers("administration: pages by token", "effect")
async def test_audit_log_is_read_page_by_page(
    on_both_databases: StartOrganization,
) -> None:
    org = await on_both_databases()
    for number in range(5):
        org.clock.now += timedelta(seconds=1)
        await org.post("/workspaces", {"name": f"w{number}"})
    first = await org.get("/audit_log?limit=3")
    second = await org.get(f"/audit_log?limit=3&page={first['next_page']}")
    third = await org.get(f"/audit_log?limit=3&page={second['next_page']}")
    names = [entry["after"]["name"] for page in (first, second, third) for entry in page["data"]]
    assert names == ["w4", "w3", "w2", "w1", "w0", "default", "default"]
    assert third["next_page"] is None


@pytest.mark.sql_elsewhere
async def test_changes_of_one_moment_are_on_one_page_each(
    on_both_databases: StartOrganization,
) -> None:
    org = await on_both_databases()
    for number in range(5):
        await org.post("/workspaces", {"name": f"w{number}"})
    pages = [await org.get("/audit_log?limit=2")]
    while token := pages[-1]["next_page"]:
        pages.append(await org.get(f"/audit_log?limit=2&page={token}"))
    names = [entry["after"]["name"] for page in pages for entry in page["data"]]
    assert sorted(names) == ["default", "default", "w0", "w1", "w2", "w3", "w4"]


@pytest.mark.sql_elsewhere
async def test_change_without_a_difference_leaves_no_audit_entry(
    on_both_databases: StartOrganization,
) -> None:
    org = await on_both_databases()
    workspace = (await org.post("/workspaces", {"name": "w", "tags": {"a": "b"}}))["id"]
    limits = {"limits": [{"type": "requests_per_minute", "value": 5}]}
    limit = f"/workspaces/{workspace}/rate_limits/rl_scripted"
    await org.post(limit, limits)
    before = await org.audit()
    await org.post(limit, limits)
    await org.post(f"/workspaces/{workspace}", {"name": "w", "tags": {"a": "b"}})
    assert await org.audit() == before
