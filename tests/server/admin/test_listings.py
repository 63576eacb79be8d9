"""The parameters that sort and filter listings, and the refusal of bad ones."""

from datetime import timedelta
from urllib.parse import quote

import pytest

from antiphon.server.app import ORGANIZATIONS_PATH
from support.organization import StartOrganization

pytestmark = pytest.mark.anyio


@pytest.mark.sql_elsewhere
async def test_listings_are_sorted_and_filtered_by_their_parameters(
    on_both_databases: StartOrganization,
) -> None:
    org = await on_both_databases()
    for name in ("Zebra", "ärzte", "apfel"):
        org.clock.passes(hours=1)
        await org.post("/workspaces", {"name": name})
        await org.post("/api_keys", {"name": f"{name} key"})
        await org.post("/invites", {"email": f"{name[0]}@example.org", "role": "developer"})

    async def names(path: str, field: str = "name") -> list[str]:
        return [one[field] for one in (await org.get(path))["data"]]

    assert await names("/workspaces?order_by=name&order=asc") == ["apfel", "Zebra", "ärzte"]
    assert await names("/workspaces?contains=%C3%84R") == ["ärzte"]
    found = await names("/api_keys?contains=key&order_by=name&order=desc&limit=2")
    assert found == ["ärzte key", "Zebra key"]
    assert await names("/invites?order_by=email&order=asc", "email") == [
        "a@example.org",
        "z@example.org",
        "ä@example.org",
    ]
    since = (org.clock.now - timedelta(minutes=90)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert await names(f"/api_keys?starting_at={since}&order=asc") == ["ärzte key", "apfel key"]
    assert await names(f"/workspaces?ending_at={since}") == ["Zebra"]


@pytest.mark.sql_elsewhere
@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("\u0646\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\u0645\u06cc\u200c\u062e"),
        ("田中\u3000太郎", "中\u3000太"),
        ("👨\u200d👩\u200d👧", "👨\u200d👩"),
        # Newer than the Unicode of the oldest Python that may run it.
        ("a \U0001fae9", "\U0001fae9"),
        ("\u039c\u03b1\u0390\u03bf\u03c5", "\u0390".upper()),
        ("100 % _\\", "% _\\"),
    ],
)
async def test_every_name_is_found_by_its_parts(
    on_both_databases: StartOrganization, name: str, part: str
) -> None:
    org = await on_both_databases()
    made = await org.post("/workspaces", {"name": name})
    await org.post("/workspaces", {"name": "another"})
    found = await org.get(f"/workspaces?contains={quote(part)}")
    assert [one["id"] for one in found["data"]] == [made["id"]]


@pytest.mark.sql_elsewhere
async def test_audit_log_is_filtered_by_actor_action_and_time(
    on_both_databases: StartOrganization,
) -> None:
    org = await on_both_databases()
    await org.post("/workspaces", {"name": "a"})
    org.clock.passes(hours=1)
    key = await org.post("/api_keys", {"name": "b"})
    (created,) = (await org.get("/audit_log?action=workspace.create"))["data"]
    assert created["after"]["name"] == "a"
    own = await org.get(f"/audit_log?actor_id={created['actor']['id']}&order=asc")
    assert [entry["action"] for entry in own["data"]] == ["workspace.create", "api_key.create"]
    late = await org.get("/audit_log?starting_at=2026-11-23T12:30:00Z")
    assert [entry["object"]["id"] for entry in late["data"]] == [key["id"]]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("/api_keys?order_by=hint", "order_by: Input should be 'created_at', 'name', 'last_used"),
        ("/workspaces?order_by=archived_at", "order_by: Input should be 'created_at' or 'name'"),
        ("/users?order=up", "order: Input should be 'asc' or 'desc'"),
        ("/invites?starting_at=today", "starting_at: Input should be a valid RFC 3339 datetime"),
        (
            "/api_keys?starting_at=2026-11-24T00:00:00Z&ending_at=2026-11-23T00:00:00Z",
            "ending_at: Input should be after `starting_at`",
        ),
        (f"/users?contains={'x' * 257}", "contains: String should have at most 256 characters"),
        ("/audit_log?order_by=action", "order_by: Extra inputs are not permitted"),
        ("/api_keys?before_id=apikey_none", "before_id: no such id: apikey_none"),
    ],
)
async def test_bad_parameter_is_refused_by_its_name(
    organization: StartOrganization, query: str, said: str
) -> None:
    org = await organization()
    answer = await org.admin.get(ORGANIZATIONS_PATH + query)
    assert answer.status == 400
    assert answer.json["error"]["message"].startswith(said)
