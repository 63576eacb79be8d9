"""Concurrent requests of administrators, on both databases."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from antiphon.server.app import ORGANIZATIONS_PATH
from support.organization import StartOrganization

pytestmark = pytest.mark.anyio


async def at_once(*requests: Awaitable[Any]) -> list[Any]:
    return await asyncio.gather(*requests)


async def test_key_made_while_its_workspace_is_archived_never_works(
    on_both_databases: StartOrganization,
) -> None:
    org = await on_both_databases()
    for _ in range(5):
        workspace = (await org.post("/workspaces", {"name": "w"}))["id"]
        body = {"name": "k", "scope": {"type": "workspace", "workspace_id": workspace}}
        make = [org.admin.post(f"{ORGANIZATIONS_PATH}/api_keys", body) for _ in range(6)]
        archive = org.admin.post(f"{ORGANIZATIONS_PATH}/workspaces/{workspace}/archive", {})
        answers = await at_once(*make[:3], archive, *make[3:])
        assert {answer.status for answer in answers} <= {200, 400}
        keys = (await org.get(f"/api_keys?workspace_id={workspace}&limit=100"))["data"]
        assert {key["status"] for key in keys} <= {"archived"}
        made = [one for one in answers if one.status == 200 and "secret" in one.json]
        for one in made:
            assert (await org.caller_with(one.json["secret"]).create()).status == 401


async def test_concurrent_invites_and_acceptances_succeed_once(
    on_both_databases: StartOrganization,
) -> None:
    org = await on_both_databases()
    body = {"email": "a@b.c", "role": "user"}
    invited = await at_once(
        *(org.admin.post(f"{ORGANIZATIONS_PATH}/invites", body) for _ in range(6))
    )
    assert sorted(one.status for one in invited) == [200, *[400] * 5]
    invite = next(one.json["id"] for one in invited if one.status == 200)
    accept = f"{ORGANIZATIONS_PATH}/invites/{invite}/accept"
    accepted = await at_once(*(org.admin.post(accept, {"name": "A"}) for _ in range(6)))
    assert sorted(one.status for one in accepted) == [200, *[400] * 5]
    assert len(await org.audit()) == 2


async def test_key_rotated_while_it_is_archived_never_works(
    on_both_databases: StartOrganization,
) -> None:
    org = await on_both_databases()
    for _ in range(5):
        key = (await org.post("/api_keys", {"name": "k"}))["id"]
        path = f"{ORGANIZATIONS_PATH}/api_keys/{key}"
        rotate = [org.admin.post(f"{path}/rotate", {}) for _ in range(4)]
        archive = org.admin.post(path, {"status": "archived"})
        answers = await at_once(*rotate[:2], archive, *rotate[2:])
        log = (await org.get(f"/audit_log?object_id={key}"))["data"]
        assert len(log) == 1 + sum(one.status == 200 for one in answers)
        for one in answers:
            if one.status == 200 and "secret" in one.json:
                assert (await org.caller_with(one.json["secret"]).create()).status == 401


async def test_concurrent_renames_form_one_chain_in_the_audit_log(
    on_both_databases: StartOrganization,
) -> None:
    org = await on_both_databases()
    workspace = (await org.post("/workspaces", {"name": "0"}))["id"]
    path = f"{ORGANIZATIONS_PATH}/workspaces/{workspace}"
    await at_once(*(org.admin.post(path, {"name": str(n)}) for n in range(1, 8)))
    log = (await org.get(f"/audit_log?object_id={workspace}"))["data"]
    followed = {(one["before"] or {}).get("name"): one["after"]["name"] for one in log}
    name: str | None = None
    for _ in range(8):
        name = followed[name]
    assert name == (await org.get(f"/workspaces/{workspace}"))["name"]


async def test_concurrent_requests_with_one_idempotency_key_make_one_key(
    on_both_databases: StartOrganization,
) -> None:
    org = await on_both_databases()
    same = [
        org.admin.post(f"{ORGANIZATIONS_PATH}/api_keys", {"name": "k"}, idempotency_key="once")
        for _ in range(6)
    ]
    answers = await at_once(*same)
    assert {one.status for one in answers} == {200}
    assert len({one.json["secret"] for one in answers}) == 1
    assert len(await org.audit()) == 1
