"""Invalid requests of administrators: a clear error, and nothing is changed."""

from itertools import product

import pytest

from support.organization import NOT_A_PAGE, Organization, StartOrganization

pytestmark = pytest.mark.anyio

UNREADABLE = "Input should be printable characters, not only spaces"


async def test_unprintable_names_are_refused(on_both_databases: StartOrganization) -> None:
    org = await on_both_databases()
    workspace = (await org.post("/workspaces", {"name": "w"}))["id"]
    key = (await org.post("/api_keys", {"name": "k"}))["id"]
    invite = (await org.post("/invites", {"email": "a@b.c", "role": "user"}))["id"]
    paths = (
        "/workspaces",
        f"/workspaces/{workspace}",
        "/api_keys",
        f"/api_keys/{key}",
        f"/invites/{invite}/accept",
    )
    for path, name in product(paths, (" ", "a\x00b", "\x1b[2J", "a\nb", "\u202eabc", "\ufeff")):
        assert await org.refused_without_change(path, {"name": name}) == (
            400,
            f"name: {UNREADABLE}",
        ), (path, name)


async def test_unprintable_email_addresses_are_refused(
    on_both_databases: StartOrganization,
) -> None:
    org = await on_both_databases()
    body = {"email": "a\x00@b.c", "role": "user"}
    assert await org.refused_without_change("/invites", body) == (400, f"email: {UNREADABLE}")


async def test_unknown_ids_are_404_to_change_and_change_nothing(
    on_both_databases: StartOrganization,
) -> None:
    org = await on_both_databases()
    workspace = (await org.post("/workspaces", {"name": "w"}))["id"]
    for wrong in ("none", "a\x00b", "wrkspc_01", "x" * 5000):
        await changes_nothing(org, workspace, wrong)


async def changes_nothing(org: Organization, workspace: str, wrong: str) -> None:
    """Try to change what has an id that does not exist, in every way."""
    user = {"user_id": wrong, "workspace_role": "workspace_user"}
    limits = {"limits": [{"type": "requests_per_minute", "value": 5}]}
    for path, body in (
        (f"/workspaces/{wrong}", {"name": "x"}),
        (f"/workspaces/{wrong}/archive", {}),
        (f"/workspaces/{wrong}/members", user),
        (f"/workspaces/{workspace}/members", user),
        (f"/workspaces/{workspace}/members/{wrong}", {"workspace_role": "workspace_user"}),
        (f"/workspaces/{wrong}/rate_limits/rl_scripted", limits),
        (f"/api_keys/{wrong}", {"name": "x"}),
        (f"/api_keys/{wrong}/rotate", {}),
        (f"/api_keys/{wrong}/rate_limits/rl_scripted", limits),
        (f"/users/{wrong}", {"role": "user"}),
        (f"/invites/{wrong}/accept", {"name": "x"}),
        ("/api_keys", {"name": "k", "created_by_user_id": wrong}),
        ("/api_keys", {"name": "k", "scope": {"type": "workspace", "workspace_id": wrong}}),
    ):
        assert (await org.refused_without_change(path, body))[0] == 404, (path, wrong)
    for path in ("users", "invites"):
        assert (await org.refused_without_change(f"/{path}/{wrong}", None, "DELETE"))[0] == 404


async def test_unknown_ids_are_404_to_read_and_to_limit(organization: StartOrganization) -> None:
    org = await organization()
    for path in ("users", "invites", "workspaces", "api_keys", "spend_limits"):
        assert (await org.refusal(f"/{path}/none", method="GET"))[0] == 404
    limits = {"limits": [{"type": "requests_per_minute", "value": 5}]}
    assert (await org.refusal("/rate_limits/rl_none", limits))[0] == 404
    key_scope = {"type": "api_key", "api_key_id": "apikey_none"}
    assert (await org.refusal("/spend_limits", {"scope": key_scope, "amount": "5"}))[0] == 404


async def test_unprintable_queries_are_refused(on_both_databases: StartOrganization) -> None:
    org = await on_both_databases()
    for query in (
        "api_keys?workspace_id=a%00b",
        "audit_log?object_id=%00",
        "users?email=%1b",
        "audit_log?page=page_MSAA",
        "usage_report/messages?starting_at=2026-11-01T00:00:00Z&models[]=%00",
    ):
        assert (await org.refusal(f"/{query}", None, "GET"))[0] == 400, query


async def test_invalid_query_is_refused_by_its_parameter(organization: StartOrganization) -> None:
    org = await organization()
    for query, message in (
        ("/users?roles[]=boss", "roles.0: Input should be 'billing', 'claude_code_user', "),
        ("/users?zzz=1", "zzz: Extra inputs are not permitted"),
        ("/users?limit=0", "limit: Input should be greater than or equal to 1"),
        ("/users?after_id=user_x", "after_id: no such id: user_x"),
        ("/workspaces?include_default=maybe", "include_default: Input should be a valid boolean"),
        ("/api_keys?status=lost", "status: Input should be 'active', 'inactive', "),
        ("/audit_log?page=x", NOT_A_PAGE),
        ("/spend_limits?page=page_9", NOT_A_PAGE),
        ("/rate_limits?group_type=x", "group_type: Input should be 'batch', "),
    ):
        status, said = await org.refusal(query, method="GET")
        assert (status, said[: len(message)]) == (400, message), query


async def test_unknown_query_parameter_is_refused(organization: StartOrganization) -> None:
    org = await organization()
    workspace = (await org.post("/workspaces", {"name": "w"}))["id"]
    invite = (await org.post("/invites", {"email": "a@b.c", "role": "user"}))["id"]
    user = (await org.post(f"/invites/{invite}/accept", {"name": "A"}))["id"]
    for method, path in (
        ("GET", "/me"),
        ("GET", "/users/{user}"),
        ("POST", "/workspaces"),
        ("POST", "/workspaces/{workspace}"),
        ("POST", "/workspaces/{workspace}/archive"),
        ("POST", "/api_keys"),
        ("DELETE", "/users/{user}"),
    ):
        query = path.format(workspace=workspace, user=user) + "?limit=1"
        assert await org.refused_without_change(query, {"name": "x"}, method) == (
            400,
            "limit: Extra inputs are not permitted",
        ), (method, path)


@pytest.mark.parametrize("body", [b"[]", b"null", b'"x"', b"5", b"{", b"\xff", b'{"a": 1}'])
async def test_body_that_is_not_the_expected_object_is_refused(
    organization: StartOrganization, body: bytes
) -> None:
    org = await organization()
    workspace = (await org.post("/workspaces", {"name": "w"}))["id"]
    key = (await org.post("/api_keys", {"name": "k"}))["id"]
    for path in ("/workspaces", f"/workspaces/{workspace}/archive", f"/api_keys/{key}/rotate"):
        assert (await org.refused_without_change(path, body))[0] == 400, path
