"""Signing in by an OpenID provider: who comes in, as which user, with which role."""

import re
import sys
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from antiphon.service.admin.transactions import COMMAND_LINE
from antiphon.settings import SettingsError
from antiphon.store.organizations import find_user
from support.browser import ADA, HOST, PASSWORD, Browser, token_of
from support.console import BASE, console_of, member, set_up
from support.openid import (
    IDENTITY,
    FakeProvider,
    begin,
    link,
    on_both_databases_with,
    public_jwk,
    sign_in,
    signed,
    there,
)
from support.organization import Organization, StartOrganization

__all__ = ["on_both_databases_with", "there"]

pytestmark = pytest.mark.anyio

SESSION = "/v1/console/session"
BACK = f"http://{HOST}/console/oidc"


async def actions(org: Organization) -> list[str]:
    return [entry["action"] for entry in await org.audit()]


async def test_provider_is_told_what_binds_its_answer(
    organization: StartOrganization, there: FakeProvider
) -> None:
    org = await organization(there.settings())
    browser = Browser(org.app)
    shown = (await browser.get("/v1/console")).json
    assert (shown["oidc"], shown["passwords"]) == ({"name": "Example"}, True)
    query = parse_qs(urlsplit(await begin(browser)).query)
    assert query["redirect_uri"] == [BACK]
    assert query["scope"] == ["openid email profile"]
    again = parse_qs(urlsplit(await begin(browser)).query)
    for name in ("state", "nonce", "code_challenge"):
        assert query[name] != again[name]
    # Asked once: description and keys are kept.
    assert there.paths == ["/.well-known/openid-configuration"]


async def test_cookie_of_the_request_is_for_this_host_and_for_minutes(
    organization: StartOrganization, there: FakeProvider
) -> None:
    org = await organization(there.settings())
    answer = await Browser(org.app).post("/v1/console/oidc")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("antiphon_oidc=")
    assert "; Path=/; Max-Age=600; HttpOnly; SameSite=Strict" in cookie
    cookie = (await Browser(org.app, https=True).post("/v1/console/oidc")).headers["set-cookie"]
    assert cookie.startswith("__Host-antiphon_oidc=")
    assert cookie.endswith("; Secure")


async def test_invited_person_becomes_a_user_with_the_role_of_the_invite(
    on_both_databases_with: Any, there: FakeProvider
) -> None:
    org = await on_both_databases_with(there.settings())
    await set_up(org)
    invite = await org.invite("Bob@Example.org", "billing")
    browser = Browser(org.app)
    answer = await sign_in(there, browser, email="BOB@example.org", name="Bob Ross")
    assert answer.status == 200, answer.json
    user = answer.json["user"]
    assert (user["email"], user["name"], user["role"]) == ("bob@example.org", "Bob Ross", "billing")
    assert (await org.get(f"/invites/{invite['id']}"))["status"] == "accepted"
    assert {"user.create", "identity.create", "session.create"} <= set(await actions(org))
    sessions = [one["after"] for one in await org.audit() if one["action"] == "session.create"]
    assert {(one["id"], one["by"]) for one in sessions} >= {(user["id"], "oidc")}
    assert (await browser.get(SESSION)).status == 200
    # Nothing but the link of the invite would have made another one.
    body = {"token": token_of(invite["link"]), "name": "Eve", "password": PASSWORD}
    assert (await Browser(org.app).post("/v1/console/invites/accept", body)).status == 401


async def test_user_is_the_subject_and_not_the_address(
    organization: StartOrganization, there: FakeProvider
) -> None:
    org = await organization(there.settings())
    await set_up(org)
    await org.invite("bob@example.org")
    bob = (await sign_in(there, Browser(org.app), sub="1")).json["user"]
    # The address changes at the provider: it is the same person.
    again = await sign_in(there, Browser(org.app), sub="1", email="robert@example.org")
    assert again.json["user"] == bob
    # The address belongs to somebody else now: that is another person.
    other = await sign_in(there, Browser(org.app), sub="2", email="bob@example.org")
    assert other.error[:2] == (403, "permission_error")
    assert "by another account there" in other.error[2]


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({}, "You have no account here"),
        ({"email_verified": False}, "does not say that your e-mail address is verified"),
        ({"email_verified": None}, "does not say that your e-mail address is verified"),
        ({"email_verified": 1}, "does not say that your e-mail address is verified"),
        ({"email": None}, "does not say that your e-mail address is verified"),
        ({"email": "bob"}, "does not say that your e-mail address is verified"),
    ],
)
async def test_stranger_stays_outside(
    organization: StartOrganization,
    there: FakeProvider,
    caplog: pytest.LogCaptureFixture,
    claims: dict[str, Any],
    said: str,
) -> None:
    org = await organization(there.settings())
    await set_up(org)
    if claims:
        await org.invite("bob@example.org")
    browser = Browser(org.app)
    answer = await sign_in(there, browser, **claims)
    assert answer.error[:2] == (403, "permission_error")
    assert said in answer.error[2]
    assert browser.session is None
    assert "sign-in by OpenID Connect refused" in caplog.messages
    assert "bob@example.org" not in "".join(str(vars(record)) for record in caplog.records)
    assert [user["email"] for user in (await org.get("/users"))["data"]] == [ADA]


