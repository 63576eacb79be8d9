"""Guesses at passwords and links, hostile bodies, and what breaks off half-way."""

import asyncio
import json
from typing import Any

import pytest
from sqlalchemy import select

from antiphon.service.console.passwords import NOBODYS_HASH, PasswordHashing
from antiphon.store.database.console_tables import console_sessions
from support.browser import ADA, PASSWORD, Browser, token_of
from support.console import BASE, console_of, member, set_up, setup_token
from support.organization import StartOrganization

pytestmark = pytest.mark.anyio

SESSION = "/v1/console/session"


async def test_guesses_at_an_account_are_slowed_down_and_its_owner_is_not(
    organization: StartOrganization,
) -> None:
    org = await organization()
    owner = await set_up(org)
    await owner.get(SESSION)
    await owner.delete(SESSION)
    statuses, waits = [], []
    for guess in range(8):
        # From as many addresses as there are guesses.
        answer = await Browser(org.app, f"198.51.100.{guess}").sign_in(password=f"guess {guess}")
        statuses.append(answer.status)
        waits.append(answer.headers.get("retry-after"))
    assert statuses == [401] * 5 + [429] * 3
    assert waits[5:] == ["1", "1", "1"]
    answer = await Browser(org.app, "203.0.113.1").sign_in()
    assert answer.error == (
        429,
        "rate_limit_error",
        "Too many failed attempts to sign in. Please wait.",
    )
    # The owner's browser has a count of its own.
    assert (await owner.sign_in()).status == 200
    await owner.delete(SESSION)
    for _ in range(5):
        assert (await owner.sign_in(password="mistyped")).status == 401
    assert (await owner.sign_in()).status == 429


async def test_guesses_from_an_address_are_slowed_down(organization: StartOrganization) -> None:
    org = await organization()
    await set_up(org)
    statuses = [
        (await Browser(org.app, "198.51.100.7").sign_in(f"user{n}@example.org", "guess")).status
        for n in range(22)
    ]
    assert statuses == [401] * 20 + [429] * 2
    assert (await Browser(org.app, "198.51.100.8").sign_in()).status == 200


async def test_proxy_tells_the_address(organization: StartOrganization) -> None:
    org = await organization()
    await set_up(org)
    proxy = Browser(org.app, "127.0.0.1")
    for n in range(21):
        invented = f"203.0.113.{n}, 198.51.100.7"
        await proxy.post(
            SESSION, {"email": f"u{n}@example.org", "password": "x"}, x_forwarded_for=invented
        )
    body = {"email": ADA, "password": PASSWORD}
    assert (await proxy.post(SESSION, body, x_forwarded_for="198.51.100.7")).status == 429
    assert (await proxy.post(SESSION, body, x_forwarded_for="198.51.100.8")).status == 200


async def test_guesses_at_the_same_time_are_counted(organization: StartOrganization) -> None:
    org = await organization()
    await set_up(org)
    answers = await asyncio.gather(
        *(Browser(org.app, f"198.51.100.{n}").sign_in(password=f"guess {n}") for n in range(30))
    )
    assert sorted(answer.status for answer in answers) == [401] * 5 + [429] * 25


async def test_guesses_at_links_are_slowed_down(organization: StartOrganization) -> None:
    org = await organization()
    browser = Browser(org.app)
    body = {"token": "x" * 43, "email": ADA, "name": "Ada", "password": PASSWORD}
    statuses = [(await browser.post("/v1/console/setup", body)).status for _ in range(21)]
    assert statuses == [401] * 20 + [429]
    answer = await browser.post("/v1/console/session/link", {"token": "x"})
    assert answer.status == 429


