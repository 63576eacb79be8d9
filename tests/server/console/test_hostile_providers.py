"""Answers that no provider gives, or not to this browser, open no session."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from antiphon.service.console.openid.asking import LARGEST_ANSWER
from antiphon.service.console.openid.sign_in import MOST_AT_ONCE
from support.browser import HOST, Browser
from support.console import member, set_up
from support.openid import (
    IDENTITY,
    SECRET,
    FakeProvider,
    begin,
    finish,
    forged,
    public_jwk,
    public_pem,
    sign_in,
    signed,
    there,
)
from support.organization import NOON, Organization, StartOrganization

__all__ = ["there"]

pytestmark = pytest.mark.anyio

NOW = int(NOON.timestamp())
OPEN = {"new_users": "user", "domains": ["*"]}
REFUSED = (401, "authentication_error")


async def nobody_came_in(org: Organization, browser: Browser) -> bool:
    users = (await org.get("/users"))["data"]
    return users == [] and browser.session is None


def changed(**changes: Any) -> Callable[[dict[str, Any]], str]:
    """Return what signs claims with these changes; `...` leaves one out."""

    def make(claims: dict[str, Any]) -> str:
        both = {**claims, **changes}
        return signed({name: value for name, value in both.items() if value is not ...})

    return make


TOKENS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "nonce of another request": changed(nonce="x" * 43),
    "no nonce": changed(nonce=...),
    "nonce that is no text": changed(nonce=["x"]),
    "other issuer": changed(iss="https://evil.example.org"),
    "issuer with a slash more": lambda claims: signed({**claims, "iss": claims["iss"] + "/"}),
    "no issuer": changed(iss=...),
    "other audience": changed(aud="other"),
    "audience that begins alike": changed(aud="antiphon2"),
    "no audience": changed(aud=...),
    "several audiences and nobody who asked": changed(aud=["antiphon", "other"]),
    "several audiences and another one who asked": changed(aud=["antiphon", "other"], azp="other"),
    "another one who asked": changed(azp="other"),
    "expired": changed(exp=NOW - 61),
    "no end": changed(exp=...),
    "end that is a text": changed(exp="9999999999"),
    "end that is a truth value": changed(exp=True),
    "end that is no number": changed(exp=float("nan")),
    "issued in the future": changed(iat=NOW + 61),
    "issued before the request": changed(iat=NOW - 61),
    "no time of issue": changed(iat=...),
    "not yet": changed(nbf=NOW + 61),
    "no subject": changed(sub=...),
    "empty subject": changed(sub=""),
    "subject that is a number": changed(sub=7),
    "subject of other characters": changed(sub="é"),
    "subject that is too long": changed(sub="x" * 256),
    "no signature": lambda claims: forged(claims, "none"),
    "no signature, in capitals": lambda claims: forged(claims, "None"),
    "signed with the public key as a secret": lambda claims: forged(claims, "HS256", public_pem()),
    "signed with the secret of the client": lambda claims: forged(claims, "HS256", b"secret"),
    "unsigned and said to be RS256": lambda claims: forged(claims, "RS256"),
    "signed by another key": lambda claims: signed(claims, name="evil", kid="first RS256"),
    "signed by a key that nobody knows": lambda claims: signed(claims, name="evil"),
    "signed by a key in its own header": lambda claims: signed(
        claims, name="evil", jwk=public_jwk("RS256", "evil"), kid=None
    ),
    "signed by a key at an address in its header": lambda claims: signed(
        claims, name="evil", jku="https://evil.example.org/keys"
    ),
    "of another type": lambda claims: signed(claims, typ="at+jwt"),
    "of a type that is no text": lambda claims: signed(claims, typ=7),
    "with extensions": lambda claims: signed(claims, crit=["exp"]),
    "claims that are a list": lambda _: signed(["sub"]),
    "no token": lambda _: "x.y.z",
    "empty": lambda _: "",
    "one that is too long": lambda claims: signed({**claims, "more": "x" * 40_000}),
    "another person's token, with one character changed": lambda claims: _spoilt(signed(claims)),
}


def _spoilt(token: str) -> str:
    head, claims, signature = token.split(".")
    return f"{head}.{claims}.{signature[:-6]}{'AAAAAA' if signature[-6:] != 'AAAAAA' else 'BBBBBB'}"


async def test_token_that_is_not_for_this_request_opens_nothing(
    organization: StartOrganization, there: FakeProvider
) -> None:
    org = await organization(there.settings(**OPEN))
    for number, (name, make) in enumerate(TOKENS.items()):
        # One address may fail some times only.
        browser = Browser(org.app, f"192.0.2.{number}")
        there.make_token = make
        answer = await sign_in(there, browser)
        assert answer.error[:2] == REFUSED, name
        assert "What Example says of you is not for this sign-in" in answer.error[2], name
        assert await nobody_came_in(org, browser), name


@pytest.mark.parametrize("weak", ["short", "HS256", "encryption", "other algorithm", "huge"])
async def test_key_that_is_not_for_signatures_signs_nothing(
    organization: StartOrganization, there: FakeProvider, weak: str
) -> None:
    org = await organization(there.settings(**OPEN))
    key = {
        "short": public_jwk("RS256", "short"),
        "HS256": {"kty": "oct", "k": "c2VjcmV0", "kid": "first RS256", "alg": "HS256"},
        "encryption": public_jwk("RS256", use="enc"),
        "other algorithm": public_jwk("RS256", alg="PS256"),
        "huge": {**public_jwk("RS256"), "n": "A" * 100_000},
    }[weak]
    there.keys = [key]
    name = "short" if weak == "short" else "first"
    there.make_token = lambda claims: (
        forged(claims, "HS256", b"secret") if weak == "HS256" else signed(claims, name=name)
    )
    assert (await sign_in(there, Browser(org.app))).error[:2] == REFUSED


async def test_answer_counts_in_the_browser_that_asked(
    organization: StartOrganization, there: FakeProvider
) -> None:
    """An attacker brings a victim to a link with the attacker's own code: nothing happens."""
    org = await organization(there.settings(**OPEN))
    attacker, victim, bare = Browser(org.app), Browser(org.app), Browser(org.app)
    brought = there.authorize(await begin(attacker), sub="attacker")
    await begin(victim)
    for browser in (victim, bare):
        answer = await finish(browser, brought)
        assert answer.error[:2] == REFUSED
        assert answer.error[2].startswith("This sign-in has expired")
        assert browser.session is None
    # Nobody asked the provider, and the code is as good as before.
    assert "/token" not in there.paths
    assert (await finish(attacker, brought)).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"sec_fetch_site": "cross-site"},
        {"x_antiphon_console": None},
        {"sec_fetch_site": None, "origin": "https://evil.example.org"},
    ],
)
async def test_other_site_neither_begins_nor_ends_a_sign_in(
    organization: StartOrganization, there: FakeProvider, headers: dict[str, str | None]
) -> None:
    org = await organization(there.settings(**OPEN))
    browser = await set_up(org)
    brought = there.authorize(await begin(browser))
    for path, body in (
        ("/v1/console/oidc", {}),
        ("/v1/console/oidc/session", brought),
        ("/v1/console/oidc/sign_out", {}),
        (IDENTITY, brought),
        (f"{IDENTITY}/request", {}),
    ):
        answer = await browser.post(path, body, **headers)
        assert answer.status in {401, 403}
        assert "set-cookie" not in answer.headers
    assert "/token" not in there.paths


