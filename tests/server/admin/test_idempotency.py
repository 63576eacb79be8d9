"""Requests that are sent again with their `Idempotency-Key`."""

import os
from datetime import timedelta

import pytest

from antiphon.server.app import ORGANIZATIONS_PATH
from antiphon.service.admin.keys import KeyRing
from antiphon.service.admin.transactions import COMMAND_LINE, AdminTransactions
from antiphon.store.accounts import KeyKind
from antiphon.wire.admin.keys import CreateKeyParams
from support.organization import StartOrganization

pytestmark = pytest.mark.anyio


@pytest.mark.covers("administration: Idempotency-Key", "effect")
async def test_repeated_request_makes_one_key(
    organization: StartOrganization,
) -> None:
    org = await organization()
    named = {"idempotency_key": "a-lost-answer"}
    made = await org.post("/api_keys", {"name": "laptop"}, **named)
    assert await org.post("/api_keys", {"name": "laptop"}, **named) == made
    assert len((await org.get("/api_keys"))["data"]) == 2
    assert [entry["action"] for entry in await org.audit()] == ["api_key.create"]
    assert (await org.caller_with(made["secret"]).create()).status == 200
    other = await org.admin.post(f"{ORGANIZATIONS_PATH}/api_keys", {"name": "desk"}, **named)
    assert other.error[::2] == (400, "Idempotency-Key: it has been used for another request")
    org.clock.now += timedelta(hours=24, seconds=1)
    later = await org.post("/api_keys", {"name": "laptop"}, **named)
    assert later["id"] != made["id"]


async def test_repeated_rotation_returns_the_same_secret(
    organization: StartOrganization,
) -> None:
    org = await organization()
    made = await org.post("/api_keys", {"name": "laptop"})
    path, named = f"/api_keys/{made['id']}/rotate", {"idempotency_key": "once"}
    rotated = await org.post(path, {"grace_period_seconds": 0}, **named)
    assert await org.post(path, {"grace_period_seconds": 0}, **named) == rotated
    assert rotated["secret"] != made["secret"]
    assert (await org.caller_with(rotated["secret"]).create()).status == 200


async def test_idempotency_key_of_another_administrator_gets_another_key(
    organization: StartOrganization,
) -> None:
    org = await organization()
    ring = KeyRing(AdminTransactions(org.platform.database, os.urandom, org.clock), tuple(KeyKind))
    second = await ring.create_admin(COMMAND_LINE, CreateKeyParams(name="second"))
    named = {"idempotency_key": "same-name"}
    made = await org.post("/api_keys", {"name": "laptop"}, **named)
    others = await org.admin.post(
        f"{ORGANIZATIONS_PATH}/api_keys", {"name": "laptop"}, x_api_key=str(second.secret), **named
    )
    assert others.status == 200
    assert others.json["id"] != made["id"]
    assert others.json["secret"] != made["secret"]


@pytest.mark.parametrize("called", ["", "x" * 256, "\x01"])
async def test_unprintable_idempotency_key_is_refused(
    organization: StartOrganization, called: str
) -> None:
    org = await organization()
    refused = await org.admin.post(
        f"{ORGANIZATIONS_PATH}/api_keys", {"name": "k"}, idempotency_key=called
    )
    assert refused.error[0] == 400
    assert refused.error[2].startswith("Idempotency-Key: Input should be 1 to 255")
