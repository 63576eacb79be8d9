"""An administrator of a workspace looks after its members, and after nothing else."""

import pytest

from antiphon.server.app import ORGANIZATIONS_PATH
from support.browser import Browser
from support.console import get, join, member, post, set_up
from support.organization import Organization, StartOrganization

pytestmark = pytest.mark.anyio

DENIED = (403, "permission_error")
MISSING = (404, "not_found_error")
LEADS = "workspace_admin"


async def led(org: Organization, role: str = "developer") -> tuple[Browser, str, str]:
    """Return a browser of an administrator of a workspace, the user, and the workspace."""
    await set_up(org)
    browser, user_id = await member(org, "bob", role)
    lab: str = (await org.post("/workspaces", {"name": "Lab"}))["id"]
    await join(org, user_id, lab, LEADS)
    return browser, user_id, lab


async def refused(browser: Browser, method: str, path: str, body: object = b"") -> tuple[int, str]:
    answer = await browser.send(method, ORGANIZATIONS_PATH + path, body)
    return answer.error[:2]


@pytest.mark.sql_elsewhere
@pytest.mark.parametrize("role", ["developer", "user"])
async def test_administrator_of_a_workspace_adds_changes_and_removes_members(
    on_both_databases: StartOrganization, role: str
) -> None:
    org = await on_both_databases()
    browser, user_id, lab = await led(org, role)
    eve = (await org.add_user("eve"))["id"]
    members = f"/workspaces/{lab}/members"
    added = await post(browser, members, {"user_id": eve, "workspace_role": "workspace_user"})
    assert added["workspace_role"] == "workspace_user"
    changed = await post(browser, f"{members}/{eve}", {"workspace_role": LEADS})
    assert (await get(browser, f"{members}/{eve}")) == changed
    listed = (await get(browser, members))["data"]
    assert {one["user_id"] for one in listed} == {user_id, eve}
    gone = await browser.delete(f"{ORGANIZATIONS_PATH}{members}/{eve}")
    assert gone.json["type"] == "workspace_member_deleted"
    entries = (await org.get(f"/audit_log?object_id={lab}/{eve}"))["data"]
    assert {one["action"] for one in entries} == {
        "workspace_member.create",
        "workspace_member.update",
        "workspace_member.delete",
    }
    assert {(one["actor"]["type"], one["actor"]["id"]) for one in entries} == {("user", user_id)}


async def test_administrator_of_a_workspace_has_no_other_workspace(
    organization: StartOrganization,
) -> None:
    org = await organization()
    browser, user_id, lab = await led(org)
    hall = (await org.post("/workspaces", {"name": "Hall"}))["id"]
    shop = (await org.post("/workspaces", {"name": "Shop"}))["id"]
    eve = (await org.add_user("eve"))["id"]
    for workspace in (hall, shop):
        await join(org, eve, workspace, "workspace_user")
    await join(org, user_id, shop, "workspace_developer")
    default = (await get(browser, "/workspaces?include_default=true"))["data"]
    default = next(one["id"] for one in default if one["name"] == "Default")
    before = await org.get("/audit_log?limit=1000")
    for workspace, said in ((hall, MISSING), (shop, DENIED), (default, DENIED)):
        members = f"/workspaces/{workspace}/members"
        body = {"user_id": user_id, "workspace_role": LEADS}
        assert await refused(browser, "GET", members) == said
        assert await refused(browser, "POST", members, body) == said
        for one in (eve, user_id):
            path = f"{members}/{one}"
            assert await refused(browser, "GET", path) == said
            assert await refused(browser, "POST", path, {"workspace_role": LEADS}) == said
            assert await refused(browser, "DELETE", path) == said
    assert await org.get("/audit_log?limit=1000") == before
    assert lab not in {hall, shop, default}


