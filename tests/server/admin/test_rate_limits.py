"""Rate limits of the organization, its workspaces and its keys."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from antiphon.core.limits.values import Scope
from antiphon.server.app import ORGANIZATIONS_PATH
from antiphon.store.directory import read_directory
from antiphon.store.limits import RateLimit, set_rate_limit
from support.asgi import Client
from support.organization import ADMIN, StartOrganization

pytestmark = pytest.mark.anyio


@pytest.mark.covers("administration: GET /rate_limits", "effect")
@pytest.mark.covers("administration: POST /rate_limits/{limit}", "effect")
async def test_rate_limits_are_read_and_written(organization: StartOrganization) -> None:
    org = await organization()
    model, count, batch, files = (await org.get("/rate_limits"))["data"]
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
    assert files["group"] == {"type": "files", "id": "files"}
    assert batch["group"] == {"type": "batch", "id": "batch"}
    assert batch["limits"] == [{"type": "requests_per_minute", "value": 4_000}]
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


async def test_model_with_a_slash_in_its_id_gets_rate_limits(
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
async def test_workspace_limits_are_set_below_the_organizations(
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
async def test_rate_limit_of_a_key_applies_to_that_key_only(
    organization: StartOrganization,
) -> None:
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
                "limits.0.type: Input should be 'requests_per_minute', "
                "'input_tokens_per_minute_cache_aware' or 'output_tokens_per_minute'"
            ),
        ),
    ],
)
async def test_invalid_rate_limits_are_refused_and_change_nothing(
    organization: StartOrganization, limit: Any, message: str
) -> None:
    org = await organization()
    before = await org.get("/rate_limits")
    status, said = await org.refusal("/rate_limits/rl_scripted", {"limits": [limit]})
    assert status == 400
    assert said == message
    assert await org.get("/rate_limits") == before
    assert await org.audit() == []


async def test_group_without_a_model_keeps_its_limits_until_they_are_cleared(
    organization: StartOrganization,
) -> None:
    org = await organization()
    async with org.platform.database.write() as connection:
        organization_id = (await read_directory(connection)).organization.id
        row = RateLimit(
            scope=Scope.ORGANIZATION,
            scope_id=organization_id,
            group_id="old",
            type="requests_per_minute",
            value=5,
        )
        await set_rate_limit(connection, row)
    old = {
        "type": "rate_limit",
        "id": "rl_old",
        "group": {"type": "model_group", "id": "old", "display_name": "old"},
        "models": [],
        "limits": [{"type": "requests_per_minute", "value": 5}],
    }
    assert (await org.get("/rate_limits"))["data"][-1] == old
    assert (await org.get("/rate_limits?model=old"))["data"] == [old]
    change = {"limits": [{"type": "requests_per_minute", "value": 6}]}
    status, message = await org.refusal("/rate_limits/rl_old", change)
    assert status == 400
    assert message.startswith("limits.0.value: no model is in this group any more")
    change["limits"][0]["value"] = None  # type: ignore[assignment]
    assert (await org.post("/rate_limits/rl_old", change))["limits"] == []
    assert (await org.refusal("/rate_limits/rl_old", change))[0] == 404
