"""The Admin API, over the application as it is served."""

import os
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from antiphon.server.app import ORGANIZATIONS_PATH
from antiphon.service.admin.keys import KeyRing
from antiphon.service.admin.transactions import COMMAND_LINE, AdminTransactions
from antiphon.store.accounts import KeyKind
from antiphon.wire.admin.keys import CreateKeyParams
from support.asgi import HELLO, KEY, Client
from support.organization import ADMIN, NOON, Organization, StartOrganization

pytestmark = pytest.mark.anyio


@pytest.mark.covers("administration: GET /me", "effect")
async def test_the_organization_says_who_it_is(organization: StartOrganization) -> None:
    org = await organization()
    me = await org.get("/me")
    assert me == {"id": me["id"], "type": "organization", "name": "Antiphon"}
    answer = await org.caller.create()
    assert answer.headers["anthropic-organization-id"] == me["id"]


@pytest.mark.covers("administration: admin keys apart from others", "effect")
async def test_admin_keys_cannot_call_models_and_others_cannot_administer(
    organization: StartOrganization,
) -> None:
    org = await organization()
    assert (await org.admin.create()).error[:2] == (403, "permission_error")
    refused = await org.caller.get(f"{ORGANIZATIONS_PATH}/me")
    assert refused.error[:2] == (403, "permission_error")
    answer = await org.admin.get(f"{ORGANIZATIONS_PATH}/me")
    assert "anthropic-workspace-id" not in answer.headers


async def test_unknown_routes_are_not_found(organization: StartOrganization) -> None:
    org = await organization()
    assert (await org.admin.get(f"{ORGANIZATIONS_PATH}/nothing")).status == 404
    assert (await org.admin.start("PUT", f"{ORGANIZATIONS_PATH}/users").task).status == 405


# ── people


async def invite(org: Organization, email: str = "Ada@Example.org", role: str = "developer") -> Any:
    return await org.post("/invites", {"email": email, "role": role})


@pytest.mark.covers("administration: POST /invites", "effect")
@pytest.mark.covers("administration: GET /invites/{invite}", "effect")
@pytest.mark.covers("administration: POST /invites/{invite}/accept", "effect")
@pytest.mark.covers("administration: GET /users", "effect")
@pytest.mark.covers("administration: GET /users/{user}", "effect")
async def test_invited_person_becomes_a_user(organization: StartOrganization) -> None:
    org = await organization()
    invited = await invite(org)
    assert invited == {
        "id": invited["id"],
        "type": "invite",
        "email": "ada@example.org",
        "role": "developer",
        "status": "pending",
        "invited_at": "2026-11-23T12:00:00Z",
        "expires_at": "2026-12-14T12:00:00Z",
        "accepted_at": None,
        "rbac_group_ids": [],
    }
    user = await org.post(f"/invites/{invited['id']}/accept", {"name": "Ada"})
    assert user == {
        "id": user["id"],
        "type": "user",
        "email": "ada@example.org",
        "name": "Ada",
        "role": "developer",
        "added_at": "2026-11-23T12:00:00Z",
    }
    assert (await org.get(f"/invites/{invited['id']}"))["status"] == "accepted"
    assert await org.get(f"/users/{user['id']}") == user
    assert (await org.get("/users?email=ADA@example.org"))["data"] == [user]
    assert (await org.get("/users?roles[]=billing"))["data"] == []


@pytest.mark.covers("administration: error codes", "effect")
async def test_invite_of_a_user_or_invited_person_is_refused(
    organization: StartOrganization,
) -> None:
    org = await organization()
    first = await invite(org)
    again = await org.admin.post(
        f"{ORGANIZATIONS_PATH}/invites", {"email": "ada@example.org", "role": "user"}
    )
    assert again.json["error"]["details"]["error_code"] == "invite_already_exists"
    await org.post(f"/invites/{first['id']}/accept", {"name": "Ada"})
    again = await org.admin.post(
        f"{ORGANIZATIONS_PATH}/invites", {"email": "ada@example.org", "role": "user"}
    )
    assert again.json["error"]["details"]["error_code"] == "already_member"