@pytest.mark.parametrize(("verified", "status"), [(None, 200), (False, 403)])
async def test_trusted_provider_need_not_say_that_an_address_is_verified(
    organization: StartOrganization, there: FakeProvider, verified: bool | None, status: int
) -> None:
    org = await organization(there.settings(trust_addresses=True))
    await set_up(org)
    await org.invite("bob@example.org")
    assert (await sign_in(there, Browser(org.app), email_verified=verified)).status == status


async def test_new_person_gets_the_role_of_the_settings(
    organization: StartOrganization, there: FakeProvider
) -> None:
    org = await organization(there.settings(new_users="user", domains=["example.org"]))
    answer = await sign_in(there, Browser(org.app), name="\n")
    assert (answer.json["user"]["role"], answer.json["user"]["name"]) == ("user", "bob")
    for address in ("eve@evil.org", "eve@example.org.evil.org", "eve@sub.example.org"):
        refused = await sign_in(there, Browser(org.app), sub="eve", email=address)
        assert "may not sign in here" in refused.error[2]
    # Whoever has left the domain does not come in any more.
    left = await sign_in(there, Browser(org.app), email="bob@evil.org")
    assert left.status == 403


async def test_claims_say_who_comes_in_and_as_what(
    organization: StartOrganization, there: FakeProvider
) -> None:
    org = await organization(
        there.settings(
            new_users="user",
            claims={"groups": "staff"},
            role_claim="realm_access.roles",
            roles={"builders": "developer", "money": "billing"},
        )
    )

    async def role(*groups: str, roles: list[str]) -> str:
        claims = {"groups": list(groups), "realm_access": {"roles": roles}}
        answer = await sign_in(there, Browser(org.app), **claims)
        return str(answer.json["user"]["role"]) if answer.status == 200 else answer.error[1]

    assert await role("guests", roles=["builders"]) == "permission_error"
    assert await role("staff", "more", roles=["money", "builders"]) == "developer"
    assert await role("staff", roles=["money"]) == "billing"
    # A role that is taken away there is taken away here.
    assert await role("staff", roles=[]) == "user"
    assert await role(roles=["builders"]) == "permission_error"
    changes = [one["actor"]["type"] for one in await org.audit() if one["action"] == "user.update"]
    assert changes == ["user", "user"]


async def test_no_claim_makes_or_unmakes_an_administrator(
    organization: StartOrganization, there: FakeProvider
) -> None:
    settings = there.settings(
        new_users="user", domains=["*"], role_claim="groups", roles={"x": "developer"}
    )
    org = await organization(settings)
    browser = await set_up(org)
    assert (await link(there, browser, groups=["x"])).status == 200
    answer = await sign_in(there, Browser(org.app), groups=["x"])
    assert answer.json["user"]["role"] == "admin"


async def test_person_with_a_password_links_the_account_once(
    organization: StartOrganization, there: FakeProvider
) -> None:
    org = await organization(there.settings())
    await set_up(org)
    browser, user_id = await member(org, "bob", "developer")
    refused = await sign_in(there, Browser(org.app))
    assert refused.error[:2] == (403, "permission_error")
    assert "link your account on the page Account" in refused.error[2]
    assert (await browser.get(IDENTITY)).json == {
        "type": "identity",
        "has_password": True,
        "linked_at": None,
    }
    wrong = await browser.post(f"{IDENTITY}/request", {"current_password": "wrong"})
    assert wrong.error[2] == "current_password: this is not your password"
    # The account there may have another address: the user was signed in here.
    linked = await link(there, browser, email="robert@example.org")
    assert linked.json["linked_at"] == "2026-11-23T12:00:00Z"
    answer = await sign_in(there, Browser(org.app), email="robert@example.org")
    assert answer.json["user"]["id"] == user_id
    assert (await browser.delete(IDENTITY)).json["linked_at"] is None
    assert (await sign_in(there, Browser(org.app))).status == 403
    assert "identity.delete" in await actions(org)


