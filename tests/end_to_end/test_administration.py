"""The official SDK's `client.organization`, and commands beside a running server."""

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import pytest
from anthropic import Anthropic
from anthropic.pagination import SyncPage, SyncPageCursor
from anthropic.types import OrganizationInfo, organization
from anthropic.types.beta.organization import BetaSpendLimit
from anthropic.types.organization import workspaces as of_workspaces

from support.databases import postgres
from support.processes import KEY, Program, run, run_json, run_well, serving
from support.published import Published

__all__ = ["postgres"]

ADMIN = "sk-antiphon-admin-key-of-the-tests"
ORGANIZATIONS_PATH = "/v1/organizations"
# What this API says beyond the published one.
OWN = frozenset({"APIKey.last_used_at", "APIKey.secret", "OrganizationInvite.link"})
ANSWER = Published(absent=frozenset(), beyond=OWN)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    folder = tmp_path_factory.mktemp("administration")
    (folder / "antiphon.toml").write_text('engine = "scripted"\n', encoding="utf-8")
    environ = {"ANTIPHON_API_KEY": KEY, "ANTIPHON_ADMIN_KEY": ADMIN}
    with serving(folder, environ=environ) as program:
        yield program


@pytest.fixture
def admin(server: Program) -> Iterator[Anthropic]:
    with Anthropic(base_url=server.url, api_key=ADMIN, max_retries=0) as client:
        yield client


@pytest.fixture
def raw(server: Program) -> Iterator[httpx2.Client]:
    headers = {"x-api-key": ADMIN, "anthropic-version": "2026-10-21"}
    with httpx2.Client(base_url=server.url + ORGANIZATIONS_PATH, headers=headers) as client:
        yield client


# ── what the SDK does


def test_sdk_manages_invites_and_users(admin: Anthropic, raw: httpx2.Client) -> None:
    assert admin.organization.retrieve().name == "Antiphon"
    people = admin.organization
    invite = people.invites.create(email="ada@example.org", role="developer")
    del invite.link  # shown once
    assert people.invites.retrieve(invite.id) == invite
    user = raw.post(f"/invites/{invite.id}/accept", json={"name": "Ada"}).json()
    assert [one.id for one in people.users.list(email="ada@example.org")] == [user["id"]]
    assert people.users.update(user["id"], role="billing").role == "billing"
    assert people.users.retrieve(user["id"]).role == "billing"
    assert people.users.remove(user["id"]).type == "user_deleted"
    second = people.invites.create(email="bob@example.org", role="user")
    assert people.invites.delete(second.id).type == "invite_deleted"
    assert [one.status for one in people.invites.list(statuses=["deleted"])] == ["deleted"]


def test_sdk_manages_workspaces_and_members(admin: Anthropic, raw: httpx2.Client) -> None:
    workspaces = admin.organization.workspaces
    made = workspaces.create(name="research", tags={"team": "one"})
    assert workspaces.retrieve(made.id).tags == {"team": "one"}
    assert workspaces.update(made.id, name="lab").name == "lab"
    invite = raw.post("/invites", json={"email": "eve@example.org", "role": "user"}).json()
    user = raw.post(f"/invites/{invite['id']}/accept", json={"name": "Eve"}).json()["id"]
    members = workspaces.members
    members.add(made.id, user_id=user, workspace_role="workspace_developer")
    assert [one.user_id for one in members.list(made.id)] == [user]
    changed = members.update(user, workspace_id=made.id, workspace_role="workspace_admin")
    assert changed == members.retrieve(user, workspace_id=made.id)
    assert members.remove(user, workspace_id=made.id).type == "workspace_member_deleted"
    assert workspaces.archive(made.id).archived_at is not None
    assert made.id in [one.id for one in workspaces.list(include_archived=True)]


def test_sdk_reads_and_changes_keys(admin: Anthropic, raw: httpx2.Client) -> None:
    made = raw.post("/api_keys", json={"name": "laptop"}).json()
    keys = admin.organization.api_keys
    assert keys.retrieve(made["id"]).status == "active"
    assert keys.update(made["id"], name="desk", status="inactive").name == "desk"
    assert [key.id for key in keys.list(status="inactive")] == [made["id"]]


def test_sdk_sets_and_clears_rate_limits(admin: Anthropic) -> None:
    (group, *_) = admin.organization.rate_limits.list()
    workspace = admin.organization.workspaces.create(name="limited").id
    limits = admin.organization.workspaces.rate_limits
    value: Any = {"type": "requests_per_minute", "value": 7}
    changed = limits.update(group.id, workspace_id=workspace, limits=[value])
    assert [(one.type, one.value) for one in changed.limits] == [("requests_per_minute", 7)]
    assert [one.rate_limit_id for one in limits.list(workspace)] == [group.id]
    inherited = limits.list(workspace, include_inherited=True)
    assert {limit.source.type for one in inherited for limit in one.limits} == {
        "workspace",
        "organization",
    }
    limits.update(group.id, workspace_id=workspace, limits=[{**value, "value": None}])
    assert list(limits.list(workspace)) == []