@pytest.mark.covers("administration: GET /invites", "effect")
@pytest.mark.covers("administration: DELETE /invites/{invite}", "effect")
async def test_invites_are_accepted_or_deleted(organization: StartOrganization) -> None:
    org = await organization()
    taken_back, expired = await invite(org), await invite(org, "b@example.org")
    assert await org.delete(f"/invites/{taken_back['id']}") == {
        "id": taken_back["id"],
        "type": "invite_deleted",
    }
    status, message = await org.refusal(f"/invites/{taken_back['id']}", method="DELETE")
    assert (status, message) == (400, "This invite is deleted and cannot be deleted.")
    org.clock.now = NOON + timedelta(days=21)
    status, message = await org.refusal(f"/invites/{expired['id']}/accept", {"name": "B"})
    assert (status, message) == (400, "This invite is expired and cannot be accepted.")
    listed = await org.get("/invites?statuses[]=expired&statuses[]=deleted")
    assert {one["status"] for one in listed["data"]} == {"expired", "deleted"}
    assert [one["id"] for one in (await org.get("/invites"))["data"]] == [expired["id"]]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "email: Field required"),
        ({"email": "x", "role": "user"}, "email: value is not a valid email address"),
        (
            {"email": "a@b.c", "role": "admin"},
            "role: Input should be 'billing', 'claude_code_user', 'developer', 'managed' or 'user'",
        ),
        (
            {"email": "a@b.c", "role": "user", "zzz": 1},
            "zzz: Extra inputs are not permitted",
        ),
    ],
)
async def test_bad_invites_say_what_is_wrong(
    organization: StartOrganization, body: Any, message: str
) -> None:
    org = await organization()
    assert await org.refusal("/invites", body) == (400, message)
    assert await org.audit() == []


@pytest.mark.covers("administration: POST /users/{user}", "effect")
@pytest.mark.covers("administration: DELETE /users/{user}", "effect")
async def test_user_is_changed_and_removed(organization: StartOrganization) -> None:
    org = await organization()
    user = await org.post(f"/invites/{(await invite(org))['id']}/accept", {"name": "Ada"})
    changed = await org.post(f"/users/{user['id']}", {"role": "billing"})
    assert changed["role"] == "billing"
    assert await org.delete(f"/users/{user['id']}") == {"id": user["id"], "type": "user_deleted"}
    assert await org.refusal(f"/users/{user['id']}", method="GET") == (
        404,
        f"User {user['id']} not found.",
    )


# ── workspaces


@pytest.mark.covers("administration: GET /workspaces", "effect")
@pytest.mark.covers("administration: POST /workspaces", "effect")
@pytest.mark.covers("administration: POST /workspaces/{workspace}", "effect")
@pytest.mark.covers("administration: POST /workspaces/{workspace}/archive", "effect")
@pytest.mark.covers("administration: GET /workspaces/{workspace}", "effect")
async def test_workspaces_are_made_changed_and_archived(organization: StartOrganization) -> None:
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


async def test_default_workspace_stays_as_it_is(organization: StartOrganization) -> None:
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
async def test_bad_workspaces_say_what_is_wrong(
    organization: StartOrganization, body: Any, message: str
) -> None:
    org = await organization()
    assert await org.refusal("/workspaces", body) == (400, message)


@pytest.mark.covers("administration: pages by id", "effect")
async def test_there_are_at_most_a_hundred_workspaces(organization: StartOrganization) -> None:
    org = await organization()
    for number in range(99):
        await org.post("/workspaces", {"name": f"w{number}"})
    assert (await org.refusal("/workspaces", {"name": "one more"}))[0] == 400
    page = await org.get("/workspaces?limit=2")
    assert page["has_more"]
    following = await org.get(f"/workspaces?limit=1000&after_id={page['last_id']}")
    assert len(following["data"]) == 97
    assert not following["has_more"]


