"""What a signed-in user may do: as the role permits, at the endpoints that keys call."""

import pytest
from sqlalchemy import select

from antiphon.server.app import ORGANIZATIONS_PATH, routes
from antiphon.store.accounts import KeyKind
from antiphon.store.console import list_sessions
from antiphon.store.database.batch_tables import message_batches
from support.asgi import HELLO
from support.browser import Browser
from support.console import console_of, get, join, key_in, member, post, set_up
from support.forms import FORM, upload_form
from support.organization import StartOrganization

pytestmark = pytest.mark.anyio

SESSION = "/v1/console/session"
DENIED = (403, "permission_error")


async def test_every_route_for_keys_names_a_permission(organization: StartOrganization) -> None:
    org = await organization()
    rows = [route for route in routes(org.platform) if route.key is not None]
    assert len(rows) > 40
    assert [route.path for route in rows if route.needs is None] == []
    api = {route.needs for route in rows if route.key is KeyKind.API}
    assert api == {"batches.use", "files.use", "models.read", "models.use"}


@pytest.mark.parametrize("role", ["developer", "billing", "user", "claude_code_user", "managed"])
async def test_role_may_do_what_its_permissions_say_and_nothing_else(
    organization: StartOrganization, role: str
) -> None:
    """Asks every route: it refuses with 403 exactly without its permission."""
    org = await organization()
    await set_up(org)
    browser, _ = await member(org, "bob", role)
    permitted = set((await browser.get(SESSION)).json["permissions"])
    for route in routes(org.platform):
        if route.key is None:
            continue
        path = route.template.replace("{", "").replace("}", "")
        answer = await browser.send(route.method, path, {} if route.body else b"")
        denied = answer.status == 403
        assert denied == (route.needs not in permitted), (route.method, route.path, answer.json)


async def test_change_by_a_user_is_the_users_in_the_audit_log(
    organization: StartOrganization,
) -> None:
    org = await organization()
    browser = await set_up(org)
    user = (await browser.get(SESSION)).json["user"]
    workspace = await post(browser, "/workspaces", {"name": "Lab"})
    key = await post(browser, "/api_keys", {"name": "laptop"})
    assert key["created_by"] == {"id": user["id"], "type": "user"}
    assert (await org.caller_with(key["secret"]).create()).status == 200
    entries = (await org.get(f"/audit_log?object_id={workspace['id']}"))["data"]
    assert [one["actor"] for one in entries] == [{"type": "user", "id": user["id"]}]
    assert entries[0]["request_id"].startswith("req_")


async def test_repeated_request_makes_one_key(organization: StartOrganization) -> None:
    org = await organization()
    browser, other = await set_up(org), Browser(org.app)
    await other.sign_in()
    path = f"{ORGANIZATIONS_PATH}/api_keys"
    answers = [
        (await one.post(path, {"name": "once"}, idempotency_key="k")).json["secret"]
        for one in (browser, browser, other)
    ]
    assert answers[0] == answers[1] != answers[2]


async def test_message_of_a_user_has_no_key_and_the_users_account(
    organization: StartOrganization,
) -> None:
    org = await organization()
    await set_up(org)
    browser, user_id = await member(org, "bob", "user")
    answer = await browser.post("/v1/messages", HELLO)
    assert answer.status == 200
    assert answer.json["type"] == "message"
    streamed = await browser.post("/v1/messages", {**HELLO, "stream": True})
    assert streamed.events[-1]["type"] == "message_stop"
    assert "access-control-allow-origin" not in answer.headers
    rows = [one.row for one in (await org.entries()).values()]
    assert [(row["api_key_id"], row["account_id"], row["workspace_id"]) for row in rows] == [
        (None, user_id, None)
    ] * 2
    counted = await browser.post(
        "/v1/messages/count_tokens", {"model": "claude-x", "messages": HELLO["messages"]}
    )
    assert counted.json["input_tokens"] > 0
    assert (await browser.get("/v1/models")).status == 200