async def test_account_that_may_not_sign_in_is_not_linked(
    organization: StartOrganization, there: FakeProvider
) -> None:
    org = await organization(there.settings(domains=["example.org"]))
    browser = await set_up(org)
    answer = await link(there, browser, email="ada@evil.org")
    assert answer.error[:2] == (403, "permission_error")
    assert (await browser.get(IDENTITY)).json["linked_at"] is None


async def test_account_of_another_user_is_not_linked(
    organization: StartOrganization, there: FakeProvider
) -> None:
    org = await organization(there.settings())
    await set_up(org)
    bob, _ = await member(org, "bob", "developer")
    eve, _ = await member(org, "eve", "developer")
    assert (await link(there, bob, sub="bob")).status == 200
    answer = await link(there, eve, sub="bob")
    assert answer.error[2] == "This account there belongs to another user."
    # Another account in place of the first is fine.
    assert (await link(there, bob, sub="robert")).status == 200
    assert (await link(there, eve, sub="bob")).status == 200


@pytest.mark.parametrize("role", ["admin", "developer"])
async def test_address_opens_an_account_without_a_password_but_no_administrators(
    organization: StartOrganization, there: FakeProvider, role: str
) -> None:
    org = await organization(there.settings())
    await set_up(org)
    user = await org.add_user("bob")
    if role == "admin":
        people = org.platform.administration.people
        async with org.platform.database.read() as connection:
            known = await find_user(connection, user["id"])
        assert known is not None
        await people.make_admin(COMMAND_LINE, known)
    answer = await sign_in(there, Browser(org.app))
    assert answer.status == (403 if role == "admin" else 200)


async def test_operator_may_let_addresses_open_accounts(
    organization: StartOrganization, there: FakeProvider
) -> None:
    org = await organization(there.settings(link="address"))
    await set_up(org)
    answer = await sign_in(there, Browser(org.app), email=ADA)
    assert answer.json["user"]["role"] == "admin"
    unverified = await sign_in(there, Browser(org.app), sub="eve", email=ADA, email_verified=False)
    assert unverified.status == 403


async def test_removed_user_comes_back_by_an_invite_alone(
    on_both_databases_with: Any, there: FakeProvider
) -> None:
    org = await on_both_databases_with(there.settings(new_users="user", domains=["*"]))
    await set_up(org)
    browser = Browser(org.app)
    user = (await sign_in(there, browser)).json["user"]
    await org.delete(f"/users/{user['id']}")
    assert (await browser.get(SESSION)).status == 401
    answer = await sign_in(there, Browser(org.app))
    assert "Ask an administrator to invite you" in answer.error[2]
    await org.invite("bob@example.org", "developer")
    back = await sign_in(there, Browser(org.app))
    assert back.json["user"]["role"] == "developer"
    assert back.json["user"]["id"] != user["id"]


async def test_passwords_can_be_switched_off(
    organization: StartOrganization, there: FakeProvider
) -> None:
    settings = {**there.settings(), "console": {"passwords": False}}
    org = await organization(settings)
    browser = await set_up(org)
    assert (await browser.get("/v1/console")).json["passwords"] is False
    denied = (403, "permission_error", "Signing in by a password is switched off on this server.")
    assert (await Browser(org.app).sign_in()).error == denied
    body = {"current_password": PASSWORD, "new_password": "another battery staple"}
    assert (await browser.post("/v1/console/password", body)).error == denied
    invite = await org.invite("bob@example.org")
    body = {"token": token_of(invite["link"]), "name": "Bob", "password": PASSWORD}
    assert (await Browser(org.app).post("/v1/console/invites/accept", body)).error == denied
    assert (await sign_in(there, Browser(org.app))).status == 200
    assert (await link(there, browser, sub="ada", email=ADA)).status == 200
    assert (await sign_in(there, Browser(org.app), sub="ada")).json["user"]["email"] == ADA


async def test_user_without_a_password_keeps_the_account_of_the_provider(
    organization: StartOrganization, there: FakeProvider
) -> None:
    org = await organization(there.settings())
    await set_up(org)
    await org.invite("bob@example.org")
    browser = Browser(org.app)
    user = (await sign_in(there, browser)).json["user"]
    assert (await browser.get(IDENTITY)).json["has_password"] is False
    answer = await browser.delete(IDENTITY)
    assert answer.error[2].startswith("You have no password, and could not sign in any more.")
    # Whoever has stolen the session cannot link another account either.
    refused = await browser.post(f"{IDENTITY}/request", {"current_password": "x"})
    assert refused.status == 400
    reset = Browser(org.app)
    operators = await console_of(org).links.to_sign_in(BASE, user["id"])
    await reset.post("/v1/console/session/link", {"token": token_of(operators)})
    assert (await reset.post(f"{IDENTITY}/request")).status == 200