@pytest.mark.covers("administration: GET /workspaces/{workspace}/members", "effect")
@pytest.mark.covers("administration: POST /workspaces/{workspace}/members", "effect")
@pytest.mark.covers("administration: GET /workspaces/{workspace}/members/{user}", "effect")
@pytest.mark.covers("administration: POST /workspaces/{workspace}/members/{user}", "effect")
@pytest.mark.covers("administration: DELETE /workspaces/{workspace}/members/{user}", "effect")
async def test_member_is_added_changed_and_removed(organization: StartOrganization) -> None:
    org = await organization()
    user = await org.post(f"/invites/{(await invite(org))['id']}/accept", {"name": "Ada"})
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


# ── keys


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
async def test_older_version_says_the_workspace_of_a_key(organization: StartOrganization) -> None:
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


async def test_archived_workspace_takes_its_keys_with_it(organization: StartOrganization) -> None:
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


async def test_last_use_of_a_key_is_known(organization: StartOrganization) -> None:
    org = await organization()
    made = await org.post("/api_keys", {"name": "k"})
    await org.caller_with(made["secret"]).create()
    await org.platform.uses.write()
    assert (await org.get(f"/api_keys/{made['id']}"))["last_used_at"] == "2026-11-23T12:00:00Z"


# ── limits


@pytest.mark.covers("administration: GET /rate_limits", "effect")
@pytest.mark.covers("administration: POST /rate_limits/{limit}", "effect")
async def test_rate_limits_are_read_and_written(organization: StartOrganization) -> None:
    org = await organization()
    model, count = (await org.get("/rate_limits"))["data"]
    assert model == {
        "type": "rate_limit",
        "id": "rl_scripted",
        "group": {"type": "model_group", "id": "scripted", "display_name": "scripted"},
        "models": ["scripted", "claude-*"],
        "limits": [
            {"type": "requests_per_minute", "value": 1_000_000},
            {"type": "input_tokens_per_minute_cache_aware", "value": 10**9},
            {"type": "output_tokens_per_minute", "value": 10**9},
        ],
    }
    assert count["group"] == {"type": "token_count", "id": "token_count"}
    changes = {"limits": [{"type": "requests_per_minute", "value": 100}]}
    changed = await org.post("/rate_limits/rl_scripted", changes)
    assert changed["limits"][0]["value"] == 100
    answer = await org.caller.create()
    assert answer.headers["anthropic-ratelimit-requests-limit"] == "100"
    cleared = {"limits": [{"type": "requests_per_minute", "value": None}]}
    assert await org.post("/rate_limits/rl_scripted", cleared) == model
    old = await org.get("/rate_limits?group_type=token_count", anthropic_version="2023-06-01")
    assert [one["group_type"] for one in old["data"]] == ["token_count"]
    assert await org.refusal("/rate_limits?model=gpt", method="GET") == (404, "model: gpt")


@pytest.mark.parametrize("name", ["scripted", "claude-opus-5-5", "claude-*"])
async def test_rate_limits_of_a_model_are_found_by_any_of_its_names(
    organization: StartOrganization, name: str
) -> None:
    org = await organization()
    found = (await org.get(f"/rate_limits?model={name}"))["data"]
    assert [one["id"] for one in found] == ["rl_scripted"]


async def test_names_with_slashes_have_limits(
    gateway: Callable[..., Awaitable[Client]],
) -> None:
    client = await gateway({"id": "meta/small", "engine": "scripted"}, admin_key=ADMIN)
    path, headers = f"{ORGANIZATIONS_PATH}/rate_limits/rl_meta/small", {"x_api_key": ADMIN}
    limits = {"limits": [{"type": "requests_per_minute", "value": 5}]}
    answer = await client.post(path, limits, **headers)
    assert answer.json["limits"][0]["value"] == 5
    absent = await client.post(f"{ORGANIZATIONS_PATH}/rate_limits/rl_meta", limits, **headers)
    assert absent.error == (404, "not_found_error", "Rate limit rl_meta not found.")