async def test_answer_counts_once(organization: StartOrganization, there: FakeProvider) -> None:
    """Also with a provider that takes a code as often as it comes."""
    org = await organization(there.settings(**OPEN))
    there.forgets = False
    browser = Browser(org.app)
    brought = there.authorize(await begin(browser))
    assert (await finish(browser, brought)).status == 200
    again = await finish(browser, brought)
    assert again.error[:2] == REFUSED
    assert again.error[2].startswith("This sign-in has expired")


async def test_of_answers_at_once_one_counts(
    organization: StartOrganization, there: FakeProvider
) -> None:
    org = await organization(there.settings(**OPEN))
    there.forgets = False
    browser = Browser(org.app)
    brought = there.authorize(await begin(browser))
    answers = await asyncio.gather(*(finish(browser, brought) for _ in range(4)))
    assert sorted(answer.status for answer in answers) == [200, 401, 401, 401]


async def test_code_of_another_request_is_worth_nothing(
    organization: StartOrganization, there: FakeProvider
) -> None:
    """A stolen code in one's own request: the provider asks for what belongs to the code."""
    org = await organization(there.settings(**OPEN))
    victim, attacker = Browser(org.app), Browser(org.app)
    stolen = there.authorize(await begin(victim), sub="victim")["code"]
    own = there.authorize(await begin(attacker), sub="attacker")
    answer = await finish(attacker, {**own, "code": stolen})
    assert answer.error[:2] == REFUSED
    assert attacker.session is None


