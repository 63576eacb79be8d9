"""What the Admin API reads: an organization may have a hundred thousand keys."""

from typing import Any

import pytest

from antiphon.core.pagination import TokenCursor
from antiphon.core.permissions import EVERYTHING, Reach
from support.organization import NOT_A_PAGE, StartOrganization

pytestmark = pytest.mark.anyio

SPEND = {"scope": {"type": "organization"}, "amount": "100", "period": "monthly"}
ASK = {
    "limit": {"type": "spend_limit", "scope": {"type": "organization"}, "period": "monthly"},
    "requested": "200",
    "reason": "Launch",
}


@pytest.mark.sql_elsewhere
async def test_pages_about_limits_do_not_read_the_secrets_of_all_keys(
    on_both_databases: StartOrganization, statements: list[str]
) -> None:
    org = await on_both_databases()
    await org.post("/spend_limits", SPEND)
    asked = await org.post("/limit_increase_requests", ASK)
    await org.get("/me")
    statements.clear()
    for path in (
        "/limit_increase_requests",
        f"/limit_increase_requests/{asked['id']}",
        "/balances",
        "/rate_limits",
        "/spend_limits",
        "/spend_limits/effective",
        "/cost_report?starting_at=2026-11-22T00:00:00Z",
    ):
        await org.get(path)
    await org.post("/api_keys", {"name": "one more"})
    assert statements
    assert not [one for one in statements if "FROM key_secrets" in one]


@pytest.mark.sql_elsewhere
async def test_archived_workspace_notes_all_of_its_keys_at_once(
    on_both_databases: StartOrganization, statements: list[str]
) -> None:
    org = await on_both_databases()
    workspace = (await org.post("/workspaces", {"name": "Research"}))["id"]
    scope = {"type": "workspace", "workspace_id": workspace}
    made = [await org.post("/api_keys", {"name": "key", "scope": scope}) for _ in range(10)]
    statements.clear()
    await org.post(f"/workspaces/{workspace}/archive")
    written = [one for one in statements if "INSERT INTO audit_log" in one]
    # Those of the keys, and that of the workspace.
    assert len(written) == 2
    noted = await org.get("/audit_log?action=api_key.update")
    assert {one["object"]["id"] for one in noted["data"]} == {key["id"] for key in made}
    assert {one["after"]["status"] for one in noted["data"]} == {"archived"}


