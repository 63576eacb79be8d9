"""What administrators send by mistake, on both databases: a clear error, and nothing is changed."""

from datetime import timedelta
from typing import Any

import pytest

from support.organization import NOON, Organization, StartOrganization

pytestmark = pytest.mark.anyio

UNREADABLE = "Input should be printable characters, not only spaces"


async def refused(org: Organization, path: str, body: Any, method: str = "POST") -> tuple[int, str]:
    """Send what is refused; nothing that anybody can read has changed."""
    before = await everything(org)
    answer = await org.refusal(path, body, method)
    assert await everything(org) == before
    return answer


async def everything(org: Organization) -> list[Any]:
    lists = ("users", "invites", "workspaces?include_archived=true", "api_keys", "audit_log")
    return [await org.get(f"/{one}") for one in lists]


@pytest.mark.parametrize("name", [" ", "a\x00b", "\x1b[2J", "a\nb", "\u202eabc", "\ufeff"])
async def test_unprintable_names_are_refused(
    on_both_databases: StartOrganization, name: str
) -> None:
    org = await on_both_databases()
    workspace = (await org.post("/workspaces", {"name": "w"}))["id"]
    key = (await org.post("/api_keys", {"name": "k"}))["id"]
    invite = (await org.post("/invites", {"email": "a@b.c", "role": "user"}))["id"]
    for path in (
        "/workspaces",
        f"/workspaces/{workspace}",
        "/api_keys",
        f"/api_keys/{key}",
        f"/invites/{invite}/accept",
    ):
        assert await refused(org, path, {"name": name}) == (400, f"name: {UNREADABLE}"), path


async def test_unprintable_email_addresses_are_refused(
    on_both_databases: StartOrganization,
) -> None:
    org = await on_both_databases()
    body = {"email": "a\x00@b.c", "role": "user"}
    assert await refused(org, "/invites", body) == (400, f"email: {UNREADABLE}")


@pytest.mark.parametrize("name", ["x", "x" * 40, "研究", "naïve ✓"])
async def test_names_are_kept_as_they_are(on_both_databases: StartOrganization, name: str) -> None:
    org = await on_both_databases()
    made = await org.post("/workspaces", {"name": f" {name} "[: 40 if len(name) > 38 else None]})
    assert made["name"] == name.strip()[: len(made["name"])]
    renamed = await org.post(f"/workspaces/{made['id']}", {"name": name})
    assert (await org.get(f"/workspaces/{made['id']}"))["name"] == renamed["name"] == name


@pytest.mark.parametrize("wrong", ["none", "a\x00b", "wrkspc_01", "x" * 5000])
async def test_ids_of_nothing_are_not_found(
    on_both_databases: StartOrganization, wrong: str
) -> None:
    org = await on_both_databases()
    user = {"user_id": wrong, "workspace_role": "workspace_user"}
    workspace = (await org.post("/workspaces", {"name": "w"}))["id"]
    limits = {"limits": [{"type": "requests_per_minute", "value": 5}]}
    for path, body in (
        (f"/workspaces/{wrong}", {"name": "x"}),
        (f"/workspaces/{wrong}/archive", {}),
        (f"/workspaces/{wrong}/members", user),
        (f"/workspaces/{workspace}/members", user),
        (f"/workspaces/{workspace}/members/{wrong}", {"workspace_role": "workspace_user"}),
        (f"/workspaces/{wrong}/rate_limits/rl_scripted", limits),
        (f"/api_keys/{wrong}", {"name": "x"}),
        (f"/api_keys/{wrong}/rotate", {}),
        (f"/api_keys/{wrong}/rate_limits/rl_scripted", limits),
        (f"/users/{wrong}", {"role": "user"}),
        (f"/invites/{wrong}/accept", {"name": "x"}),
        ("/api_keys", {"name": "k", "created_by_user_id": wrong}),
        ("/api_keys", {"name": "k", "scope": {"type": "workspace", "workspace_id": wrong}}),
    ):
        assert (await refused(org, path, body))[0] == 404, path
    for path in ("users", "invites"):
        assert (await refused(org, f"/{path}/{wrong}", None, "DELETE"))[0] == 404


@pytest.mark.parametrize(
    "query",
    [
        "api_keys?workspace_id=a%00b",
        "audit_log?object_id=%00",
        "users?email=%1b",
        "audit_log?page=page_MSAA",
        "usage_report/messages?starting_at=2026-11-01T00:00:00Z&models[]=%00",
    ],
)
async def test_unprintable_queries_are_refused(
    on_both_databases: StartOrganization, query: str
) -> None:
    org = await on_both_databases()
    assert (await org.refusal(f"/{query}", None, "GET"))[0] == 400


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/me"),
        ("GET", "/users/{user}"),
        ("POST", "/workspaces"),
        ("POST", "/workspaces/{workspace}"),
        ("POST", "/workspaces/{workspace}/archive"),
        ("POST", "/api_keys"),
        ("DELETE", "/users/{user}"),
    ],
)
async def test_parameters_that_a_route_has_not_are_refused(
    organization: StartOrganization, method: str, path: str
) -> None:
    org = await organization()
    workspace = (await org.post("/workspaces", {"name": "w"}))["id"]
    invite = (await org.post("/invites", {"email": "a@b.c", "role": "user"}))["id"]
    user = (await org.post(f"/invites/{invite}/accept", {"name": "A"}))["id"]
    place = path.format(workspace=workspace, user=user)
    assert await refused(org, f"{place}?limit=1", {"name": "x"}, method) == (
        400,
        "limit: Extra inputs are not permitted",
    )


