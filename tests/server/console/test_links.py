"""The links of the setup, of invites and of the operator work once."""

import asyncio

import pytest

from antiphon import __version__
from support.browser import ADA, PASSWORD, Browser, token_of
from support.console import BASE, console_of, set_up, setup_token
from support.organization import StartOrganization

pytestmark = pytest.mark.anyio

SESSION = "/v1/console/session"
NEW = "another battery staple"


@pytest.mark.sql_elsewhere
async def test_setup_makes_the_first_administrator(on_both_databases: StartOrganization) -> None:
    org = await on_both_databases()
    stranger = Browser(org.app)
    assert (await stranger.get("/v1/console")).json == {
        "type": "console",
        "version": __version__,
        "setup_needed": True,
        "passwords": True,
        "oidc": None,
    }
    browser = await set_up(org)
    assert (await stranger.get("/v1/console")).json["setup_needed"] is False
    session = (await browser.get(SESSION)).json
    me = await org.get("/me")
    (workspace,) = (await org.get("/workspaces?include_default=true"))["data"]
    assert session == {
        "type": "session",
        "user": session["user"],
        "organization": me,
        "permissions": session["permissions"],
        "workspaces": [
            {
                "id": workspace["id"],
                "name": "Default",
                "workspace_role": None,
                "is_default": True,
            }
        ],
        "expires_at": "2026-12-07T12:00:00Z",
        "sign_out_of": None,
    }
    assert session["user"] == await org.get(f"/users/{session['user']['id']}")
    assert (session["user"]["email"], session["user"]["role"]) == (ADA, "admin")
    assert {"keys.write", "members.write", "audit.read"} <= set(session["permissions"])


async def test_invite_has_a_link_once(organization: StartOrganization) -> None:
    org = await organization()
    await set_up(org)
    invite = await org.post(
        "/invites", {"email": "bob@example.org", "role": "developer"}, host="box.example.org:8000"
    )
    assert invite["link"].startswith("http://box.example.org:8000/console/invite#token=")
    assert "link" not in await org.get(f"/invites/{invite['id']}")
    token = token_of(invite["link"])
    assert token not in str(await org.get("/audit_log"))
    browser = Browser(org.app)
    body = {"token": token, "name": "Bob", "password": PASSWORD}
    answer = await browser.post("/v1/console/invites/accept", body)
    assert (answer.json["user"]["email"], answer.json["user"]["role"]) == (
        "bob@example.org",
        "developer",
    )
    assert (await org.get(f"/invites/{invite['id']}"))["status"] == "accepted"
    assert (await Browser(org.app).post("/v1/console/invites/accept", body)).status == 401


async def test_url_of_the_settings_stands_in_links(organization: StartOrganization) -> None:
    org = await organization({"console": {"url": "https://claude.example.org/"}})
    link = (await org.invite())["link"]
    assert link.startswith("https://claude.example.org/console/invite#token=")


@pytest.mark.parametrize("end", ["deleted", "accepted by an administrator", "expired"])
async def test_link_of_an_invite_that_is_over_is_refused(
    organization: StartOrganization, end: str
) -> None:
    org = await organization()
    await set_up(org)
    invite = await org.invite("bob@example.org")
    if end == "deleted":
        await org.delete(f"/invites/{invite['id']}")
    elif end == "expired":
        org.clock.passes(days=21)
    else:
        await org.post(f"/invites/{invite['id']}/accept", {"name": "Bob"})
    body = {"token": token_of(invite["link"]), "name": "Bob", "password": PASSWORD}
    answer = await Browser(org.app).post("/v1/console/invites/accept", body)
    assert answer.status == 401


async def test_link_of_the_operator_signs_in_and_resets_the_password(
    organization: StartOrganization,
) -> None:
    org = await organization()
    browser = await set_up(org)
    user_id = (await browser.get(SESSION)).json["user"]["id"]
    links = console_of(org).links
    assert await links.to_set_up(BASE) is None
    link = await links.to_sign_in(BASE, user_id)
    assert link.startswith(f"{BASE}/console/sign-in#token=")
    reset = Browser(org.app)
    answer = await reset.post("/v1/console/session/link", {"token": token_of(link)})
    assert answer.json["user"]["id"] == user_id
    again = await Browser(org.app).post("/v1/console/session/link", {"token": token_of(link)})
    assert again.status == 401
    assert (await reset.post("/v1/console/password", {"new_password": NEW})).status == 200
    # The new session has begun with no link.
    answer = await reset.post("/v1/console/password", {"new_password": PASSWORD})
    assert answer.error[2] == "current_password: Field required"
    assert (await Browser(org.app).sign_in(password=NEW)).status == 200


async def test_session_of_a_link_needs_the_password_after_a_while(
    organization: StartOrganization,
) -> None:
    org = await organization()
    browser = await set_up(org)
    user_id = (await browser.get(SESSION)).json["user"]["id"]
    link = await console_of(org).links.to_sign_in(BASE, user_id)
    other = Browser(org.app)
    await other.post("/v1/console/session/link", {"token": token_of(link)})
    org.clock.passes(minutes=15)
    answer = await other.post("/v1/console/password", {"new_password": NEW})
    assert answer.error[2] == "current_password: Field required"


async def test_link_of_the_operator_works_for_ten_minutes(organization: StartOrganization) -> None:
    org = await organization()
    browser = await set_up(org)
    user_id = (await browser.get(SESSION)).json["user"]["id"]
    link = await console_of(org).links.to_sign_in(BASE, user_id)
    org.clock.passes(minutes=10)
    answer = await Browser(org.app).post("/v1/console/session/link", {"token": token_of(link)})
    assert answer.status == 401


async def test_setup_link_works_for_a_day(organization: StartOrganization) -> None:
    org = await organization()
    token = await setup_token(org)
    org.clock.passes(days=1)
    body = {"token": token, "email": ADA, "name": "Ada", "password": PASSWORD}
    assert (await Browser(org.app).post("/v1/console/setup", body)).status == 401


async def test_setup_gives_a_user_of_the_command_line_the_role_and_a_password(
    organization: StartOrganization,
) -> None:
    org = await organization()
    user = await org.add_user("ada")
    browser = await set_up(org)
    session = (await browser.get(SESSION)).json
    assert session["user"] == {**user, "role": "admin"}


async def test_of_two_setups_at_once_one_is_made(on_both_databases: StartOrganization) -> None:
    org = await on_both_databases()
    tokens = [await setup_token(org) for _ in range(2)]
    answers = await asyncio.gather(
        *(
            Browser(org.app).post(
                "/v1/console/setup",
                {
                    "token": token,
                    "email": f"{name}@example.org",
                    "name": name,
                    "password": PASSWORD,
                },
            )
            for token in tokens
            for name in ("ada", "bob")
        )
    )
    assert sorted(answer.status for answer in answers) == [200, 401, 401, 401]
    assert len((await org.get("/users"))["data"]) == 1
    assert await console_of(org).links.to_set_up(BASE) is None
