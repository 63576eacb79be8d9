"""The levels of rate limits: what is used, what is left, and when it is full again."""

from typing import Any

import pytest

from antiphon.core.pagination import TokenCursor
from antiphon.core.permissions import Reach
from support.organization import StartOrganization

pytestmark = pytest.mark.anyio

PATH = "/rate_limit_levels"


def levels(page: Any, kind: str = "requests_per_minute") -> list[dict[str, Any]]:
    return [
        one
        for one in page["data"]
        if one["limit_type"] == kind and one["group"]["type"] == "model_group"
    ]


@pytest.mark.covers("administration: GET /rate_limit_levels", "effect")
async def test_level_tells_what_is_used_and_when_it_is_full_again(
    organization: StartOrganization,
) -> None:
    org = await organization()
    await org.limit("", requests_per_minute=4)
    (fresh,) = levels(await org.get(PATH))
    assert fresh | {"group": None} == {
        "type": "rate_limit_level",
        "rate_limit_id": fresh["rate_limit_id"],
        "group": None,
        "scope": {"type": "organization"},
        "limit_type": "requests_per_minute",
        "limit": 4,
        "used": 0,
        "remaining": 4,
        "full_at": None,
    }
    for _ in range(2):
        assert (await org.caller.create()).status == 200
    (used,) = levels(await org.get(PATH))
    assert (used["used"], used["remaining"]) == (2, 2)
    # Four a minute: two come back within half a minute.
    assert used["full_at"] in {"2026-11-23T12:00:29Z", "2026-11-23T12:00:30Z"}
    (key,) = (await org.get("/api_keys"))["data"]
    assert levels(await org.get(f"{PATH}?scope=api_key")) == []
    assert key["id"] not in str(await org.get(PATH))


async def test_limits_of_workspaces_and_keys_have_levels_of_their_own(
    organization: StartOrganization,
) -> None:
    org = await organization()
    workspace = (await org.post("/workspaces", {"name": "research"}))["id"]
    scope = {"type": "workspace", "workspace_id": workspace}
    key = await org.post("/api_keys", {"name": "k", "scope": scope})
    await org.limit(f"/workspaces/{workspace}", requests_per_minute=7)
    await org.limit(f"/api_keys/{key['id']}", requests_per_minute=3)
    (of_workspace,) = (await org.get(f"{PATH}?scope=workspace"))["data"]
    assert of_workspace["scope"] == {"type": "workspace", "workspace_id": workspace}
    assert (of_workspace["limit"], of_workspace["remaining"]) == (7, 7)
    (of_key,) = (await org.get(f"{PATH}?scope=api_key"))["data"]
    assert of_key["scope"] == {"type": "api_key", "api_key_id": key["id"]}
    assert of_key["limit"] == 3
    seen = await org.platform.administration.rate_levels.page(
        TokenCursor(limit=100), reach=Reach(workspaces=frozenset({"wrkspc_other"}))
    )
    assert {one.scope["type"] for one in seen.data} == {"organization"}
    await org.post(f"/api_keys/{key['id']}", {"status": "archived"})
    assert (await org.get(f"{PATH}?scope=api_key"))["data"] == []
    await org.post(f"/workspaces/{workspace}/archive", {})
    assert (await org.get(f"{PATH}?scope=workspace"))["data"] == []


async def test_levels_come_in_pages(organization: StartOrganization) -> None:
    org = await organization()
    whole = (await org.get(PATH))["data"]
    first = await org.get(f"{PATH}?limit=2")
    rest = await org.get(f"{PATH}?limit=100&page={first['next_page']}")
    assert [*first["data"], *rest["data"]] == whole
    assert rest["next_page"] is None
