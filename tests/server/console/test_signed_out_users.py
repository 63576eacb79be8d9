"""An administrator ends the sessions of a user."""

import pytest

from antiphon.server.app import ORGANIZATIONS_PATH
from support.browser import Browser, token_of
from support.console import BASE, console_of, member, post, set_up
from support.organization import StartOrganization

pytestmark = pytest.mark.anyio

SESSION = "/v1/console/session"


@pytest.mark.covers("administration: POST /users/{user}/sign_out", "effect")
async def test_sessions_and_links_of_the_user_end_and_no_others(
    on_both_databases: StartOrganization,
) -> None:
    org = await on_both_databases()
    admin = await set_up(org)
    first, user_id = await member(org, "bob", "developer")
    second = Browser(org.app)
    await second.sign_in("bob@example.org")
    link = await console_of(org).links.to_sign_in(BASE, user_id)
    answer = await post(admin, f"/users/{user_id}/sign_out")
    assert answer == {"id": user_id, "type": "user_signed_out", "sessions": 2}
    for browser in (first, second):
        assert (await browser.get(SESSION)).status == 401
    body = {"token": token_of(link)}
    assert (await Browser(org.app).post("/v1/console/session/link", body)).status == 401
    assert (await admin.get(SESSION)).status == 200
    entries = [one for one in await org.audit() if one["action"] == "session.delete_all"]
    assert [(one["actor"]["type"], one["object"]["id"]) for one in entries] == [("user", user_id)]
    # The password is as good as before.
    assert (await second.sign_in("bob@example.org")).status == 200


async def test_administrators_can_be_signed_out_and_nobody_is_not_found(
    organization: StartOrganization,
) -> None:
    org = await organization()
    admin = await set_up(org)
    user_id = (await admin.get(SESSION)).json["user"]["id"]
    # With a key, as a script would.
    assert (await org.post(f"/users/{user_id}/sign_out"))["sessions"] == 1
    assert (await admin.get(SESSION)).status == 401
    assert (await org.refusal("/users/user_01nobody/sign_out"))[0] == 404


@pytest.mark.parametrize("role", ["developer", "billing", "user"])
async def test_others_end_nobodys_sessions(organization: StartOrganization, role: str) -> None:
    org = await organization()
    admin = await set_up(org)
    user_id = (await admin.get(SESSION)).json["user"]["id"]
    browser, _ = await member(org, "bob", role)
    answer = await browser.post(f"{ORGANIZATIONS_PATH}/users/{user_id}/sign_out")
    assert answer.error[:2] == (403, "permission_error")
    assert (await admin.get(SESSION)).status == 200