@pytest.mark.parametrize("body", [b"[]", b"null", b'"x"', b"5", b"{", b"\xff", b'{"a": 1}'])
async def test_bodies_that_are_no_such_objects_are_refused(
    organization: StartOrganization, body: bytes
) -> None:
    org = await organization()
    workspace = (await org.post("/workspaces", {"name": "w"}))["id"]
    key = (await org.post("/api_keys", {"name": "k"}))["id"]
    for path in ("/workspaces", f"/workspaces/{workspace}/archive", f"/api_keys/{key}/rotate"):
        assert (await refused(org, path, body))[0] == 400, path


async def test_archived_things_stay_as_they_are(on_both_databases: StartOrganization) -> None:
    org = await on_both_databases()
    workspace = (await org.post("/workspaces", {"name": "w"}))["id"]
    scope = {"type": "workspace", "workspace_id": workspace}
    key = (await org.post("/api_keys", {"name": "k", "scope": scope}))["id"]
    invite = (await org.post("/invites", {"email": "a@b.c", "role": "user"}))["id"]
    user = (await org.post(f"/invites/{invite}/accept", {"name": "A"}))["id"]
    member = f"/workspaces/{workspace}/members/{user}"
    role = {"workspace_role": "workspace_user"}
    await org.post(f"/workspaces/{workspace}/members", {"user_id": user, **role})
    org.clock.passes(seconds=1)
    await org.post(f"/workspaces/{workspace}/archive")
    limits = {"limits": [{"type": "requests_per_minute", "value": 5}]}
    for path, body, method in (
        (member, {"workspace_role": "workspace_admin"}, "POST"),
        (member, None, "DELETE"),
        (f"/workspaces/{workspace}", {"tags": {"a": "b"}}, "POST"),
        (f"/workspaces/{workspace}/rate_limits/rl_scripted", limits, "POST"),
        (f"/api_keys/{key}/rate_limits/rl_scripted", limits, "POST"),
        (f"/api_keys/{key}/rotate", {}, "POST"),
    ):
        status, message = await refused(org, path, body, method)
        assert (status, "archived" in message) == (400, True), path
    log = (await org.get(f"/audit_log?object_id={key}"))["data"]
    assert [entry["after"]["status"] for entry in log] == ["archived", "active"]


async def test_pages_go_on_where_something_was_archived_meanwhile(
    organization: StartOrganization,
) -> None:
    org = await organization()
    for number in range(5):
        org.clock.passes(seconds=1)
        await org.post("/workspaces", {"name": f"w{number}"})
    page = await org.get("/workspaces?limit=2")
    for one in page["data"]:
        await org.post(f"/workspaces/{one['id']}/archive")
    rest = await org.get(f"/workspaces?limit=9&after_id={page['last_id']}")
    assert [one["name"] for one in rest["data"]] == ["w2", "w1", "w0"]
    assert not rest["has_more"]
    assert (await org.get(f"/workspaces?before_id={rest['first_id']}"))["data"] == []


async def test_invite_of_a_person_who_is_a_user_by_now_is_refused(
    organization: StartOrganization,
) -> None:
    org = await organization()
    invite = (await org.post("/invites", {"email": "a@b.c", "role": "user"}))["id"]
    org.clock.passes(days=22)
    second = (await org.post("/invites", {"email": "a@b.c", "role": "user"}))["id"]
    await org.post(f"/invites/{second}/accept", {"name": "A"})
    # The first one is open again.
    org.clock.now = NOON
    assert await refused(org, f"/invites/{invite}/accept", {"name": "A"}) == (
        400,
        "email: this person is a member already",
    )


async def test_removed_user_leaves_keys_and_no_memberships(
    on_both_databases: StartOrganization,
) -> None:
    org = await on_both_databases()
    invite = (await org.post("/invites", {"email": "a@b.c", "role": "user"}))["id"]
    user = (await org.post(f"/invites/{invite}/accept", {"name": "A"}))["id"]
    workspace = (await org.post("/workspaces", {"name": "w"}))["id"]
    role = {"workspace_role": "workspace_user"}
    await org.post(f"/workspaces/{workspace}/members", {"user_id": user, **role})
    key = await org.post("/api_keys", {"name": "k", "created_by_user_id": user})
    await org.delete(f"/users/{user}")
    assert (await org.get(f"/workspaces/{workspace}/members"))["data"] == []
    assert (await org.get(f"/api_keys?created_by_user_id={user}"))["data"][0]["id"] == key["id"]
    assert (await org.caller_with(key["secret"]).create()).status == 200
    gone = (await org.get(f"/audit_log?object_id={workspace}/{user}"))["data"]
    assert {entry["action"] for entry in gone} == {
        "workspace_member.create",
        "workspace_member.delete",
    }


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


async def test_clock_that_is_set_back_harms_nothing(on_both_databases: StartOrganization) -> None:
    org = await on_both_databases()
    key = await org.post("/api_keys", {"name": "k", "expires_in_seconds": 3600})
    org.clock.passes(hours=2)
    path = f"/api_keys/{key['id']}"
    await org.post(path, {"status": "inactive"})
    assert (await refused(org, path, {"status": "active"}))[0] == 400
    org.clock.now = NOON - timedelta(days=1)
    rotated = await org.post(f"{path}/rotate", {"grace_period_seconds": 0})
    await org.post(path, {"status": "active"})
    assert (await org.caller_with(key["secret"]).create()).status == 401
    assert (await org.caller_with(rotated["secret"]).create()).status == 200
    pages = [await org.get("/audit_log?limit=2")]
    while token := pages[-1]["next_page"]:
        pages.append(await org.get(f"/audit_log?limit=2&page={token}"))
    ids = [entry["id"] for page in pages for entry in page["data"]]
    assert len(ids) == len(set(ids)) == len((await org.get("/audit_log"))["data"])
