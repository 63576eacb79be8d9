"""Workspaces and their members."""

from typing import Any

import pytest

from antiphon.server.app import ORGANIZATIONS_PATH
from support.organization import StartOrganization

pytestmark = pytest.mark.anyio


@pytest.mark.covers("administration: GET /workspaces", "effect")
@pytest.mark.covers("administration: POST /workspaces", "effect")
@pytest.mark.covers("administration: POST /workspaces/{workspace}", "effect")
@pytest.mark.covers("administration: POST /workspaces/{workspace}/archive", "effect")
@pytest.mark.covers("administration: GET /workspaces/{workspace}", "effect")
async def test_workspace_is_made_changed_and_archived(organization: StartOrganization) -> None:
    org = await organization()
    made = await org.post("/workspaces", {"name": "Research", "tags": {"team": "a", "x": "y"}})
    assert made == {
        "id": made["id"],
        "type": "workspace",
        "name": "Research",
        "display_color": "#6C5BB9",
        "created_at": "2026-11-23T12:00:00Z",
        "archived_at": None,
        "compartment_id": made["id"],
        "data_residency": {
            "workspace_geo": "us",
            "allowed_inference_geos": "unrestricted",
            "default_inference_geo": "global",
        },
        "tags": {"team": "a", "x": "y"},
        "external_key_id": None,
        "user_profile_id": None,
    }
    path = f"/workspaces/{made['id']}"
    changed = await org.post(path, {"display_color": "#00ff00", "tags": {"team": None, "z": "1"}})
    assert (changed["display_color"], changed["tags"]) == ("#00ff00", {"x": "y", "z": "1"})
    archived = await org.post(f"{path}/archive")
    assert archived["archived_at"] == "2026-11-23T12:00:00Z"
    assert await org.post(f"{path}/archive") == archived
    assert await org.refusal(path, {"name": "B"}) == (
        400,
        "This workspace is archived and cannot be changed.",
    )
    assert (await org.get("/workspaces"))["data"] == []
    assert (await org.get("/workspaces?include_archived=true"))["data"] == [archived]
    assert await org.get(path) == archived


async def test_default_workspace_refuses_changes_members_and_limits(
    organization: StartOrganization,
) -> None:
    org = await organization()
    (default,) = (await org.get("/workspaces?include_default=true"))["data"]
    path = f"/workspaces/{default['id']}"
    assert default["name"] == "Default"
    assert await org.refusal(path, {"name": "Mine"}) == (
        400,
        "name: the Default workspace cannot be renamed",
    )
    assert (await org.refusal(f"{path}/archive"))[0] == 400
    assert (await org.refusal(f"{path}/members", {"user_id": "u", "workspace_role": "x"}))[0] == 400
    limits = {"limits": [{"type": "requests_per_minute", "value": 5}]}
    status, message = await org.refusal(f"{path}/rate_limits/rl_scripted", limits)
    assert (status, message) == (400, "The Default workspace cannot have limits of its own.")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"name": ""}, "name: String should have at least 1 character"),
        ({"name": "x" * 41}, "name: String should have at most 40 characters"),
        (
            {"name": "x", "display_color": "red"},
            "display_color: String should match pattern '^#[0-9A-Fa-f]{6}$'",
        ),
        (
            {"name": "x", "tags": {"anthropic_x": "y"}},
            "tags: a name is 1 to 256 characters and does not start with 'anthropic'",
        ),
        (
            {"name": "x", "tags": {"y": 5}},
            "tags.y: Input should be a valid string of at most 256 characters",
        ),
        (
            {"name": "x", "data_residency": {"workspace_geo": "eu"}},
            "data_residency.workspace_geo: Input should be 'us'",
        ),
        (
            {"name": "x", "data_residency": {"allowed_inference_geos": ["us"]}},
            "data_residency.allowed_inference_geos: Input should be 'unrestricted'",
        ),
        (
            {"name": "x", "external_key_id": "ek_1"},
            "external_key_id: not supported here; all data stays on this server's machines",
        ),
    ],
)
async def test_invalid_workspace_is_refused_by_its_field(
    organization: StartOrganization, body: Any, message: str
) -> None:
    org = await organization()
    assert await org.refusal("/workspaces", body) == (400, message)


@pytest.mark.covers("administration: pages by id", "effect")
async def test_workspace_beyond_a_hundred_is_refused(organization: StartOrganization) -> None:
    org = await organization()
    for number in range(99):
        await org.post("/workspaces", {"name": f"w{number}"})
    assert (await org.refusal("/workspaces", {"name": "one more"}))[0] == 400
    page = await org.get("/workspaces?limit=2")
    assert page["has_more"]
    following = await org.get(f"/workspaces?limit=1000&after_id={page['last_id']}")
    assert len(following["data"]) == 97
    assert not following["has_more"]


@pytest.mark.sql_elsewhere
@pytest.mark.parametrize("name", ["x", "x" * 40, "研究", "naïve ✓"])
async def test_workspace_names_are_kept_without_surrounding_spaces(
    on_both_databases: StartOrganization, name: str
) -> None:
    org = await on_both_databases()
    made = await org.post("/workspaces", {"name": f" {name} "[: 40 if len(name) > 38 else None]})
    assert made["name"] == name.strip()[: len(made["name"])]
    renamed = await org.post(f"/workspaces/{made['id']}", {"name": name})
    assert (await org.get(f"/workspaces/{made['id']}"))["name"] == renamed["name"] == name


async def test_paging_continues_behind_an_archived_workspace(
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


@pytest.mark.sql_elsewhere
async def test_archived_workspace_and_its_keys_refuse_changes(
    on_both_databases: StartOrganization,
) -> None:
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
        status, message = await org.refused_without_change(path, body, method)
        assert (status, "archived" in message) == (400, True), path
    log = (await org.get(f"/audit_log?object_id={key}"))["data"]
    assert [entry["after"]["status"] for entry in log] == ["archived", "active"]


@pytest.mark.covers("administration: GET /workspaces/{workspace}/members", "effect")
@pytest.mark.covers("administration: POST /workspaces/{workspace}/members", "effect")
@pytest.mark.covers("administration: GET /workspaces/{workspace}/members/{user}", "effect")
@pytest.mark.covers("administration: POST /workspaces/{workspace}/members/{user}", "effect")
@pytest.mark.covers("administration: DELETE /workspaces/{workspace}/members/{user}", "effect")
async def test_member_is_added_changed_and_removed(organization: StartOrganization) -> None:
    org = await organization()
    user = await org.add_user("Ada")
    workspace = await org.post("/workspaces", {"name": "Research"})
    path = f"/workspaces/{workspace['id']}/members"
    body = {"user_id": user["id"], "workspace_role": "workspace_user"}
    member = await org.post(path, body)
    assert member == {**body, "type": "workspace_member", "workspace_id": workspace["id"]}
    assert (await org.get(path))["data"] == [member]
    again = await org.admin.post(ORGANIZATIONS_PATH + path, body)
    assert again.json["error"]["details"]["error_code"] == "already_member"
    changed = await org.post(f"{path}/{user['id']}", {"workspace_role": "workspace_admin"})
    assert changed["workspace_role"] == "workspace_admin"
    assert await org.delete(f"{path}/{user['id']}") == {
        "type": "workspace_member_deleted",
        "user_id": user["id"],
        "workspace_id": workspace["id"],
    }
    assert (await org.refusal(f"{path}/{user['id']}", method="GET"))[0] == 404
    assert await org.refusal(path, {**body, "user_id": "user_x"}) == (
        404,
        "User user_x not found.",
    )
