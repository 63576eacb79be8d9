"""Signing in and out, and passwords, as a page of the Console does it."""

from collections import Counter
from typing import Any

import pytest

from support.browser import ADA, PASSWORD, Browser
from support.console import console_of, member, set_up
from support.organization import StartOrganization

pytestmark = pytest.mark.anyio

SESSION = "/v1/console/session"
NEW = "another battery staple"


@pytest.mark.sql_elsewhere
async def test_right_password_begins_a_session(on_both_databases: StartOrganization) -> None:
    org = await on_both_databases()
    await set_up(org)
    browser = Browser(org.app)
    answer = await browser.sign_in("  Ada@Example.ORG ")
    assert answer.status == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json["user"]["email"] == ADA
    assert (await browser.get(SESSION)).json == answer.json


@pytest.mark.parametrize("email", [ADA, "nobody@example.org", "", "\0", "no address", "a" * 254])
async def test_wrong_password_and_unknown_address_are_told_alike(
    organization: StartOrganization, email: str
) -> None:
    org = await organization()
    await set_up(org)
    browser = Browser(org.app)
    answer = await browser.sign_in(email, "wrong")
    assert answer.error == (401, "authentication_error", "Wrong e-mail address or password")
    assert "set-cookie" not in answer.headers
    assert (await browser.get(SESSION)).error[:2] == (401, "authentication_error")


async def test_user_without_a_password_cannot_sign_in(organization: StartOrganization) -> None:
    org = await organization()
    await set_up(org)
    await org.add_user("bob")
    assert (await Browser(org.app).sign_in("bob@example.org", "")).status == 401


async def test_ways_to_type_a_password_are_one(organization: StartOrganization) -> None:
    org = await organization()
    browser = await set_up(org)
    body = {"current_password": PASSWORD, "new_password": "caf\u00e9 caf\u00e9 caf\u00e9"}
    assert (await browser.post("/v1/console/password", body)).status == 200
    typed = "cafe\u0301 cafe\u0301 cafe\u0301"
    assert (await Browser(org.app).sign_in(password=typed)).status == 200


async def test_cookie_of_a_session(organization: StartOrganization) -> None:
    org = await organization()
    await set_up(org)
    plain = (await Browser(org.app).sign_in()).headers["set-cookie"]
    secure = (await Browser(org.app, https=True).sign_in()).headers["set-cookie"]
    value, *rest = plain.split("; ")
    assert value.startswith("antiphon_session=")
    assert rest == ["Path=/", "Max-Age=1209600", "HttpOnly", "SameSite=Strict"]
    value, *rest = secure.split("; ")
    assert value.startswith("__Host-antiphon_session=")
    assert rest == ["Path=/", "Max-Age=1209600", "HttpOnly", "SameSite=Strict", "Secure"]


async def test_browser_keeps_whose_it_was(organization: StartOrganization) -> None:
    org = await organization()
    browser = await set_up(org)
    first = await browser.get(SESSION)
    value, *rest = first.headers["set-cookie"].split("; ")
    assert value.startswith("antiphon_browser=")
    assert rest == ["Path=/v1/console", "Max-Age=31536000", "HttpOnly", "SameSite=Strict"]
    assert "set-cookie" not in (await browser.get(SESSION)).headers


async def test_sign_out_ends_the_session_here_only(organization: StartOrganization) -> None:
    org = await organization()
    here, there = await set_up(org), Browser(org.app)
    await there.sign_in()
    answer = await here.delete(SESSION)
    assert answer.json == {"type": "session_deleted"}
    assert here.session is None
    assert (await here.get(SESSION)).status == 401
    assert (await there.get(SESSION)).status == 200


async def test_sign_out_everywhere_ends_all_sessions(organization: StartOrganization) -> None:
    org = await organization()
    here, there = await set_up(org), Browser(org.app)
    await there.sign_in()
    bob, _ = await member(org, "bob", "developer")
    answer = await here.post("/v1/console/sign_out_everywhere", {})
    assert answer.json == {"type": "session_deleted"}
    for browser in (here, there):
        assert (await browser.get(SESSION)).status == 401
    assert (await bob.get(SESSION)).status == 200


async def test_new_password_ends_all_other_sessions(organization: StartOrganization) -> None:
    org = await organization()
    here, there = await set_up(org), Browser(org.app)
    await there.sign_in()
    old = here.session
    body = {"current_password": PASSWORD, "new_password": NEW}
    assert (await here.post("/v1/console/password", body)).status == 200
    assert here.session != old
    assert (await here.get(SESSION)).status == 200
    assert (await there.get(SESSION)).status == 401
    assert (await Browser(org.app).sign_in()).status == 401
    assert (await Browser(org.app).sign_in(password=NEW)).status == 200


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"new_password": NEW}, "current_password: Field required"),
        (
            {"current_password": "wrong", "new_password": NEW},
            "current_password: this is not your password",
        ),
        (
            {"current_password": PASSWORD, "new_password": "too short"},
            "new_password: String should have at least 10 characters",
        ),
        (
            {"current_password": PASSWORD, "new_password": "x" * 1025},
            "new_password: String should have at most 1024 characters",
        ),
        (
            {"current_password": PASSWORD, "new_password": NEW, "name": "x"},
            "name: Extra inputs are not permitted",
        ),
    ],
)
async def test_password_that_cannot_be_changed(
    organization: StartOrganization, body: Any, said: str
) -> None:
    org = await organization()
    browser = await set_up(org)
    answer = await browser.post("/v1/console/password", body)
    assert answer.error == (400, "invalid_request_error", said)
    assert (await Browser(org.app).sign_in()).status == 200
    assert (await browser.get(SESSION)).status == 200


