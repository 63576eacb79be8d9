"""API keys."""

from datetime import timedelta

import pytest

from support.asgi import HELLO, KEY
from support.organization import NOON, StartOrganization

pytestmark = pytest.mark.anyio

HELLO_COUNT = {name: value for name, value in HELLO.items() if name != "max_tokens"}


@pytest.mark.covers("administration: GET /api_keys", "effect")
@pytest.mark.covers("administration: POST /api_keys", "effect")
@pytest.mark.covers("administration: GET /api_keys/{key}", "effect")
async def test_key_is_made_with_its_secret_shown_once(organization: StartOrganization) -> None:
    org = await organization()
    made = await org.post("/api_keys", {"name": "ci", "expires_in_seconds": 3600})
    secret = made.pop("secret")
    assert made == {
        "id": made["id"],
        "type": "api_key",
        "name": "ci",
        "status": "active",
        "created_at": "2026-11-23T12:00:00Z",
        "expires_at": "2026-11-23T13:00:00Z",
        "last_used_at": None,
        "created_by": None,
        "partial_key_hint": made["partial_key_hint"],
        "principal": None,
        "scope": made["scope"],
    }
    assert made["scope"]["type"] == "workspace"
    assert await org.get(f"/api_keys/{made['id']}") == made
    assert (await org.caller_with(secret).create()).status == 200
    org.clock.now = NOON + timedelta(hours=1)
    assert (await org.caller_with(secret).create()).error[0] == 401
    assert (await org.get(f"/api_keys/{made['id']}"))["status"] == "expired"
    assert (await org.get("/api_keys?status=expired"))["data"][0]["id"] == made["id"]
    await org.post(f"/api_keys/{made['id']}", {"status": "inactive"})
    assert await org.refusal(f"/api_keys/{made['id']}", {"status": "active"}) == (
        400,
        "status: an API key that has expired cannot be reactivated",
    )


@pytest.mark.covers("administration: fields of 2023-06-01", "effect")
async def test_older_version_lists_keys_with_their_workspace_id(
    organization: StartOrganization,
) -> None:
    org = await organization()
    workspace = await org.post("/workspaces", {"name": "Research"})
    scope = {"type": "workspace", "workspace_id": workspace["id"]}
    await org.post("/api_keys", {"name": "a", "scope": scope})
    listed = await org.get("/api_keys", anthropic_version="2023-06-01")
    assert {key["workspace_id"] for key in listed["data"]} == {workspace["id"], None}
    newer = await org.get(f"/api_keys?workspace_id={workspace['id']}")
    assert [key["name"] for key in newer["data"]] == ["a"]
    assert "workspace_id" not in newer["data"][0]


async def test_key_of_the_organization_has_no_workspace(organization: StartOrganization) -> None:
    org = await organization()
    made = await org.post("/api_keys", {"name": "o", "scope": {"type": "organization"}})
    assert made["scope"] == {"type": "organization"}


@pytest.mark.covers("administration: POST /api_keys/{key}", "effect")
async def test_key_is_disabled_enabled_and_archived_at_once(
    organization: StartOrganization,
) -> None:
    org = await organization()
    made = await org.post("/api_keys", {"name": "k"})
    path, caller = f"/api_keys/{made['id']}", org.caller_with(made["secret"])
    for status, allowed in (("inactive", 401), ("active", 200), ("archived", 401)):
        assert (await org.post(path, {"status": status}))["status"] == status
        assert (await caller.create()).status == allowed
    assert await org.refusal(path, {"status": "active"}) == (
        400,
        "This API key is archived and cannot be changed.",
    )
    assert await org.refusal(path, {"name": " "}) == (
        400,
        "name: Input should be printable characters, not only spaces",
    )


@pytest.mark.covers("administration: POST /api_keys/{key}/rotate", "effect")
async def test_rotated_key_has_two_secrets_for_a_while_and_one_id(
    organization: StartOrganization,
) -> None:
    org = await organization()
    made = await org.post("/api_keys", {"name": "k"})
    rotated = await org.post(f"/api_keys/{made['id']}/rotate", {"grace_period_seconds": 600})
    assert rotated["id"] == made["id"]
    assert rotated["secret"] != made["secret"]
    old, new = org.caller_with(made["secret"]), org.caller_with(rotated["secret"])
    assert [(await one.create()).status for one in (old, new)] == [200, 200]
    org.clock.now = NOON + timedelta(seconds=600)
    assert [(await one.create()).status for one in (old, new)] == [401, 200]
    at_once = await org.post(f"/api_keys/{made['id']}/rotate", {"grace_period_seconds": 0})
    assert (await new.create()).status == 401
    assert (await org.caller_with(at_once["secret"]).create()).status == 200


async def test_clock_set_back_revives_no_rotated_secret(
    on_both_databases: StartOrganization,
) -> None:
    org = await on_both_databases()
    key = await org.post("/api_keys", {"name": "k", "expires_in_seconds": 3600})
    org.clock.passes(hours=2)
    path = f"/api_keys/{key['id']}"
    await org.post(path, {"status": "inactive"})
    assert (await org.refused_without_change(path, {"status": "active"}))[0] == 400
    org.clock.now = NOON - timedelta(days=1)
    rotated = await org.post(f"{path}/rotate", {"grace_period_seconds": 0})
    await org.post(path, {"status": "active"})
    # The server has seen the key expire, and a new secret does not make it younger.
    for secret in (key["secret"], rotated["secret"]):
        assert (await org.caller_with(secret).create()).status == 401
    pages = [await org.get("/audit_log?limit=2")]
    while token := pages[-1]["next_page"]:
        pages.append(await org.get(f"/audit_log?limit=2&page={token}"))
    ids = [entry["id"] for page in pages for entry in page["data"]]
    assert len(ids) == len(set(ids)) == len((await org.get("/audit_log"))["data"])


async def test_archiving_a_workspace_archives_its_keys(organization: StartOrganization) -> None:
    org = await organization()
    workspace = await org.post("/workspaces", {"name": "Research"})
    scope = {"type": "workspace", "workspace_id": workspace["id"]}
    made = await org.post("/api_keys", {"name": "k", "scope": scope})
    answer = await org.caller_with(made["secret"]).create()
    assert answer.headers["anthropic-workspace-id"] == workspace["id"]
    await org.post(f"/workspaces/{workspace['id']}/archive")
    assert (await org.caller_with(made["secret"]).create()).status == 401
    assert (await org.get(f"/api_keys/{made['id']}"))["status"] == "archived"
    assert await org.refusal("/api_keys", {"name": "k", "scope": scope}) == (
        400,
        "scope.workspace_id: this workspace is archived",
    )


async def test_key_shows_when_it_was_last_used(organization: StartOrganization) -> None:
    org = await organization()
    made = await org.post("/api_keys", {"name": "k"})
    await org.caller_with(made["secret"]).create()
    await org.platform.uses.write()
    assert (await org.get(f"/api_keys/{made['id']}"))["last_used_at"] == "2026-11-23T12:00:00Z"


async def test_key_of_the_settings_is_listed_without_its_secret(
    organization: StartOrganization,
) -> None:
    org = await organization()
    (listed,) = (await org.get("/api_keys"))["data"]
    assert listed["name"] == "default"
    assert KEY not in str(listed)
    assert (await org.caller.post("/v1/messages/count_tokens", HELLO_COUNT)).status == 200
