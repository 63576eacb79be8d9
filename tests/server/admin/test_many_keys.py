"""What the Admin API reads: an organization may have a hundred thousand keys."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, event

from support.organization import StartOrganization

pytestmark = pytest.mark.anyio

SPEND = {"scope": {"type": "organization"}, "amount": "100", "period": "monthly"}
ASK = {
    "limit": {"type": "spend_limit", "scope": {"type": "organization"}, "period": "monthly"},
    "requested": "200",
    "reason": "Launch",
}


@pytest.fixture
def statements() -> Iterator[list[str]]:
    """The statements of all databases, as they are executed."""
    executed: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        executed.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    yield executed
    event.remove(Engine, "before_cursor_execute", note)


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
    monkeypatch.setattr("antiphon.store.accounts.PORTION", 3)
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