def test_sdk_sets_and_deletes_spend_limits(admin: Anthropic, raw: httpx2.Client) -> None:
    limits = admin.beta.organization.spend_limits
    workspace = admin.organization.workspaces.create(name="frugal").id
    scope: Any = {"type": "workspace", "workspace_id": workspace}
    made = limits.set(amount="50000", scope=scope)
    assert (made.amount, made.period, made.is_enabled) == ("50000", "monthly", True)
    assert limits.retrieve(made.id) == made
    assert limits.set(amount="7", scope=scope).id == made.id
    assert [one.id for one in limits.list(scope_type=["workspace"], limit=1)] == [made.id]
    assert [one.amount for one in limits.list(workspace_id=workspace)] == ["7"]
    assert limits.delete(made.id).type == "spend_limit_deleted"
    assert list(limits.list(workspace_id=workspace)) == []
    with pytest.raises(anthropic.BadRequestError, match="nothing is inherited here"):
        limits.set(amount=None, scope=scope)

    whole = limits.set(amount="900", scope={"type": "organization"}, period="weekly")
    invite = raw.post("/invites", json={"email": "fay@example.org", "role": "user"}).json()
    user = raw.post(f"/invites/{invite['id']}/accept", json={"name": "Fay"}).json()["id"]
    (line,) = limits.effective.list(user_ids=[user], period=["weekly"])
    assert line.actor.type == "user_actor"
    assert (line.actor.name, line.source.type) == ("Fay", "organization")
    assert (line.spend_limit_id, line.amount) == (whole.id, "900")
    assert line.period_to_date_spend == "0"
    found = admin.organization.spend_limits.effective.list(user_ids=[user])
    assert [one.spend_limit_id for one in found] == [whole.id]
    limits.delete(whole.id)
    with pytest.raises(anthropic.NotFoundError):
        admin.organization.spend_limits.increase_requests.list()


def test_sdk_walks_all_pages(admin: Anthropic) -> None:
    names = [f"page {number}" for number in range(7)]
    for name in names:
        admin.organization.workspaces.create(name=name)
    found = [one.name for one in admin.organization.workspaces.list(limit=2)]
    assert sorted(name for name in found if name.startswith("page ")) == names
    assert len(found) == len(set(found))
    first = admin.organization.workspaces.list(limit=2)
    second = first.get_next_page()
    assert [one.id for one in first.data] != [one.id for one in second.data]
    assert len(list(admin.organization.rate_limits.list(limit=1))) == 4


def test_sdk_raises_the_class_of_each_admin_error(admin: Anthropic, server: Program) -> None:
    with pytest.raises(anthropic.NotFoundError, match="not found"):
        admin.organization.users.retrieve("user_nobody")
    with pytest.raises(anthropic.BadRequestError, match="email: value is not"):
        admin.organization.invites.create(email="nobody", role="user")
    with pytest.raises(anthropic.PermissionDeniedError):
        Anthropic(base_url=server.url, api_key=KEY, max_retries=0).organization.retrieve()
    with pytest.raises(anthropic.AuthenticationError):
        Anthropic(base_url=server.url, api_key="sk-nothing", max_retries=0).organization.retrieve()
    with pytest.raises(anthropic.PermissionDeniedError, match="admin key cannot call models"):
        admin.messages.create(
            model="claude-x", max_tokens=4, messages=[{"role": "user", "content": "Hi"}]
        )


def test_every_admin_answer_has_the_published_shape(raw: httpx2.Client) -> None:
    invite = raw.post("/invites", json={"email": "x@example.org", "role": "user"})
    user = raw.post(f"/invites/{invite.json()['id']}/accept", json={"name": "X"})
    workspace = raw.post("/workspaces", json={"name": "published", "tags": {"a": "b"}})
    place = f"/workspaces/{workspace.json()['id']}"
    join = {"user_id": user.json()["id"], "workspace_role": "workspace_user"}
    member = raw.post(f"{place}/members", json=join)
    scope = {"type": "workspace", "workspace_id": workspace.json()["id"]}
    key = raw.post("/api_keys", json={"name": "k", "scope": scope, "expires_in_seconds": 3600})
    raw.post("/api_keys", json={"name": "wide", "scope": {"type": "organization"}})
    limit = raw.get("/rate_limits").json()["data"][0]["id"]
    set_ = {"limits": [{"type": "output_tokens_per_minute", "value": 5}]}
    answers: list[tuple[Any, httpx2.Response]] = [
        (OrganizationInfo, raw.get("/me")),
        (organization.OrganizationInvite, invite),
        (SyncPage[organization.OrganizationInvite], raw.get("/invites")),
        (organization.OrganizationUser, user),
        (SyncPage[organization.OrganizationUser], raw.get("/users")),
        (organization.Workspace, workspace),
        (SyncPage[organization.Workspace], raw.get("/workspaces?include_default=true")),
        (organization.WorkspaceMember, member),
        (SyncPage[organization.WorkspaceMember], raw.get(f"{place}/members")),
        (organization.APIKey, key),
        (SyncPage[organization.APIKey], raw.get("/api_keys")),
        (SyncPageCursor[organization.OrganizationRateLimit], raw.get("/rate_limits")),
        (of_workspaces.WorkspaceRateLimit, raw.post(f"{place}/rate_limits/{limit}", json=set_)),
        (
            SyncPageCursor[of_workspaces.WorkspaceRateLimit],
            raw.get(f"{place}/rate_limits?include_inherited=true"),
        ),
        (
            organization.SpendLimit,
            raw.post("/spend_limits", json={"scope": scope, "amount": "100"}),
        ),
        (
            organization.SpendLimit,
            raw.post("/spend_limits", json={"scope": {"type": "organization"}, "amount": "9999"}),
        ),
        (
            SyncPageCursor[BetaSpendLimit],
            raw.get(f"/spend_limits?workspace_id={scope['workspace_id']}"),
        ),
        (
            SyncPageCursor[organization.SpendSummary],
            raw.get("/spend_limits/effective"),
        ),
    ]
    for model, answer in answers:
        assert answer.status_code == 200, answer.text
        assert ANSWER.complaints(model, answer.content) == [], answer.text