@pytest.mark.covers("administration: GET /workspaces/{workspace}/rate_limits", "effect")
@pytest.mark.covers("administration: POST /workspaces/{workspace}/rate_limits/{limit}", "effect")
async def test_workspace_has_limits_below_the_organizations(
    organization: StartOrganization,
) -> None:
    org = await organization()
    workspace = await org.post("/workspaces", {"name": "Research"})
    path = f"/workspaces/{workspace['id']}/rate_limits"
    await org.post(
        "/rate_limits/rl_scripted", {"limits": [{"type": "requests_per_minute", "value": 50}]}
    )
    assert (await org.get(path))["data"] == []
    assert await org.refusal(
        f"{path}/rl_scripted", {"limits": [{"type": "requests_per_minute", "value": 51}]}
    ) == (400, "limits.0.value: 51 is above the organization's limit of 50")
    await org.post(f"{path}/rl_scripted", {"limits": [{"type": "requests_per_minute", "value": 5}]})
    (own,) = (await org.get(path))["data"]
    assert own["limits"] == [
        {
            "type": "requests_per_minute",
            "value": 5,
            "org_limit": 50,
            "source": {"type": "workspace"},
        }
    ]
    inherited = (await org.get(f"{path}?include_inherited=true"))["data"]
    assert [one["source"]["type"] for one in inherited[0]["limits"]] == [
        "workspace",
        "organization",
        "organization",
    ]


@pytest.mark.covers("administration: GET /api_keys/{key}/rate_limits", "effect")
@pytest.mark.covers("administration: POST /api_keys/{key}/rate_limits/{limit}", "effect")
async def test_key_has_limits_of_its_own(organization: StartOrganization) -> None:
    org = await organization()
    key = await org.post("/api_keys", {"name": "k"})
    path, caller = f"/api_keys/{key['id']}/rate_limits", org.caller_with(key["secret"])
    limits = {"limits": [{"type": "requests_per_minute", "value": 1}]}
    await org.post(f"{path}/rl_scripted", limits)
    (own,) = (await org.get(path))["data"]
    assert (own["type"], own["api_key_id"]) == ("api_key_rate_limit", key["id"])
    assert [(one["value"], one["source"]["type"]) for one in own["limits"]] == [(1, "api_key")]
    assert [(await caller.create()).status for _ in range(2)] == [200, 429]
    assert (await org.caller.create()).status == 200


@pytest.mark.covers("administration: GET /balances", "effect")
async def test_balances_say_what_is_left(organization: StartOrganization) -> None:
    org = await organization()
    scope = {"type": "organization"}
    await org.post("/spend_limits", {"scope": scope, "amount": "12.5"})
    (balance,) = (await org.get("/balances?scope=organization"))["data"]
    assert (balance["scope"], balance["period"]) == (scope, "monthly")
    assert (balance["limit"], balance["remaining"], balance["spent"]) == ("12.5", "12.5", "0")


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        (
            {"type": "requests_per_minute", "value": -1},
            "limits.0.value: Input should be greater than or equal to 1",
        ),
        ({"type": "requests_per_minute"}, "limits.0.value: Field required"),
        (
            {"type": "tokens_per_day", "value": 5},
            (
                "limits.0.type: Input should be 'input_tokens_per_minute_cache_aware', "
                "'output_tokens_per_minute' or 'requests_per_minute'"
            ),
        ),
    ],
)
async def test_bad_limits_change_nothing(
    organization: StartOrganization, limit: Any, message: str
) -> None:
    org = await organization()
    before = await org.get("/rate_limits")
    status, said = await org.refusal("/rate_limits/rl_scripted", {"limits": [limit]})
    assert status == 400
    assert said == message
    assert await org.get("/rate_limits") == before
    assert await org.audit() == []


