"""The token of a page leads on in its own listing, and nowhere else."""

from typing import Any
from urllib.parse import quote

import pytest

from antiphon.server.admin.routes import admin_routes
from antiphon.server.http.queries import OpenQuery
from support.organization import NOT_A_PAGE, Organization, StartOrganization

pytestmark = pytest.mark.anyio

REFUSED = (400, NOT_A_PAGE)
SINCE = "starting_at=2026-11-01T00:00:00Z"


@pytest.fixture
async def org(organization: StartOrganization) -> Organization:
    org = await organization()
    for name in ("a", "b", "c"):
        workspace = await org.post("/workspaces", {"name": name})
        scope = {"type": "workspace", "workspace_id": workspace["id"]}
        await org.spend_limit_in_cents(scope, "100", "monthly")
        await org.post("/api_keys", {"name": name, "scope": {"type": "organization"}})
    return org


def listings(org: Organization) -> list[str]:
    """Return every path of the Admin API that takes a page."""
    return [
        route.path
        for route in admin_routes(org.platform)
        if not isinstance(route.query, OpenQuery) and "page" in route.query
    ]


def with_page(path: str, token: str) -> str:
    return f"{path}{'&' if '?' in path else '?'}page={quote(token)}"


async def walked(org: Organization, path: str, token: str) -> Any:
    return await org.get(with_page(path, token))


async def test_token_of_one_listing_is_refused_by_all_others(org: Organization) -> None:
    key = (await org.get("/api_keys"))["data"][0]["id"]
    workspace = (await org.get("/workspaces"))["data"][0]["id"]
    tokens = {
        path: (await org.get(path))["next_page"]
        for path in (
            "/audit_log?limit=1",
            "/balances?limit=1",
            f"/cost_report?{SINCE}&limit=1",
            f"/activity?{SINCE}&limit=1&bucket_width=1d",
        )
    }
    assert all(tokens.values())
    every = listings(org)
    assert len(every) > 10
    for given_by, token in tokens.items():
        for path in every:
            if given_by.startswith(path):
                continue
            address = path.format(key=key, workspace=workspace)
            answer = await org.refusal(with_page(address, token), method="GET")
            assert answer == REFUSED, (given_by, address)


async def test_token_leads_on_with_the_same_filters_and_any_limit(org: Organization) -> None:
    path = "/spend_limits?scope_type[]=organization&scope_type[]=workspace"
    first = await org.get(f"{path}&limit=1")
    token = first["next_page"]
    whole = (await org.get(path))["data"]
    assert len(whole) == 3
    assert first["data"] == whole[:1]
    others_written = "/spend_limits?scope_type=workspace&beta=true&scope_type=organization"
    for same in (f"{path}&limit=2", f"{others_written}&limit=2"):
        assert (await walked(org, same, token))["data"] == whole[1:]
    for other in (
        "/spend_limits",
        "/spend_limits?scope_type[]=workspace",
        f"{path}&workspace_id=wrkspc_1",
    ):
        answer = await org.refusal(with_page(other, token), method="GET")
        assert answer == REFUSED, other


async def test_token_leads_on_in_its_order_alone(org: Organization) -> None:
    token = (await org.get("/audit_log?limit=1"))["next_page"]
    assert (await walked(org, "/audit_log?limit=1", token))["data"]
    assert await org.refusal(with_page("/audit_log?order=asc", token), method="GET") == REFUSED


async def test_token_of_another_listing_is_none_of_the_files(org: Organization) -> None:
    token = (await org.get("/audit_log?limit=1"))["next_page"]
    answer = await org.caller.get(with_page("/v1/files", token))
    assert answer.error == (400, "invalid_request_error", NOT_A_PAGE)


async def test_walk_of_a_report_is_whole(org: Organization) -> None:
    path = f"/cost_report?{SINCE}&limit=10"
    page = await org.get(path)
    days = [bucket["starting_at"] for bucket in page["data"]]
    while (token := page["next_page"]) is not None:
        page = await walked(org, path, token)
        days += [bucket["starting_at"] for bucket in page["data"]]
    assert days == [f"2026-11-{day:02}T00:00:00Z" for day in range(1, 24)]