async def test_provider_tells_on_demand_what_the_token_leaves_out(
    organization: StartOrganization, there: FakeProvider
) -> None:
    org = await organization(there.settings(new_users="user", domains=["example.org"]))
    there.user_info = {"sub": "7", "email": "bob@example.org", "email_verified": True}
    bare = {"sub": "7", "email": None, "email_verified": None}
    there.make_token = lambda claims: signed(
        {name: value for name, value in claims.items() if value is not None}
    )
    assert (await sign_in(there, Browser(org.app), **bare)).status == 200
    there.user_info["sub"] = "8"
    refused = await sign_in(there, Browser(org.app), **bare)
    assert refused.error[:2] == (401, "authentication_error")


async def test_check_of_another_address_does_not_count(
    organization: StartOrganization, there: FakeProvider
) -> None:
    """The token has an address, and on demand there is a verified one: it is another one."""
    org = await organization(there.settings(new_users="user", domains=["*"]))
    there.user_info = {"sub": "7", "email": "own@example.org", "email_verified": True}
    there.make_token = lambda claims: signed(
        {name: value for name, value in claims.items() if value is not None}
    )
    answer = await sign_in(there, Browser(org.app), sub="7", email=ADA, email_verified=None)
    assert "does not say that your e-mail address is verified" in answer.error[2]
    there.user_info["email"] = ADA
    answer = await sign_in(there, Browser(org.app), sub="7", email=ADA, email_verified=None)
    assert answer.json["user"]["email"] == ADA


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA"])
async def test_tokens_of_public_keys_are_read(
    organization: StartOrganization, there: FakeProvider, algorithm: str
) -> None:
    org = await organization(there.settings(new_users="user", domains=["*"]))
    there.keys = [{"kty": "new kind"}, public_jwk("RS256", "other"), public_jwk(algorithm)]
    there.make_token = lambda claims: signed(claims, algorithm)
    assert (await sign_in(there, Browser(org.app))).status == 200
    there.make_token = lambda claims: signed(claims, algorithm, kid=None)
    assert (await sign_in(there, Browser(org.app))).status == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"client_secret": None},
        {"client_secret": "secret of the client: 100 % & +"},
    ],
)
async def test_secret_of_the_client_is_sent_as_the_provider_takes_it(
    organization: StartOrganization, there: FakeProvider, changes: dict[str, Any]
) -> None:
    there.description["token_endpoint_auth_methods_supported"] = ["client_secret_post"]
    settings = there.settings(new_users="user", domains=["*"])
    settings["oidc"] |= changes
    if changes["client_secret"] is None:
        del settings["oidc"]["client_secret"]
    org = await organization(settings)
    answer = await sign_in(there, Browser(org.app))
    assert answer.status == (500 if changes["client_secret"] is None else 200)


async def test_url_of_the_settings_is_where_the_browser_comes_back(
    organization: StartOrganization, there: FakeProvider
) -> None:
    url = "https://claude.example.org/"
    org = await organization(
        {**there.settings(new_users="user", domains=["*"]), "console": {"url": url}}
    )
    address = await begin(Browser(org.app))
    query = parse_qs(urlsplit(address).query)
    assert query["redirect_uri"] == ["https://claude.example.org/console/oidc"]
    assert (await sign_in(there, Browser(org.app))).status == 200


async def test_server_without_a_provider_says_so(organization: StartOrganization) -> None:
    org = await organization()
    browser = await set_up(org)
    assert (await browser.get("/v1/console")).json["oidc"] is None
    answer = await browser.post("/v1/console/oidc")
    assert answer.error[:2] == (404, "not_found_error")
    assert (await browser.get(IDENTITY)).json["has_password"] is True


async def test_sign_in_ends_the_session_that_the_browser_had(
    organization: StartOrganization, there: FakeProvider
) -> None:
    org = await organization(there.settings())
    browser = await set_up(org)
    before = str(browser.session)
    await org.invite("bob@example.org")
    assert (await sign_in(there, browser)).status == 200
    assert browser.session != before
    stale = Browser(org.app)
    stale.cookies["antiphon_session"] = before
    assert (await stale.get(SESSION)).status == 401


async def test_server_without_the_libraries_says_how_to_get_them(
    organization: StartOrganization, there: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jwt", None)
    with pytest.raises(SettingsError, match=re.escape("pip install 'antiphon[oidc]'")):
        await organization(there.settings())