# ── commands beside the running server


def ask(server: Program, secret: str, **headers: str) -> int:
    body = {
        "model": "claude-opus-5-5",
        "max_tokens": 16,
        "messages": [{"role": "user", "content": "Hi"}],
    }
    sent = {"x-api-key": secret, "anthropic-version": "2026-10-21", **headers}
    return httpx2.post(f"{server.url}/v1/messages", json=body, headers=sent).status_code


def test_a_running_server_notices_every_command_at_once(tmp_path: Path) -> None:
    (tmp_path / "antiphon.toml").write_text('engine = "scripted"\n', encoding="utf-8")

    def does(line: str) -> str:
        return run_well(tmp_path, *line.split())

    with serving(tmp_path, environ={"ANTIPHON_API_KEY": KEY}) as server:
        research = run_json(tmp_path, "workspaces", "create", "research")
        secret = run_json(tmp_path, "keys", "create", "lab", "--workspace", "research")["secret"]
        wide = run_json(tmp_path, "keys", "create", "wide", "--organization")["secret"]
        assert ask(server, secret) == 200
        assert ask(server, wide, **{"anthropic-workspace-id": research["id"]}) == 200
        for line, status in (
            ("keys disable lab", 401),
            ("keys enable lab", 200),
            ("limits set --key lab --requests 1", 429),
            ("limits clear --key lab --all", 200),
            ("limits set --workspace research --spend 0.0001/month", 400),
            ("limits clear --workspace research --spend month", 200),
            ("keys rotate lab --grace 1h", 200),
            ("keys rotate lab --grace 0", 401),
        ):
            does(line)
            if "--requests 1" in line:
                # The bucket of the new limit holds one request.
                assert ask(server, secret) == 200
            assert ask(server, secret) == status, line
        does("workspaces archive research")
        assert ask(server, wide, **{"anthropic-workspace-id": research["id"]}) == 403
    # The ledger is written when the server has ended.
    (line,) = json.loads(does("usage --by workspace --workspace research --json"))
    assert line["workspace_id"] == research["id"]
    assert line["output_tokens"] > 0
    assert line["requests"] > 0
    by_key = json.loads(does("usage --by key,model --json"))
    assert {row["model"] for row in by_key} == {"claude-opus-5-5"}
    assert sum(row["requests"] for row in by_key) == line["requests"]
    total = sum(Decimal(row["cost_usd"]) for row in by_key)
    assert total == Decimal(line["cost_usd"]) > 0
    (balance,) = json.loads(does("limits balance --workspace Default --json"))
    assert balance["spent"] == "0"
    whole = json.loads(does("limits balance --organization --json"))[0]
    assert Decimal(whole["spent"]) == total * 100
    csv = does("usage --by day,key --csv").splitlines()
    assert csv[0].startswith("day,api_key_id,requests,input_tokens,")
    assert len(csv) == 1 + len(by_key)
    table = does("usage --by key")
    for word in ("lab", "wide", "in all"):
        assert word in table


@pytest.mark.soak
def test_commands_work_on_postgresql(tmp_path: Path, postgres: Callable[[str], str]) -> None:
    settings = {"ANTIPHON_DATABASE_URL": postgres("postgres"), "ANTIPHON_ENGINE": "scripted"}
    with serving(tmp_path, environ={**settings, "ANTIPHON_API_KEY": KEY}) as server:
        made = run(tmp_path, "keys", "create", "laptop", "--json", **settings)
        secret = json.loads(made.stdout)["secret"]
        assert ask(server, secret) == 200
        for line in (
            "workspaces create research",
            "limits set --workspace research --requests 5 --spend 1/day",
            "users add ada@example.org Ada",
            "limits list",
            "limits balance",
            "usage --by day,key,model,workspace",
            "audit",
        ):
            run_well(tmp_path, *line.split(), **settings)
        done = run(tmp_path, "keys", "revoke", "laptop", **settings)
        assert done.returncode == 0, done.stderr
        assert ask(server, secret) == 401
    assert not (tmp_path / "antiphon.db").exists()