@pytest.mark.covers("administration: GET /spend_limits", "effect")
@pytest.mark.covers("administration: POST /spend_limits", "effect")
@pytest.mark.covers("administration: GET /spend_limits/{limit}", "effect")
@pytest.mark.covers("administration: POST /spend_limits/{limit}", "effect")
@pytest.mark.covers("administration: DELETE /spend_limits/{limit}", "effect")
async def test_spend_limits_are_set_changed_and_removed(organization: StartOrganization) -> None:
    org = await organization()
    body = {"scope": {"type": "organization"}, "amount": "50000", "period": "monthly"}
    made = await org.post("/spend_limits", body)
    assert made == {
        **body,
        "id": made["id"],
        "type": "spend_limit",
        "currency": "USD",
        "is_enabled": True,
        "created_at": "2026-11-23T12:00:00Z",
        "updated_at": "2026-11-23T12:00:00Z",
    }
    again = await org.post("/spend_limits", {**body, "amount": "12.5"})
    assert (again["id"], again["amount"]) == (made["id"], "12.5")
    changed = await org.post(f"/spend_limits/{made['id']}", {"amount": "7"})
    assert (await org.get("/spend_limits"))["data"] == [changed]
    assert await org.get(f"/spend_limits/{made['id']}") == changed
    gone = await org.delete(f"/spend_limits/{made['id']}")
    assert gone == {"id": made["id"], "type": "spend_limit_deleted"}
    assert (await org.refusal(f"/spend_limits/{made['id']}", method="GET"))[0] == 404


@pytest.mark.parametrize("amount", ["-1", "x", "1e3", ""])
async def test_bad_amounts_are_refused(organization: StartOrganization, amount: str) -> None:
    org = await organization()
    body = {"scope": {"type": "organization"}, "amount": amount}
    assert await org.refusal("/spend_limits", body) == (
        400,
        "amount: Input should be an amount in cents, such as '50000' or '12.5'",
    )


async def test_spend_limit_is_not_above_the_cap_of_the_server(
    organization: StartOrganization,
) -> None:
    org = await organization({"limits": {"monthly_spend": "5"}})
    body = {"scope": {"type": "organization"}, "amount": "501"}
    assert await org.refusal("/spend_limits", body) == (
        400,
        "amount: 501 is above the cap of this server, 500 cents",
    )


async def test_unknown_things_are_not_found(organization: StartOrganization) -> None:
    org = await organization()
    for path in ("users", "invites", "workspaces", "api_keys", "spend_limits"):
        assert (await org.refusal(f"/{path}/none", method="GET"))[0] == 404
    limits = {"limits": [{"type": "requests_per_minute", "value": 5}]}
    assert (await org.refusal("/rate_limits/rl_none", limits))[0] == 404
    key_scope = {"type": "api_key", "api_key_id": "apikey_none"}
    assert (await org.refusal("/spend_limits", {"scope": key_scope, "amount": "5"}))[0] == 404


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("/users?roles[]=boss", "roles.0: Input should be 'billing', 'claude_code_user', "),
        ("/users?zzz=1", "zzz: Extra inputs are not permitted"),
        ("/users?limit=0", "limit: Input should be greater than or equal to 1"),
        ("/users?after_id=user_x", "after_id: no such id: user_x"),
        ("/workspaces?include_default=maybe", "include_default: Input should be a valid boolean"),
        ("/api_keys?status=lost", "status: Input should be 'active', 'inactive', "),
        ("/audit_log?page=x", "page: not a page of this listing"),
        ("/spend_limits?page=page_9", "page: not a page of this listing"),
        ("/rate_limits?group_type=x", "group_type: Input should be 'batch', "),
    ],
)
async def test_bad_queries_say_what_is_wrong(
    organization: StartOrganization, query: str, message: str
) -> None:
    org = await organization()
    status, said = await org.refusal(query, method="GET")
    assert (status, said[: len(message)]) == (400, message)


