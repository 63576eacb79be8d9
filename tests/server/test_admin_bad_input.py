"""What administrators send by mistake, on both databases: a clear error, and nothing is changed."""

from datetime import timedelta
from typing import Any

import pytest

from support.organization import NOON, House, StartHome, StartHouse

pytestmark = pytest.mark.anyio

UNREADABLE = "Input should be printable characters, not only spaces"


async def refused(home: House, path: str, body: Any, method: str = "POST") -> tuple[int, str]:
    """Send what is refused; nothing that anybody can read has changed."""
    before = await everything(home)
    answer = await home.refusal(path, body, method)
    assert await everything(home) == before
    return answer


async def everything(home: House) -> list[Any]:
    lists = ("users", "invites", "workspaces?include_archived=true", "api_keys", "audit_log")
    return [await home.get(f"/{one}") for one in lists]


@pytest.mark.parametrize("name", [" ", "a\x00b", "\x1b[2J", "a\nb", "\u202eabc", "\ufeff"])
async def test_names_that_nobody_could_read_are_refused(home: StartHome, name: str) -> None:
    here = await home()
    workspace = (await here.post("/workspaces", {"name": "w"}))["id"]
    key = (await here.post("/api_keys", {"name": "k"}))["id"]
    invite = (await here.post("/invites", {"email": "a@b.c", "role": "user"}))["id"]
    for path in (
        "/workspaces",
        f"/workspaces/{workspace}",
        "/api_keys",
        f"/api_keys/{key}",
        f"/invites/{invite}/accept",
    ):
        assert await refused(here, path, {"name": name}) == (400, f"name: {UNREADABLE}"), path


async def test_addresses_that_nobody_could_read_are_refused(home: StartHome) -> None:
    here = await home()
    body = {"email": "a\x00@b.c", "role": "user"}
    assert await refused(here, "/invites", body) == (400, f"email: {UNREADABLE}")


@pytest.mark.parametrize("name", ["x", "x" * 40, "研究", "naïve ✓"])
async def test_names_are_kept_as_they_are(home: StartHome, name: str) -> None:
    here = await home()
    made = await here.post("/workspaces", {"name": f" {name} "[: 40 if len(name) > 38 else None]})
    assert made["name"] == name.strip()[: len(made["name"])]
    renamed = await here.post(f"/workspaces/{made['id']}", {"name": name})
    assert (await here.get(f"/workspaces/{made['id']}"))["name"] == renamed["name"] == name


@pytest.mark.parametrize("wrong", ["none", "a\x00b", "wrkspc_01", "x" * 5000])
async def test_ids_of_nothing_are_not_found(home: StartHome, wrong: str) -> None:
    here = await home()
    user = {"user_id": wrong, "workspace_role": "workspace_user"}
    workspace = (await here.post("/workspaces", {"name": "w"}))["id"]
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
        assert (await refused(here, path, body))[0] == 404, path
    for path in ("users", "invites"):
        assert (await refused(here, f"/{path}/{wrong}", None, "DELETE"))[0] == 404


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
async def test_queries_that_nobody_could_read_are_refused(home: StartHome, query: str) -> None:
    here = await home()
    assert (await here.refusal(f"/{query}", None, "GET"))[0] == 400


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
    house: StartHouse, method: str, path: str
) -> None:
    here = await house()
    workspace = (await here.post("/workspaces", {"name": "w"}))["id"]
    invite = (await here.post("/invites", {"email": "a@b.c", "role": "user"}))["id"]
    user = (await here.post(f"/invites/{invite}/accept", {"name": "A"}))["id"]
    place = path.format(workspace=workspace, user=user)
    assert await refused(here, f"{place}?limit=1", {"name": "x"}, method) == (
        400,
        "limit: Extra inputs are not permitted",
    )


@pytest.mark.parametrize("body", [b"[]", b"null", b'"x"', b"5", b"{", b"\xff", b'{"a": 1}'])
async def test_bodies_that_are_no_such_objects_are_refused(house: StartHouse, body: bytes) -> None:
    here = await house()
    workspace = (await here.post("/workspaces", {"name": "w"}))["id"]
    key = (await here.post("/api_keys", {"name": "k"}))["id"]
    for path in ("/workspaces", f"/workspaces/{workspace}/archive", f"/api_keys/{key}/rotate"):
        assert (await refused(here, path, body))[0] == 400, path


