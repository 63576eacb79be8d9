"""Invites and users."""

from datetime import timedelta
from typing import Any

import pytest

from antiphon.server.app import ORGANIZATIONS_PATH
from support.organization import NOON, StartOrganization

pytestmark = pytest.mark.anyio


@pytest.mark.covers("administration: POST /invites", "effect")
@pytest.mark.covers("administration: GET /invites/{invite}", "effect")
@pytest.mark.covers("administration: POST /invites/{invite}/accept", "effect")
@pytest.mark.covers("administration: GET /users", "effect")
@pytest.mark.covers("administration: GET /users/{user}", "effect")
async def test_accepted_invite_makes_a_user(organization: StartOrganization) -> None:
    org = await organization()
    invited = await org.invite()
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
        "link": invited["link"],
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
    first = await org.invite()
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
async def test_deleted_and_expired_invites_cannot_be_used(organization: StartOrganization) -> None:
    org = await organization()
    taken_back, expired = await org.invite(), await org.invite("b@example.org")
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
async def test_invalid_invite_is_refused_by_its_field(
    organization: StartOrganization, body: Any, message: str
) -> None:
    org = await organization()
    assert await org.refusal("/invites", body) == (400, message)
    assert await org.audit() == []


@pytest.mark.covers("administration: POST /users/{user}", "effect")
@pytest.mark.covers("administration: DELETE /users/{user}", "effect")
async def test_user_is_changed_and_removed(organization: StartOrganization) -> None:
    org = await organization()
    user = await org.add_user("Ada")
    changed = await org.post(f"/users/{user['id']}", {"role": "billing"})
    assert changed["role"] == "billing"
    assert await org.delete(f"/users/{user['id']}") == {"id": user["id"], "type": "user_deleted"}
    assert await org.refusal(f"/users/{user['id']}", method="GET") == (
        404,
        f"User {user['id']} not found.",
    )


async def test_second_invite_of_a_user_cannot_be_accepted(
    organization: StartOrganization,
) -> None:
    org = await organization()
    invite = (await org.post("/invites", {"email": "a@b.c", "role": "user"}))["id"]
    org.clock.passes(days=22)
    second = (await org.post("/invites", {"email": "a@b.c", "role": "user"}))["id"]
    await org.post(f"/invites/{second}/accept", {"name": "A"})
    # The first one is open again.
    org.clock.now = NOON
    assert await org.refused_without_change(f"/invites/{invite}/accept", {"name": "A"}) == (
        400,
        "email: this person is a member already",
    )


@pytest.mark.sql_elsewhere
async def test_removed_user_loses_memberships_and_its_keys_keep_working(
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