async def test_session_ends_when_it_is_not_used(organization: StartOrganization) -> None:
    org = await organization()
    browser = await set_up(org)
    for _ in range(3):
        org.clock.passes(hours=11, minutes=58)
        assert (await browser.get(SESSION)).status == 200
    org.clock.passes(hours=12, minutes=1)
    answer = await browser.get(SESSION)
    assert answer.error == (
        401,
        "authentication_error",
        "The session has ended. Please sign in again.",
    )
    # Nor does a clock that is set back revive it.
    org.clock.passes(hours=-6)
    assert (await browser.get(SESSION)).status == 401


async def test_session_ends_after_its_lifetime(organization: StartOrganization) -> None:
    org = await organization()
    browser = await set_up(org)
    for _ in range(14 * 3 - 1):
        org.clock.passes(hours=8)
        assert (await browser.get(SESSION)).status == 200
    org.clock.passes(hours=8)
    assert (await browser.get(SESSION)).status == 401


async def test_settings_say_how_long_a_session_lasts(organization: StartOrganization) -> None:
    console = {"idle_hours": 0.5, "lifetime_days": 1}
    org = await organization({"console": console})
    browser = await set_up(org)
    assert (await browser.get(SESSION)).json["expires_at"] == "2026-11-24T12:00:00Z"
    org.clock.passes(minutes=31)
    assert (await browser.get(SESSION)).status == 401


async def test_oldest_of_many_sessions_ends(organization: StartOrganization) -> None:
    org = await organization()
    browsers = [await set_up(org)]
    for _ in range(20):
        org.clock.passes(seconds=1)
        browsers.append(Browser(org.app))
        assert (await browsers[-1].sign_in()).status == 200
    statuses = [(await browser.get(SESSION)).status for browser in browsers]
    assert statuses == [401] + [200] * 20


@pytest.mark.sql_elsewhere
async def test_audit_log_says_who_signed_in_and_no_secret(
    on_both_databases: StartOrganization,
) -> None:
    org = await on_both_databases()
    browser = await set_up(org)
    other = Browser(org.app)
    await other.sign_in()
    tokens = [browser.session, other.session]
    await other.delete(SESSION)
    body = {"current_password": PASSWORD, "new_password": NEW}
    await browser.post("/v1/console/password", body)
    await browser.post("/v1/console/sign_out_everywhere", {})
    bob, bobs_id = await member(org, "bob", "user")
    for _ in range(4):
        await Browser(org.app).sign_in("bob@example.org", "wrong")
    await console_of(org).sign_in.refused.write()
    entries = (await org.get("/audit_log?limit=100"))["data"]
    seen = [
        (one["actor"]["type"], one["action"], (one["after"] or {}).get("by"))
        for one in entries
        if one["actor"]["type"] in {"user", "unknown"}
    ]
    # The clock stands, so their order is that of their random ids.
    assert Counter(seen) == Counter(
        [
            ("user", "user.create", None),
            ("user", "password.set", None),
            ("user", "session.create", "setup"),
            ("user", "session.create", "password"),
            ("user", "session.delete", None),
            ("user", "password.set", None),
            ("user", "session.delete_all", None),
            ("user", "user.create", None),
            ("user", "password.set", None),
            ("user", "session.create", "invite"),
            ("unknown", "session.refuse", None),
        ]
    )
    (refused,) = [one for one in entries if one["action"] == "session.refuse"]
    assert refused["object"] == {"type": "user", "id": bobs_id}
    assert refused["after"]["refused"] == 4
    assert all(one["request_id"] for one in entries if one["actor"]["type"] == "user")
    for secret in (PASSWORD, NEW, "wrong", "argon2", *tokens, bob.session):
        assert str(secret) not in str(entries)


async def test_console_can_be_switched_off(organization: StartOrganization) -> None:
    org = await organization({"console": {"enabled": False}})
    browser = Browser(org.app)
    assert (await browser.get("/v1/console")).status == 404
    assert (await browser.get("/console")).status == 404
    assert (await browser.send("GET", "/", accept="text/html")).status == 404
    assert (await browser.sign_in()).status == 404
    assert "link" not in await org.invite()
    browser.cookies["antiphon_session"] = "x"
    assert (await browser.get("/v1/organizations/me")).error == (
        401,
        "authentication_error",
        "x-api-key header is required",
    )