# ── audit


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
async def test_audit_log_is_read_page_by_page(organization: StartOrganization) -> None:
    org = await organization()
    for number in range(5):
        org.clock.now += timedelta(seconds=1)
        await org.post("/workspaces", {"name": f"w{number}"})
    first = await org.get("/audit_log?limit=3")
    second = await org.get(f"/audit_log?limit=3&page={first['next_page']}")
    third = await org.get(f"/audit_log?limit=3&page={second['next_page']}")
    names = [entry["after"]["name"] for page in (first, second, third) for entry in page["data"]]
    assert names == ["w4", "w3", "w2", "w1", "w0", "default", "default"]
    assert third["next_page"] is None


@pytest.mark.covers("administration: Idempotency-Key", "effect")
async def test_request_that_is_sent_again_makes_no_second_key(
    organization: StartOrganization,
) -> None:
    org = await organization()
    named = {"idempotency_key": "a-lost-answer"}
    made = await org.post("/api_keys", {"name": "laptop"}, **named)
    assert await org.post("/api_keys", {"name": "laptop"}, **named) == made
    assert len((await org.get("/api_keys"))["data"]) == 2
    assert [entry["action"] for entry in await org.audit()] == ["api_key.create"]
    assert (await org.caller_with(made["secret"]).create()).status == 200
    other = await org.admin.post(f"{ORGANIZATIONS_PATH}/api_keys", {"name": "desk"}, **named)
    assert other.error[::2] == (400, "Idempotency-Key: it has been used for another request")
    org.clock.now += timedelta(hours=24, seconds=1)
    later = await org.post("/api_keys", {"name": "laptop"}, **named)
    assert later["id"] != made["id"]


async def test_rotation_that_is_sent_again_gives_the_same_secret(
    organization: StartOrganization,
) -> None:
    org = await organization()
    made = await org.post("/api_keys", {"name": "laptop"})
    place, named = f"/api_keys/{made['id']}/rotate", {"idempotency_key": "once"}
    rotated = await org.post(place, {"grace_period_seconds": 0}, **named)
    assert await org.post(place, {"grace_period_seconds": 0}, **named) == rotated
    assert rotated["secret"] != made["secret"]
    assert (await org.caller_with(rotated["secret"]).create()).status == 200


async def test_another_admin_key_cannot_ask_for_the_secret(organization: StartOrganization) -> None:
    org = await organization()
    ring = KeyRing(AdminTransactions(org.platform.database, os.urandom, org.clock), tuple(KeyKind))
    second = await ring.create_admin(COMMAND_LINE, CreateKeyParams(name="second"))
    named = {"idempotency_key": "same-name"}
    made = await org.post("/api_keys", {"name": "laptop"}, **named)
    others = await org.admin.post(
        f"{ORGANIZATIONS_PATH}/api_keys", {"name": "laptop"}, x_api_key=str(second.secret), **named
    )
    assert others.status == 200
    assert others.json["id"] != made["id"]
    assert others.json["secret"] != made["secret"]


@pytest.mark.parametrize("called", ["", "x" * 256, "\x01"])
async def test_name_of_a_request_is_printable(organization: StartOrganization, called: str) -> None:
    org = await organization()
    refused = await org.admin.post(
        f"{ORGANIZATIONS_PATH}/api_keys", {"name": "k"}, idempotency_key=called
    )
    assert refused.error[0] == 400
    assert refused.error[2].startswith("Idempotency-Key: Input should be 1 to 255")


async def test_key_of_the_tests_is_a_key_like_others(organization: StartOrganization) -> None:
    org = await organization()
    (listed,) = (await org.get("/api_keys"))["data"]
    assert listed["name"] == "default"
    assert KEY not in str(listed)
    assert (await org.caller.post("/v1/messages/count_tokens", HELLO_COUNT)).status == 200


HELLO_COUNT = {name: value for name, value in HELLO.items() if name != "max_tokens"}
