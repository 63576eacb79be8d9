"""Every method of the official SDK's `client.organization`, against a running server.

Each is called with every parameter that it has, or stands among those that are not served; its
answer must be what the SDK publishes. A method or a parameter that a new SDK brings fails here.
"""

import inspect
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, get_type_hints

import anthropic
import httpx2
import pytest
from anthropic import Anthropic
from anthropic._resource import SyncAPIResource

from support.processes import KEY, serving
from support.published import Published

ADMIN = "sk-antiphon-admin-key-of-the-tests"
# What this API says beyond the published one.
ANSWER = Published(
    absent=frozenset(),
    beyond=frozenset(
        {
            "APIKey.last_used_at",
            "BetaAPIKey.last_used_at",
            "BetaOrganizationInvite.link",
            "OrganizationInvite.link",
        }
    ),
)
# What every method takes, for itself.
OF_THE_SDK = {"self", "betas", "extra_headers", "extra_query", "extra_body", "timeout"}

# Groups of methods whose routes are not there, and why.
NOT_SERVED = {
    "analytics": "of the Enterprise plan: chats, projects and connectors of its own apps",
    "claude_code": "of the apps: their policies and sessions",
    "claude_tag": "of the apps: their policies and sessions",
    "compliance_settings": "of the Enterprise plan",
    "external_keys": "keys of clouds; data stays on the machines of the server",
    "federation": "there is no sign-in by the tokens of others",
    "plugin_marketplaces": "of the apps",
    "plugins": "of the apps",
    "rbac_groups": "of the Enterprise plan; roles are given to users",
    "rbac_roles": "of the Enterprise plan; roles are given to users",
    "service_accounts": "keys belong to workspaces or to the organization",
    "spend_limits.increase_requests": "for limits of members, of which there are none",
    "telemetry_destinations": "of the apps",
    "users.sign_out": "nobody signs in",
    "webhooks": "nothing is sent to anybody",
    "workspaces.service_accounts": "keys belong to workspaces or to the organization",
}
# Parameters that are refused by their name.
REFUSED = {
    "invites.create": {"rbac_group_ids": ["rbg_1"]},
    "workspaces.create": {"external_key_id": "ek_1", "user_profile_id": "up_1"},
    "workspaces.update": {"external_key_id": "ek_1", "user_profile_id": "up_1"},
}