async def test_answer_that_comes_late_is_refused(
    organization: StartOrganization, there: FakeProvider
) -> None:
    org = await organization(there.settings(**OPEN))
    browser = Browser(org.app)
    brought = there.authorize(await begin(browser))
    org.clock.passes(minutes=10, seconds=1)
    assert (await finish(browser, brought)).error[:2] == REFUSED
    assert "/token" not in there.paths


async def test_request_for_one_thing_does_nothing_else(
    organization: StartOrganization, there: FakeProvider
) -> None:
    """A sign-in that another site has begun, or a link of another user, links nothing."""
    org = await organization(there.settings(**OPEN))
    await set_up(org)
    bob, _ = await member(org, "bob", "developer")
    eve, _ = await member(org, "eve", "developer")
    brought = there.authorize(await begin(bob), sub="eve")
    assert (await bob.post(IDENTITY, brought)).error[:2] == REFUSED
    begun = await eve.post(f"{IDENTITY}/request", {"current_password": "correct horse battery"})
    brought = there.authorize(begun.json["url"], sub="eve")
    bob.cookies["antiphon_oidc"] = eve.cookies["antiphon_oidc"]
    assert (await bob.post(IDENTITY, brought)).error[:2] == REFUSED
    assert (await finish(eve, brought)).error[:2] == REFUSED
    assert (await bob.get(IDENTITY)).json["linked_at"] is None


async def test_planted_cookie_counts_for_nothing(
    organization: StartOrganization, there: FakeProvider
) -> None:
    org = await organization(there.settings(**OPEN))
    attacker, victim = Browser(org.app), Browser(org.app)
    brought = there.authorize(await begin(attacker), sub="attacker")
    await begin(victim)
    planted, own = attacker.cookies["antiphon_oidc"], victim.cookies["antiphon_oidc"]
    both = f"antiphon_oidc={own}; antiphon_oidc={planted}"
    answer = await victim.post("/v1/console/oidc/session", brought, cookie=both)
    assert answer.error[:2] == REFUSED
    secure = Browser(org.app, https=True)
    secure.cookies["antiphon_oidc"] = planted
    assert (await finish(secure, brought)).error[:2] == REFUSED


@pytest.mark.parametrize(
    "cookie",
    [
        "",
        ".",
        "x",
        "é.1",
        f"{'x' * 43}.é",
        f"{'x' * 43}.",
        f"{'x' * 43}.{'9' * 400}",
        f"{'x' * 43}.-1",
        f"{'x' * 43}.{NOW}",
    ],
)
async def test_cookie_that_no_server_has_made_is_refused(
    organization: StartOrganization, there: FakeProvider, cookie: str
) -> None:
    org = await organization(there.settings(**OPEN))
    browser = Browser(org.app)
    brought = there.authorize(await begin(browser))
    header = f"antiphon_oidc={cookie}".encode().decode("latin-1")
    answer = await browser.post("/v1/console/oidc/session", brought, cookie=header)
    assert answer.error[:2] == REFUSED


async def test_answer_of_another_provider_is_refused(
    organization: StartOrganization, there: FakeProvider
) -> None:
    org = await organization(there.settings(**OPEN))
    browser = Browser(org.app)
    for issuer in ("https://evil.example.org", there.issuer + "/", ""):
        brought = there.authorize(await begin(browser))
        assert (await finish(browser, {**brought, "iss": issuer})).error[:2] == REFUSED
    brought = there.authorize(await begin(browser))
    assert (await finish(browser, {**brought, "iss": there.issuer})).status == 200
    assert there.paths.count("/token") == 1