async def test_user_acts_in_the_workspaces_of_the_own_memberships(
    organization: StartOrganization,
) -> None:
    org = await organization()
    admin = await set_up(org)
    browser, user_id = await member(org, "bob", "user")
    lab = (await org.post("/workspaces", {"name": "Lab"}))["id"]
    default = (await browser.get(SESSION)).json["workspaces"][0]["id"]
    for workspace, status in ((lab, 403), ("wrkspc_01nothing", 403), (default, 200)):
        answer = await browser.post("/v1/messages", HELLO, anthropic_workspace_id=workspace)
        assert answer.status == status
    assert (await admin.post("/v1/messages", HELLO, anthropic_workspace_id=lab)).status == 200
    await join(org, user_id, lab, "workspace_user")
    answer = await browser.post("/v1/messages", HELLO, anthropic_workspace_id=lab)
    assert (answer.status, answer.headers["anthropic-workspace-id"]) == (200, lab)
    assert [one["name"] for one in (await browser.get(SESSION)).json["workspaces"]] == [
        "Default",
        "Lab",
    ]
    await org.post(f"/workspaces/{lab}/archive")
    answer = await browser.post("/v1/messages", HELLO, anthropic_workspace_id=lab)
    assert answer.error[:2] == DENIED


async def test_limits_of_the_workspace_apply_to_a_user(organization: StartOrganization) -> None:
    org = await organization()
    await set_up(org)
    browser, user_id = await member(org, "bob", "user")
    lab = (await org.post("/workspaces", {"name": "Lab"}))["id"]
    await join(org, user_id, lab, "workspace_user")
    await org.limit(f"/workspaces/{lab}", requests_per_minute=1)
    statuses = [
        (await browser.post("/v1/messages", HELLO, anthropic_workspace_id=lab)).status
        for _ in range(2)
    ]
    assert statuses == [200, 429]


@pytest.mark.sql_elsewhere
async def test_batch_of_a_user_has_no_key(on_both_databases: StartOrganization) -> None:
    org = await on_both_databases()
    await set_up(org)
    browser, user_id = await member(org, "bob", "developer")
    requests = [{"custom_id": "one", "params": HELLO}]
    answer = await browser.post("/v1/messages/batches", {"requests": requests})
    assert answer.status == 200, answer.json
    batch = answer.json["id"]
    listed = (await browser.get("/v1/messages/batches")).json["data"]
    assert [one["id"] for one in listed] == [batch]
    # Callers with a key of the workspace see it, as a batch belongs to that.
    assert (await org.caller.get(f"/v1/messages/batches/{batch}")).status == 200
    async with org.platform.database.read() as connection:
        rows = (await connection.execute(select(message_batches))).mappings().all()
    assert [(row["api_key_id"], row["account_id"]) for row in rows] == [(None, user_id)]
    other, _ = await member(org, "eve", "user")
    assert (await other.get("/v1/messages/batches")).error[:2] == DENIED


async def test_file_of_a_user_has_no_key(organization: StartOrganization) -> None:
    org = await organization()
    await set_up(org)
    browser, user_id = await member(org, "bob", "developer")
    answer = await browser.post("/v1/files", upload_form(), content_type=FORM)
    assert answer.status == 200, answer.json
    assert (await org.caller.get(f"/v1/files/{answer.json['id']}")).json == answer.json
    (entry,) = [one for one in await org.audit() if one["action"] == "file.create"]
    assert entry["actor"]["id"] == user_id
    other, _ = await member(org, "eve", "user")
    refused = await other.post("/v1/files", upload_form(), content_type=FORM)
    assert refused.error[:2] == DENIED
    assert (await other.get("/v1/files")).error[:2] == DENIED


@pytest.mark.parametrize("change", ["role", "membership"])
async def test_change_of_a_role_applies_to_the_next_request(
    on_both_databases: StartOrganization, change: str
) -> None:
    org = await on_both_databases()
    await set_up(org)
    browser, user_id = await member(org, "bob", "developer")
    lab = (await org.post("/workspaces", {"name": "Lab"}))["id"]
    await join(org, user_id, lab, "workspace_developer")
    key = f"{ORGANIZATIONS_PATH}/api_keys/{(await key_in(org, lab))['id']}"
    assert (await browser.get(key)).status == 200
    if change == "role":
        await org.post(f"/users/{user_id}", {"role": "user"})
        assert (await browser.get(key)).error[:2] == DENIED
        return
    member_path = f"/workspaces/{lab}/members/{user_id}"
    await org.post(member_path, {"workspace_role": "workspace_user"})
    assert (await browser.get(key)).status == 404
    await org.post(member_path, {"workspace_role": "workspace_developer"})
    assert (await browser.get(key)).status == 200
    await org.delete(member_path)
    assert (await browser.get(key)).status == 404


async def test_use_of_a_session_is_noted(organization: StartOrganization) -> None:
    org = await organization()
    browser = await set_up(org)
    org.clock.passes(minutes=5)
    await get(browser, "/me")
    await console_of(org).sessions.usage.write()
    async with org.platform.database.read() as connection:
        (stored,) = [one async for some in list_sessions(connection) for one in some]
    assert stored.last_used_at == org.clock.now