def methods(resource: SyncAPIResource, path: str = "") -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield every method under a resource, with its path."""
    for name, member in inspect.getmembers(type(resource)):
        if name.startswith(("_", "with_")):
            continue
        if isinstance(member, cached_property):
            yield from methods(getattr(resource, name), f"{path}{name}.")
        elif inspect.isfunction(member):
            yield path + name, member


def is_served(path: str) -> bool:
    return not any(path == group or path.startswith(f"{group}.") for group in NOT_SERVED)


class Sweep:
    """Calls methods by their paths, and knows which parameters each of them was given."""

    def __init__(self, resource: SyncAPIResource) -> None:
        self.methods = dict(methods(resource))
        self._resource = resource
        self.given: dict[str, set[str]] = defaultdict(set)

    def __call__(self, path: str, *arguments: Any, **named: Any) -> Any:
        """Call a method; its answer is as the SDK publishes it, with nothing missing."""
        owner, name = self._place(path)
        method = self.methods[path]
        bound = inspect.signature(method).bind(owner, *arguments, **named)
        self.given[path] |= bound.arguments.keys() - OF_THE_SDK
        answer = getattr(owner.with_raw_response, name)(*arguments, **named)
        complaints = ANSWER.complaints(get_type_hints(method)["return"], answer.read())
        assert complaints == [], answer.text()
        return answer.parse()

    def refused(self, path: str, *arguments: Any, **named: Any) -> None:
        """Call a method with each parameter that the server refuses; it says its name."""
        owner, method = self._place(path)
        for name, value in REFUSED[path].items():
            with pytest.raises(anthropic.BadRequestError, match=f"{name}: "):
                getattr(owner, method)(*arguments, **named, **{name: value})
            self.given[path].add(name)

    def absent(self, path: str) -> None:
        """Call a method whose route is not there."""
        owner, name = self._place(path)
        signature = inspect.signature(self.methods[path])
        given = {
            name: b"x" if name == "archive" else "x"
            for name, one in signature.parameters.items()
            if one.default is inspect.Parameter.empty and name != "self"
        }
        with pytest.raises(anthropic.APIStatusError) as caught:
            getattr(owner, name)(**given)
        assert caught.value.status_code in {404, 405}, path

    def _place(self, path: str) -> tuple[Any, str]:
        *groups, name = path.split(".")
        owner: Any = self._resource
        for group in groups:
            owner = getattr(owner, group)
        return owner, name


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("sweep")
    (folder / "antiphon.toml").write_text('engine = "scripted"\n', encoding="utf-8")
    environ = {"ANTIPHON_API_KEY": KEY, "ANTIPHON_ADMIN_KEY": ADMIN}
    with serving(folder, environ=environ) as program:
        yield program.url


@pytest.fixture
def client(url: str) -> Iterator[Anthropic]:
    with Anthropic(base_url=url, api_key=ADMIN, max_retries=0) as client:
        yield client


@pytest.fixture
def raw(url: str) -> Iterator[httpx2.Client]:
    headers = {"x-api-key": ADMIN, "anthropic-version": "2026-10-21"}
    with httpx2.Client(base_url=f"{url}/v1/organizations", headers=headers) as client:
        yield client


@pytest.fixture(params=["organization", "beta.organization"])
def sweep(request: pytest.FixtureRequest, client: Anthropic) -> Sweep:
    root = client if request.param == "organization" else client.beta
    return Sweep(root.organization)


def test_every_method_is_called_with_every_parameter(sweep: Sweep, raw: httpx2.Client) -> None:
    sweep("retrieve")
    people(sweep, raw)
    workspaces(sweep)
    members(sweep, raw)
    keys(sweep, raw)
    rate_limits(sweep)
    if "spend_limits.set" in sweep.methods:
        spend_limits(sweep)
    spend_of_members(sweep, raw)
    expected = {
        path: set(inspect.signature(method).parameters) - OF_THE_SDK
        for path, method in sweep.methods.items()
        if is_served(path)
    }
    assert dict(sweep.given) == expected


@pytest.mark.covers("administration: service_accounts", "refused")
@pytest.mark.covers("administration: external_keys", "refused")
@pytest.mark.covers("administration: rbac_groups and rbac_roles", "refused")
@pytest.mark.covers("administration: federation", "refused")
def test_endpoints_that_are_not_served_are_not_found(sweep: Sweep) -> None:
    absent = [path for path in sweep.methods if not is_served(path)]
    for path in absent:
        sweep.absent(path)
    assert len(absent) > 50


def test_listed_methods_exist_in_the_sdk(client: Anthropic) -> None:
    paths = [path for path, _ in methods(client.beta.organization)]
    for group in NOT_SERVED:
        assert any(path == group or path.startswith(f"{group}.") for path in paths), group


def person(sweep: Sweep, raw: httpx2.Client, name: str) -> str:
    invite = sweep("invites.create", email=f"{name}@example.org", role="developer")
    user = raw.post(f"/invites/{invite.id}/accept", json={"name": name.title()}).json()
    found: str = user["id"]
    return found


def people(sweep: Sweep, raw: httpx2.Client) -> None:
    first, second = (
        sweep("invites.create", email=f"{name}@example.org", role="user", rbac_group_ids=[])
        for name in ("uno", "due")
    )
    for invite in (first, second):
        # Shown once.
        del invite.link
    assert sweep("invites.retrieve", first.id) == first
    listed = sweep("invites.list", limit=1, email="UNO@example.org", roles=["user"])
    assert [one.id for one in listed.data] == [first.id]
    assert sweep("invites.list", after_id=second.id, limit=1, statuses=["pending"]).data == [first]
    assert sweep("invites.list", before_id=first.id, limit=1).data == [second]
    sweep.refused("invites.create", email="tre@example.org", role="user")
    for one in (first, second):
        assert sweep("invites.delete", one.id).id == one.id

    ada, bob = person(sweep, raw, "ada"), person(sweep, raw, "bob")
    assert sweep("users.update", ada, role="billing").role == "billing"
    assert sweep("users.retrieve", ada).role == "billing"
    found = sweep("users.list", email="Ada@example.org", roles=["billing", "admin"], limit=5)
    assert [one.id for one in found.data] == [ada]
    assert [one.id for one in sweep("users.list", after_id=bob, limit=1).data] == [ada]
    assert [one.id for one in sweep("users.list", before_id=ada, limit=1).data] == [bob]
    for user in (ada, bob):
        assert sweep("users.remove", user).id == user


def workspaces(sweep: Sweep) -> None:
    default = sweep("workspaces.list", include_default=True).data[-1]
    residency = default.data_residency.model_dump()
    first = sweep(
        "workspaces.create",
        name="First",
        data_residency=residency,
        display_color="#00FF00",
        tags={"team": "a"},
    )
    second = sweep("workspaces.create", name="Second")
    del residency["workspace_geo"]
    changed = sweep(
        "workspaces.update",
        first.id,
        name="Erste",
        data_residency=residency,
        display_color="#0000FF",
        tags={"team": None, "b": "c"},
    )
    assert (changed.name, changed.tags, changed.display_color) == ("Erste", {"b": "c"}, "#0000FF")
    sweep.refused("workspaces.create", name="Third")
    sweep.refused("workspaces.update", first.id)
    assert sweep("workspaces.retrieve", first.id) == changed
    assert sweep("workspaces.archive", second.id).archived_at is not None
    both = [first.id, second.id, default.id]
    assert [one.id for one in sweep("workspaces.list", ids=both).data] == [first.id]
    every = sweep("workspaces.list", ids=both, include_archived=True, include_default=True)
    assert [one.id for one in every.data] == [second.id, first.id, default.id]
    with_archived: dict[str, Any] = {"include_archived": True, "limit": 1}
    page = sweep("workspaces.list", after_id=second.id, **with_archived)
    assert [one.id for one in page.data] == [first.id]
    page = sweep("workspaces.list", before_id=first.id, **with_archived)
    assert [one.id for one in page.data] == [second.id]


def members(sweep: Sweep, raw: httpx2.Client) -> None:
    place = sweep("workspaces.create", name="Members").id
    users = [person(sweep, raw, name) for name in ("eve", "kim")]
    for user in users:
        sweep("workspaces.members.add", place, user_id=user, workspace_role="workspace_developer")
    changed = sweep(
        "workspaces.members.update",
        users[0],
        workspace_id=place,
        workspace_role="workspace_admin",
    )
    assert sweep("workspaces.members.retrieve", users[0], workspace_id=place) == changed
    page = sweep("workspaces.members.list", place, limit=1, after_id=users[1])
    assert [one.user_id for one in page.data] == [users[0]]
    page = sweep("workspaces.members.list", place, limit=1, before_id=users[0])
    assert [one.user_id for one in page.data] == [users[1]]
    for user in users:
        assert sweep("workspaces.members.remove", user, workspace_id=place).user_id == user
        sweep("users.remove", user)


def keys(sweep: Sweep, raw: httpx2.Client) -> None:
    place, user = sweep("workspaces.create", name="Keys").id, person(sweep, raw, "ivy")
    scope = {"type": "workspace", "workspace_id": place}
    first, second = (
        raw.post(
            "/api_keys",
            json={
                "name": name,
                "scope": scope,
                "created_by_user_id": user,
                "expires_in_seconds": 3600,
            },
        ).json()["id"]
        for name in ("one", "two")
    )
    changed = sweep("api_keys.update", first, name="uno", status="inactive")
    assert (changed.name, changed.status) == ("uno", "inactive")
    assert (changed.scope.workspace_id, changed.created_by.id) == (place, user)
    assert sweep("api_keys.retrieve", first) == changed
    theirs: dict[str, Any] = {"workspace_id": place, "created_by_user_id": user}
    assert sweep("api_keys.list", status="inactive", **theirs).data == [changed]
    page = sweep("api_keys.list", after_id=second, limit=1, **theirs)
    assert [one.id for one in page.data] == [first]
    page = sweep("api_keys.list", before_id=first, limit=1, **theirs)
    assert [one.id for one in page.data] == [second]
    sweep("users.remove", user)


def rate_limits(sweep: Sweep) -> None:
    first = sweep("rate_limits.list", limit=1)
    assert first.next_page is not None
    (counting,) = sweep("rate_limits.list", limit=1, page=first.next_page).data
    assert sweep("rate_limits.list", group_type="token_count").data == [counting]
    (group,) = sweep("rate_limits.list", model="claude-opus-5-5").data
    place = sweep("workspaces.create", name="Limited").id
    kinds = [limit.type for limit in group.limits]
    limits = [{"type": kind, "value": 7} for kind in kinds]
    changed = sweep("workspaces.rate_limits.update", group.id, workspace_id=place, limits=limits)
    assert [(limit.type, limit.value) for limit in changed.limits] == [(one, 7) for one in kinds]
    wanted: dict[str, Any] = {"group_type": "model_group", "include_inherited": True}
    assert sweep("workspaces.rate_limits.list", place, **wanted).data == [changed]
    first = sweep("workspaces.rate_limits.list", place, include_inherited=True, limit=1)
    page = sweep(
        "workspaces.rate_limits.list", place, include_inherited=True, limit=1, page=first.next_page
    )
    assert [one.rate_limit_id for one in page.data] == [counting.id]


def spend_limits(sweep: Sweep) -> None:
    place = sweep("workspaces.create", name="Spending").id
    scope = {"type": "workspace", "workspace_id": place}
    made = sweep("spend_limits.set", amount="100", scope=scope, period="monthly")
    other = sweep("spend_limits.set", amount="100", scope={"type": "organization"})
    assert sweep("spend_limits.retrieve", made.id) == made
    of_place = sweep("spend_limits.list", scope_type=["workspace"], workspace_id=place)
    assert of_place.data == [made]
    first = sweep("spend_limits.list", limit=1)
    assert sweep("spend_limits.list", limit=1, page=first.next_page).data != first.data
    for one in (made, other):
        assert sweep("spend_limits.delete", one.id).id == one.id


def spend_of_members(sweep: Sweep, raw: httpx2.Client) -> None:
    limit = {"scope": {"type": "organization"}, "amount": "100", "period": "monthly"}
    made = raw.post("/spend_limits", json=limit).json()["id"]
    users = [person(sweep, raw, name) for name in ("max", "pam")]
    wanted: dict[str, Any] = {"limit": 1, "user_ids": users, "period": ["monthly"]}
    first = sweep("spend_limits.effective.list", **wanted)
    second = sweep("spend_limits.effective.list", page=first.next_page, **wanted)
    assert {one.actor.user_id for one in (*first.data, *second.data)} == set(users)
    for user in users:
        sweep("users.remove", user)
    raw.delete(f"/spend_limits/{made}")