async def test_provider_that_names_itself_in_answers_has_to(
    organization: StartOrganization, there: FakeProvider
) -> None:
    there.description["authorization_response_iss_parameter_supported"] = True
    org = await organization(there.settings(**OPEN))
    assert (await sign_in(there, Browser(org.app))).error[:2] == REFUSED


@pytest.mark.parametrize(
    "description",
    [
        {"issuer": "https://evil.example.org"},
        {"issuer": None},
        {"authorization_endpoint": "http://evil.example.org/authorize"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": "https://user@evil.example.org"},
        {"token_endpoint": "http://evil.example.org/token"},
        {"token_endpoint": "file:///etc/passwd"},
        {"jwks_uri": "http://169.254.169.254/keys"},
        {"jwks_uri": "https://[broken"},
        {"jwks_uri": 7},
        {"userinfo_endpoint": "http://evil.example.org/me"},
    ],
    ids=str,
)
async def test_description_that_is_wrong_is_not_used(
    organization: StartOrganization, there: FakeProvider, description: dict[str, Any]
) -> None:
    there.description |= description
    org = await organization(there.settings(**OPEN))
    answer = await Browser(org.app).post("/v1/console/oidc")
    assert answer.error == (
        500,
        "api_error",
        "Signing in with Example is not set up right on this server. Its log says why.",
    )
    assert "set-cookie" not in answer.headers


def redirecting() -> web.StreamResponse:
    return web.Response(status=302, headers={"location": "http://127.0.0.1:1/elsewhere"})


BROKEN: dict[str, Callable[[], web.StreamResponse]] = {
    "redirect": redirecting,
    "giant": lambda: web.Response(body=b" " * (LARGEST_ANSWER + 1)),
    "no JSON": lambda: web.Response(text="<html>"),
    "list": lambda: web.Response(text="[]"),
    "nested": lambda: web.Response(text="[" * 100_000),
    "bytes": lambda: web.Response(body=b"\xff\xfe"),
    "missing": lambda: web.Response(status=404, text="no"),
    "forbidden": lambda: web.json_response({"error": "invalid_client"}, status=401),
}


@pytest.mark.parametrize("page", ["/.well-known/openid-configuration", "/keys", "/token"])
async def test_broken_answer_is_the_operators_to_mend(
    organization: StartOrganization, there: FakeProvider, page: str
) -> None:
    org = await organization(there.settings(**OPEN))
    for name, broken in BROKEN.items():
        there.instead[page] = broken
        browser = Browser(org.app)
        answer = await browser.post("/v1/console/oidc")
        if page in {"/keys", "/token"}:
            answer = await finish(browser, there.authorize(answer.json["url"]))
        assert answer.error[:2] == (500, "api_error"), name
        assert "Its log says why" in answer.error[2], name
        assert await nobody_came_in(org, browser), name
    # It is asked again, and mended.
    del there.instead[page]
    assert (await sign_in(there, browser)).status == 200


@pytest.mark.parametrize("token", [None, 7, ["x"]])
async def test_answer_without_a_token_is_the_operators_to_mend(
    organization: StartOrganization, there: FakeProvider, token: Any
) -> None:
    org = await organization(there.settings(**OPEN))
    there.make_answer = lambda answer: {**answer, "id_token": token}
    assert (await sign_in(there, Browser(org.app))).error[:2] == (500, "api_error")


@pytest.mark.parametrize("page", ["/.well-known/openid-configuration", "/keys", "/token"])
async def test_provider_that_is_away_is_told_and_passwords_go_on(
    organization: StartOrganization, there: FakeProvider, page: str
) -> None:
    org = await organization(there.settings(**OPEN))
    await set_up(org)
    there.instead[page] = lambda: web.Response(status=503)
    browser = Browser(org.app)
    answer = await browser.post("/v1/console/oidc")
    if page in {"/keys", "/token"}:
        answer = await finish(browser, there.authorize(answer.json["url"]))
    assert answer.error == (
        529,
        "overloaded_error",
        "The server cannot reach Example. You can sign in another way.",
    )
    assert answer.headers["retry-after"] == "5"
    assert (await browser.sign_in()).status == 200


async def test_those_who_wait_for_a_provider_that_is_away_do_not_ask_one_after_the_other(
    organization: StartOrganization, there: FakeProvider
) -> None:
    org = await organization(there.settings(**OPEN))
    page = "/.well-known/openid-configuration"
    there.instead[page] = lambda: web.Response(status=503)
    begun = [Browser(org.app).post("/v1/console/oidc") for _ in range(10)]
    answers = await asyncio.gather(*begun)
    assert {answer.status for answer in answers} == {529}
    assert there.paths == [page]


async def test_few_codes_are_exchanged_at_once(
    organization: StartOrganization, there: FakeProvider
) -> None:
    org = await organization(there.settings(**OPEN))
    asked = asyncio.Event()
    there.waits_for = asked.wait
    browsers = [Browser(org.app, f"192.0.2.{number}") for number in range(MOST_AT_ONCE + 1)]
    brought = [there.authorize(await begin(one), sub=f"{n}") for n, one in enumerate(browsers)]
    exchanges = [
        asyncio.create_task(finish(*pair)) for pair in zip(browsers[1:], brought[1:], strict=True)
    ]
    while there.paths.count("/token") < MOST_AT_ONCE:  # noqa: ASYNC110 - the list tells nobody
        await asyncio.sleep(0)
    refused = await finish(browsers[0], brought[0])
    assert refused.error[:2] == (529, "overloaded_error")
    asked.set()
    addresses = {answer.status for answer in await asyncio.gather(*exchanges)}
    assert addresses <= {200, 403}
    assert (await finish(browsers[0], brought[0])).status == 403


async def test_provider_that_nobody_reaches_is_away(organization: StartOrganization) -> None:
    settings = {"oidc": {"issuer": "http://127.0.0.1:1", "client_id": "x"}}
    org = await organization(settings)
    answer = await Browser(org.app).post("/v1/console/oidc")
    assert answer.error[:2] == (529, "overloaded_error")


async def test_failed_answers_of_an_address_are_slowed_down(
    organization: StartOrganization, there: FakeProvider
) -> None:
    org = await organization(there.settings(**OPEN))
    browser = Browser(org.app, "192.0.2.77")
    for _ in range(20):
        assert (await finish(browser, {"code": "x", "state": "y"})).status == 401
    answer = await finish(browser, {"code": "x", "state": "y"})
    assert answer.error[:2] == (429, "rate_limit_error")
    # Others come in.
    assert (await sign_in(there, Browser(org.app))).status == 200


async def test_host_of_a_request_is_where_that_browser_comes_back_and_no_other(
    organization: StartOrganization, there: FakeProvider
) -> None:
    """A forged host sends nobody else anywhere; the provider knows which pages are ours."""
    org = await organization(there.settings(**OPEN))
    evil = await Browser(org.app).post(
        "/v1/console/oidc", {}, host="evil.example.org", origin="http://evil.example.org"
    )
    assert "evil.example.org" in evil.json["url"]
    fixed = await organization({**there.settings(**OPEN), "console": {"url": f"https://{HOST}"}})
    told = await Browser(fixed.app).post(
        "/v1/console/oidc", {}, host="evil.example.org", origin="http://evil.example.org"
    )
    assert "evil.example.org" not in told.json["url"]


async def test_secrets_and_codes_are_in_no_log(
    organization: StartOrganization,
    there: FakeProvider,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    org = await organization(there.settings(**OPEN))
    there.make_token = changed(nonce="x")
    await sign_in(there, Browser(org.app))
    there.make_token = signed
    await sign_in(there, Browser(org.app), email="private@example.org", email_verified=False)
    there.instead["/token"] = lambda: web.json_response({"error": "invalid_client"}, status=401)
    await sign_in(there, Browser(org.app))
    told = "".join(str(vars(record)) for record in caplog.records)
    for reason in ("nonce", "not say that your e-mail address is verified", "invalid_client"):
        assert reason in told
    for secret in (SECRET, "code 0", "private@example.org", "access_token"):
        assert secret not in told