async def test_unknown_account_takes_the_same_way_as_a_known_one(
    organization: StartOrganization, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what is done, as times vary: the same queries, and one comparison with an equal hash."""
    org = await organization()
    await set_up(org)
    await org.add_user("bob")
    compared: list[str] = []
    matches = PasswordHashing.matches

    async def noted(self: PasswordHashing, password: str, stored: str | None) -> bool:
        compared.append(stored or NOBODYS_HASH)
        return await matches(self, password, stored)

    monkeypatch.setattr(PasswordHashing, "matches", noted)
    for email in (ADA, "bob@example.org", "nobody@example.org"):
        assert (await Browser(org.app).sign_in(email, "wrong")).status == 401
    costs = {one.rpartition("$")[0].rpartition("$")[0] for one in compared}
    assert len(compared) == 3
    assert len(costs) == 1


@pytest.mark.parametrize("meanwhile", ["changed", "removed"])
async def test_old_password_that_was_compared_while_it_changed_is_refused(
    organization: StartOrganization, monkeypatch: pytest.MonkeyPatch, meanwhile: str
) -> None:
    org = await organization()
    await set_up(org)
    bob, user_id = await member(org, "bob", "developer")
    matches = PasswordHashing.matches

    async def slow(self: PasswordHashing, password: str, stored: str | None) -> bool:
        found = await matches(self, password, stored)
        monkeypatch.setattr(PasswordHashing, "matches", matches)
        if meanwhile == "removed":
            await org.delete(f"/users/{user_id}")
        else:
            body = {"current_password": PASSWORD, "new_password": "another battery"}
            assert (await bob.post("/v1/console/password", body)).status == 200
        return found

    monkeypatch.setattr(PasswordHashing, "matches", slow)
    assert (await Browser(org.app).sign_in("bob@example.org")).status == 401


HOSTILE = [
    b"",
    b"null",
    b"[]",
    b"{",
    b'{"email": "a@b.example", "password": "x", "admin": true}',
    b'{"email": ["a@b.example"], "password": "x"}',
    b'{"email": "a@b.example", "password": {"$ne": ""}}',
    b'{"email": "a@b.example", "password": null}',
    b'{"email": "a@b.example", "password": "' + b"x" * 1025 + b'"}',
    b'{"email": "' + b"a" * 255 + b'", "password": "x"}',
    b"[" * 10_000,
    b'{"email": "\xff\xfe", "password": "x"}',
    b'{"email": "\\ud800", "password": "x"}',
]


@pytest.mark.parametrize("body", HOSTILE, ids=lambda body: repr(body[:40]))
async def test_hostile_body_is_refused(organization: StartOrganization, body: bytes) -> None:
    org = await organization()
    await set_up(org)
    answer = await Browser(org.app).post(SESSION, body)
    assert answer.error[:2] == (400, "invalid_request_error")


async def test_large_body_is_refused_before_anybody_has_signed_in(
    organization: StartOrganization,
) -> None:
    org = await organization()
    body = json.dumps({"email": ADA, "password": PASSWORD}).encode() + b" " * 16 * 1024
    assert (await Browser(org.app).post(SESSION, body)).status == 413
    answer = await Browser(org.app).post(SESSION, body, content_length=str(10**9))
    assert answer.status == 413


async def test_used_setup_link_makes_no_second_administrator(
    organization: StartOrganization,
) -> None:
    org = await organization()
    token, spare = await setup_token(org), await setup_token(org)
    body = {"token": token, "email": ADA, "name": "Ada", "password": PASSWORD}
    assert (await Browser(org.app).post("/v1/console/setup", body)).status == 200
    for again in (token, spare):
        mallory = {**body, "token": again, "email": "mallory@example.org"}
        assert (await Browser(org.app).post("/v1/console/setup", mallory)).status == 401
    assert len((await org.get("/users"))["data"]) == 1


async def test_setup_link_is_over_once_anybody_can_sign_in(
    organization: StartOrganization,
) -> None:
    org = await organization()
    token = await setup_token(org)
    await member(org, "bob", "user")
    body = {"token": token, "email": ADA, "name": "Ada", "password": PASSWORD}
    assert (await Browser(org.app).post("/v1/console/setup", body)).status == 401
    assert [one["role"] for one in (await org.get("/users"))["data"]] == ["user"]


async def test_link_of_one_kind_is_none_of_another(organization: StartOrganization) -> None:
    org = await organization()
    setup = await setup_token(org)
    invite = token_of((await org.invite("bob@example.org"))["link"])
    browser = Browser(org.app)
    for path, body in (
        ("/v1/console/session/link", {"token": setup}),
        ("/v1/console/session/link", {"token": invite}),
        ("/v1/console/invites/accept", {"token": setup, "name": "x", "password": PASSWORD}),
        (
            "/v1/console/setup",
            {"token": invite, "email": ADA, "name": "x", "password": PASSWORD},
        ),
    ):
        assert (await browser.post(path, body)).status == 401
    assert (await org.get("/users"))["data"] == []


async def test_link_of_a_removed_user_signs_nobody_in(organization: StartOrganization) -> None:
    org = await organization()
    await set_up(org)
    _, user_id = await member(org, "bob", "developer")
    link = await console_of(org).links.to_sign_in(BASE, user_id)
    await org.delete(f"/users/{user_id}")
    answer = await Browser(org.app).post("/v1/console/session/link", {"token": token_of(link)})
    assert answer.status == 401


async def test_setup_that_breaks_off_leaves_nothing(
    organization: StartOrganization, monkeypatch: pytest.MonkeyPatch
) -> None:
    org = await organization()
    token = await setup_token(org)
    body = {"token": token, "email": ADA, "name": "Ada", "password": PASSWORD}
    with monkeypatch.context() as broken:
        broken.setattr("antiphon.service.console.sessions.keep_newest", _breaks, raising=True)
        assert (await Browser(org.app).post("/v1/console/setup", body)).status == 500
    assert (await org.get("/users"))["data"] == []
    assert (await Browser(org.app).get("/v1/console")).json["setup_needed"] is True
    # The link is as it was.
    assert (await Browser(org.app).post("/v1/console/setup", body)).status == 200


async def test_sign_in_that_breaks_off_leaves_no_session(
    organization: StartOrganization, monkeypatch: pytest.MonkeyPatch
) -> None:
    org = await organization()
    browser = await set_up(org)
    other = Browser(org.app)
    other.cookies["antiphon_session"] = str(browser.session)
    with monkeypatch.context() as broken:
        broken.setattr("antiphon.service.console.sessions.keep_newest", _breaks)
        for _ in range(7):
            # Nor is it a failed try.
            assert (await other.sign_in()).status == 500
    assert (await browser.get(SESSION)).status == 200
    async with org.platform.database.read() as connection:
        assert len((await connection.execute(select(console_sessions))).all()) == 1


async def _breaks(*_: Any) -> None:
    raise RuntimeError("the process ends here")