async def test_administrator_of_a_workspace_promotes_nobody_in_the_organization(
    organization: StartOrganization,
) -> None:
    org = await organization()
    browser, user_id, lab = await led(org)
    eve = (await org.add_user("eve"))["id"]
    await join(org, eve, lab, "workspace_user")
    before = await org.get("/audit_log?limit=1000")
    for method, path, body in (
        ("GET", "/users", b""),
        ("GET", f"/users/{eve}", b""),
        ("POST", f"/users/{eve}", {"role": "developer"}),
        ("POST", f"/users/{user_id}", {"role": "billing"}),
        ("POST", f"/users/{eve}/sign_out", {}),
        ("DELETE", f"/users/{eve}", b""),
        ("POST", "/invites", {"email": "x@example.org", "role": "developer"}),
        ("POST", "/workspaces", {"name": "More"}),
        ("POST", f"/workspaces/{lab}", {"name": "Mine"}),
        ("POST", f"/workspaces/{lab}/archive", {}),
    ):
        assert await refused(browser, method, path, body) == DENIED, path
    for role in ("admin", "workspace_billing", "owner"):
        body = {"user_id": eve, "workspace_role": role}
        assert (await refused(browser, "POST", f"/workspaces/{lab}/members", body))[0] == 400
    missing = {"user_id": "user_01nobody", "workspace_role": "workspace_user"}
    assert await refused(browser, "POST", f"/workspaces/{lab}/members", missing) == MISSING
    assert await org.get("/audit_log?limit=1000") == before


@pytest.mark.parametrize("end", ["role", "membership", "archive"])
async def test_administrator_of_a_workspace_is_none_from_the_next_request_on(
    organization: StartOrganization, end: str
) -> None:
    org = await organization()
    browser, user_id, lab = await led(org)
    eve = (await org.add_user("eve"))["id"]
    path = f"/workspaces/{lab}/members"
    if end == "role":
        await org.post(f"{path}/{user_id}", {"workspace_role": "workspace_developer"})
    elif end == "membership":
        await org.delete(f"{path}/{user_id}")
    else:
        await org.post(f"/workspaces/{lab}/archive")
    said = {"role": DENIED, "membership": MISSING, "archive": (400, "invalid_request_error")}[end]
    body = {"user_id": eve, "workspace_role": "workspace_user"}
    assert await refused(browser, "POST", path, body) == said


async def test_billing_sees_no_members(organization: StartOrganization) -> None:
    org = await organization()
    await set_up(org)
    browser, user_id = await member(org, "bill", "billing")
    lab = (await org.post("/workspaces", {"name": "Lab"}))["id"]
    await join(org, user_id, lab, LEADS)
    assert await refused(browser, "GET", f"/workspaces/{lab}/members") == DENIED


@pytest.mark.covers("administration: GET /user_names", "effect")
@pytest.mark.parametrize(
    ("role", "sees"), [("developer", True), ("billing", True), ("user", False), ("managed", False)]
)
async def test_names_have_no_addresses(
    organization: StartOrganization, role: str, sees: bool
) -> None:
    org = await organization()
    await set_up(org)
    browser, user_id = await member(org, "bob", role)
    listing = await get(browser, "/user_names")
    assert "@" not in str(listing)
    names = {one["name"] for one in listing["data"]}
    assert names == ({"Ada", "Bob"} if sees else {"Bob"})
    page = await get(browser, "/user_names?limit=1")
    assert (len(page["data"]), page["has_more"]) == (1, sees)
    (ada,) = (one["id"] for one in (await org.get("/users"))["data"] if one["name"] == "Ada")
    for query in (f"ids[]={ada}", "contains=ADA"):
        found = (await get(browser, f"/user_names?{query}"))["data"]
        assert [one["id"] for one in found] == ([ada] if sees else [])
    # Nobody is found by an address.
    assert (await get(browser, "/user_names?contains=%40"))["data"] == []
    lab = (await org.post("/workspaces", {"name": "Lab"}))["id"]
    await join(org, user_id, lab, LEADS)
    if role != "billing":
        names = {one["name"] for one in (await get(browser, "/user_names"))["data"]}
        assert names == {"Ada", "Bob"}
