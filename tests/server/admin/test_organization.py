"""The organization itself, and who may use the Admin API."""

import pytest

from antiphon.server.app import ORGANIZATIONS_PATH
from support.organization import StartOrganization

pytestmark = pytest.mark.anyio


@pytest.mark.covers("administration: GET /me", "effect")
async def test_me_is_the_organization_of_the_admin_key(organization: StartOrganization) -> None:
    org = await organization()
    me = await org.get("/me")
    assert me == {"id": me["id"], "type": "organization", "name": "Antiphon"}
    answer = await org.caller.create()
    assert answer.headers["anthropic-organization-id"] == me["id"]


@pytest.mark.covers("administration: admin keys apart from others", "effect")
async def test_admin_keys_cannot_call_models_and_others_cannot_administer(
    organization: StartOrganization,
) -> None:
    org = await organization()
    assert (await org.admin.create()).error[:2] == (403, "permission_error")
    refused = await org.caller.get(f"{ORGANIZATIONS_PATH}/me")
    assert refused.error[:2] == (403, "permission_error")
    answer = await org.admin.get(f"{ORGANIZATIONS_PATH}/me")
    assert "anthropic-workspace-id" not in answer.headers


async def test_unknown_route_is_404_and_unknown_method_405(organization: StartOrganization) -> None:
    org = await organization()
    assert (await org.admin.get(f"{ORGANIZATIONS_PATH}/nothing")).status == 404
    assert (await org.admin.start("PUT", f"{ORGANIZATIONS_PATH}/users").task).status == 405