async def test_archived_things_stay_as_they_are(home: StartHome) -> None:
    here = await home()
    workspace = (await here.post("/workspaces", {"name": "w"}))["id"]
    scope = {"type": "workspace", "workspace_id": workspace}
    key = (await here.post("/api_keys", {"name": "k", "scope": scope}))["id"]
    invite = (await here.post("/invites", {"email": "a@b.c", "role": "user"}))["id"]
    user = (await here.post(f"/invites/{invite}/accept", {"name": "A"}))["id"]
    member = f"/workspaces/{workspace}/members/{user}"
    role = {"workspace_role": "workspace_user"}
    await here.post(f"/workspaces/{workspace}/members", {"user_id": user, **role})
    here.clock.passes(seconds=1)
    await here.post(f"/workspaces/{workspace}/archive")
    limits = {"limits": [{"type": "requests_per_minute", "value": 5}]}
    for path, body, method in (
        (member, {"workspace_role": "workspace_admin"}, "POST"),
        (member, None, "DELETE"),
        (f"/workspaces/{workspace}", {"tags": {"a": "b"}}, "POST"),
        (f"/workspaces/{workspace}/rate_limits/rl_scripted", limits, "POST"),
        (f"/api_keys/{key}/rate_limits/rl_scripted", limits, "POST"),
        (f"/api_keys/{key}/rotate", {}, "POST"),
    ):
        status, message = await refused(here, path, body, method)
        assert (status, "archived" in message) == (400, True), path
    log = (await here.get(f"/audit_log?object_id={key}"))["data"]
    assert [entry["after"]["status"] for entry in log] == ["archived", "active"]


async def test_pages_go_on_where_something_was_archived_meanwhile(house: StartHouse) -> None:
    here = await house()
    for number in range(5):
        here.clock.passes(seconds=1)
        await here.post("/workspaces", {"name": f"w{number}"})
    page = await here.get("/workspaces?limit=2")
    for one in page["data"]:
        await here.post(f"/workspaces/{one['id']}/archive")
    rest = await here.get(f"/workspaces?limit=9&after_id={page['last_id']}")
    assert [one["name"] for one in rest["data"]] == ["w2", "w1", "w0"]
    assert not rest["has_more"]
    assert (await here.get(f"/workspaces?before_id={rest['first_id']}"))["data"] == []


async def test_user_of_an_invite_may_have_come_another_way(house: StartHouse) -> None:
    here = await house()
    invite = (await here.post("/invites", {"email": "a@b.c", "role": "user"}))["id"]
    here.clock.passes(days=22)
    second = (await here.post("/invites", {"email": "a@b.c", "role": "user"}))["id"]
    await here.post(f"/invites/{second}/accept", {"name": "A"})
    # The first one is open again.
    here.clock.now = NOON
    assert await refused(here, f"/invites/{invite}/accept", {"name": "A"}) == (
        400,
        "email: this person is a member already",
    )


async def test_removed_user_leaves_keys_and_no_memberships(home: StartHome) -> None:
    here = await home()
    invite = (await here.post("/invites", {"email": "a@b.c", "role": "user"}))["id"]
    user = (await here.post(f"/invites/{invite}/accept", {"name": "A"}))["id"]
    workspace = (await here.post("/workspaces", {"name": "w"}))["id"]
    role = {"workspace_role": "workspace_user"}
    await here.post(f"/workspaces/{workspace}/members", {"user_id": user, **role})
    key = await here.post("/api_keys", {"name": "k", "created_by_user_id": user})
    await here.delete(f"/users/{user}")
    assert (await here.get(f"/workspaces/{workspace}/members"))["data"] == []
    assert (await here.get(f"/api_keys?created_by_user_id={user}"))["data"][0]["id"] == key["id"]
    assert (await here.caller_with(key["secret"]).create()).status == 200
    gone = (await here.get(f"/audit_log?object_id={workspace}/{user}"))["data"]
    assert {entry["action"] for entry in gone} == {
        "workspace_member.create",
        "workspace_member.delete",
    }


async def test_what_changes_nothing_leaves_no_entry(home: StartHome) -> None:
    here = await home()
    workspace = (await here.post("/workspaces", {"name": "w", "tags": {"a": "b"}}))["id"]
    limits = {"limits": [{"type": "requests_per_minute", "value": 5}]}
    limit = f"/workspaces/{workspace}/rate_limits/rl_scripted"
    await here.post(limit, limits)
    before = await here.audit()
    await here.post(limit, limits)
    await here.post(f"/workspaces/{workspace}", {"name": "w", "tags": {"a": "b"}})
    assert await here.audit() == before


async def test_clock_that_is_set_back_harms_nothing(home: StartHome) -> None:
    here = await home()
    key = await here.post("/api_keys", {"name": "k", "expires_in_seconds": 3600})
    here.clock.passes(hours=2)
    path = f"/api_keys/{key['id']}"
    await here.post(path, {"status": "inactive"})
    assert (await refused(here, path, {"status": "active"}))[0] == 400
    here.clock.now = NOON - timedelta(days=1)
    rotated = await here.post(f"{path}/rotate", {"grace_period_seconds": 0})
    await here.post(path, {"status": "active"})
    assert (await here.caller_with(key["secret"]).create()).status == 401
    assert (await here.caller_with(rotated["secret"]).create()).status == 200
    pages = [await here.get("/audit_log?limit=2")]
    while token := pages[-1]["next_page"]:
        pages.append(await here.get(f"/audit_log?limit=2&page={token}"))
    ids = [entry["id"] for page in pages for entry in page["data"]]
    assert len(ids) == len(set(ids)) == len((await here.get("/audit_log"))["data"])