async def test_archived_workspace_reads_and_notes_its_keys_in_portions(
    on_both_databases: StartOrganization, statements: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    org = await on_both_databases()
    workspace = (await org.post("/workspaces", {"name": "Research"}))["id"]
    scope = {"type": "workspace", "workspace_id": workspace}
    made = [await org.post("/api_keys", {"name": "key", "scope": scope}) for _ in range(7)]
    await org.post(f"/api_keys/{made[2]['id']}", {"status": "archived"})
    monkeypatch.setattr("antiphon.store.database.records.PORTION", 3)
    statements.clear()
    await org.post(f"/workspaces/{workspace}/archive")
    read = [one for one in statements if "FROM api_keys" in one and "status !=" in one]
    assert len(read) == 3
    assert all("LIMIT" in one for one in read)
    noted = await org.get("/audit_log?action=api_key.update")
    assert len({one["object"]["id"] for one in noted["data"]}) == 7
    keys = (await org.get("/api_keys?status=archived"))["data"]
    assert {key["id"] for key in keys} == {key["id"] for key in made}


async def test_one_key_is_found_by_an_index(
    on_both_databases: StartOrganization, statements: list[str]
) -> None:
    org = await on_both_databases()
    key = (await org.post("/api_keys", {"name": "key"}))["id"]
    await org.get("/me")
    statements.clear()
    await org.get(f"/api_keys/{key}")
    (found,) = (one for one in statements if "FROM api_keys" in one)
    assert "api_keys.name =" not in found


@pytest.mark.sql_elsewhere
async def test_pages_about_limits_read_the_limits_that_they_show(
    on_both_databases: StartOrganization, statements: list[str]
) -> None:
    org = await on_both_databases()
    for number in range(3):
        key = (await org.post("/api_keys", {"name": f"{number}"}))["id"]
        await org.limit(f"/api_keys/{key}", requests_per_minute=7)
        await org.spend_limit_in_cents({"type": "api_key", "api_key_id": key}, "5", "daily")
    workspace = (await org.post("/workspaces", {"name": "Research"}))["id"]
    await org.post("/spend_limits", SPEND)
    await org.post("/limit_increase_requests", ASK)
    await org.get("/me")
    statements.clear()
    for path in (
        "/rate_limits",
        f"/workspaces/{workspace}/rate_limits",
        f"/api_keys/{key}/rate_limits",
        "/rate_limit_levels?limit=1",
        "/rate_limit_levels?limit=1&scope=api_key",
        "/spend_limits?limit=1",
        "/limit_increase_requests?limit=1",
        "/balances?limit=1&used=true",
    ):
        await org.get(path)
    some = (" IN (", "min(", "LIMIT", "workspaces.id =", "workspaces.is_default")
    whole = [
        one
        for one in statements
        for table in ("rate_limits", "spend_limits", "workspaces")
        if f"FROM {table}" in one and not any(part in one for part in some)
    ]
    assert whole == []


@pytest.mark.sql_elsewhere
async def test_pages_of_levels_and_of_spend_limits_are_the_whole(
    on_both_databases: StartOrganization, monkeypatch: pytest.MonkeyPatch
) -> None:
    org = await on_both_databases()
    for number in range(4):
        key = (await org.post("/api_keys", {"name": f"{number}"}))["id"]
        await org.limit(f"/api_keys/{key}", requests_per_minute=7, output_tokens_per_minute=9)
        await org.spend_limit_in_cents({"type": "api_key", "api_key_id": key}, "5", "daily")
        name = {"name": f"{number}"}
        workspace = (await org.post("/workspaces", name))["id"]
        await org.limit(f"/workspaces/{workspace}", requests_per_minute=5)
    monkeypatch.setattr("antiphon.service.admin.rate_levels.PORTION", 3)
    for path, rows in (("/rate_limit_levels", 18), ("/spend_limits", 4)):
        whole = (await org.get(f"{path}?limit=100"))["data"]
        assert len(whole) == rows
        for size in (1, 2, 4, rows - 1, rows):
            found: list[Any] = []
            token = ""
            while True:
                page = await org.get(f"{path}?limit={size}{token}")
                assert len(page["data"]) <= size
                found += page["data"]
                if page["next_page"] is None:
                    break
                token = f"&page={page['next_page']}"
            assert found == whole
    # A token is one of its own listing.
    refused = await org.refusal("/rate_limit_levels?page=page_3", method="GET")
    assert refused == (400, NOT_A_PAGE)


@pytest.mark.sql_elsewhere
async def test_levels_out_of_reach_are_not_walked_over(
    on_both_databases: StartOrganization, statements: list[str]
) -> None:
    org = await on_both_databases()
    _, place, near = await org.guest()
    await org.limit(f"/api_keys/{near}", requests_per_minute=7)
    # A key of the organization is in no workspace, and the others are in the Default one.
    others: list[dict[str, Any]] = [{"scope": {"type": "organization"}}, *[{}] * 5]
    for number, scope in enumerate(others):
        key = (await org.post("/api_keys", {"name": f"{number}", **scope}))["id"]
        await org.limit(f"/api_keys/{key}", requests_per_minute=7)
    _, there, far = await org.guest()
    await org.limit(f"/api_keys/{far}", requests_per_minute=7)
    await org.limit(f"/workspaces/{there}", requests_per_minute=7)
    await org.post(f"/workspaces/{there}/archive")
    levels, reach = org.platform.administration.rate_levels, Reach(workspaces=frozenset({place}))
    statements.clear()
    page = await levels.page(TokenCursor(1), "api_key", reach)
    assert [one.scope for one in page.data] == [{"type": "api_key", "api_key_id": near}]
    assert page.next_page is None
    walked = [one for one in statements if "DISTINCT rate_limits.scope_id" in one]
    assert len(walked) == 2
    found = (await org.get("/workspaces?include_default=true"))["data"]
    developer = Reach(workspaces=frozenset(one["id"] for one in found if one["name"] == "Default"))
    assert len((await levels.page(TokenCursor(20), "api_key", developer)).data) == 5
    everything = await levels.page(TokenCursor(20), "api_key", EVERYTHING)
    assert len(everything.data) == 7
    assert (await levels.page(TokenCursor(20), "workspace", EVERYTHING)).data == ()
