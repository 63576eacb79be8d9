"""Signing out of the OpenID provider too: who is offered it, where it leads, and what ends."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from msgspec import structs

from support.browser import HOST, Browser
from support.console import console_of, set_up
from support.openid import CLIENT, FakeProvider, on_both_databases_with, sign_in, signed, there
from support.organization import Organization, StartOrganization

__all__ = ["on_both_databases_with", "there"]

pytestmark = pytest.mark.anyio

SESSION = "/v1/console/session"
SIGN_OUT = "/v1/console/oidc/sign_out"
BACK = f"http://{HOST}/console/signed-out"


@pytest.fixture
def tokens(there: FakeProvider) -> list[str]:
    """The tokens that the provider has signed, which ends sessions."""
    made: list[str] = []

    def make(claims: dict[str, Any]) -> str:
        made.append(signed(claims))
        return made[-1]

    there.make_token = make
    there.description["end_session_endpoint"] = f"{there.issuer}/end?realm=staff"
    return made


@pytest.fixture
def start(organization: StartOrganization, there: FakeProvider, tokens: list[str]) -> Any:
    """Starts an organization that has invited Bob, and offers to sign out there."""
    del tokens

    async def start(made: Any = organization) -> tuple[Organization, Browser]:
        org: Organization = await made(there.settings(sign_out_there=True))
        admin = await set_up(org)
        await org.invite("bob@example.org")
        return org, admin

    return start


def parameters(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


async def test_session_ends_here_and_the_browser_is_sent_to_the_end_of_the_other(
    start: Any, on_both_databases_with: Any, there: FakeProvider, tokens: list[str]
) -> None:
    org, _ = await start(on_both_databases_with)
    browser, other = Browser(org.app), Browser(org.app)
    opened = await sign_in(there, browser)
    assert opened.json["sign_out_of"] == "Example"
    assert (await browser.get(SESSION)).json["sign_out_of"] == "Example"
    await sign_in(there, other)
    answer = await browser.post(SIGN_OUT)
    assert answer.status == 200, answer.json
    url = answer.json["url"]
    assert url.startswith(f"{there.issuer}/end?realm=staff&")
    assert parameters(url) == {
        "realm": "staff",
        "id_token_hint": tokens[0],
        "client_id": CLIENT,
        "post_logout_redirect_uri": BACK,
    }
    assert "Max-Age=0" in answer.headers["set-cookie"]
    assert (await browser.get(SESSION)).status == 401
    assert (await other.get(SESSION)).status == 200
    ended = [one["object"]["id"] for one in await org.audit() if one["action"] == "session.delete"]
    assert ended == [opened.json["user"]["id"]]
    assert (await browser.post(SIGN_OUT)).status == 401


async def test_long_token_is_not_kept_and_the_provider_may_ask(
    start: Any, there: FakeProvider
) -> None:
    org, _ = await start()
    browser = Browser(org.app)
    assert (await sign_in(there, browser, groups=["x" * 4096])).json["sign_out_of"] == "Example"
    url = (await browser.post(SIGN_OUT)).json["url"]
    assert "id_token_hint" not in parameters(url)
    assert parameters(url)["client_id"] == CLIENT


async def test_session_ends_here_while_the_provider_is_away(
    start: Any, there: FakeProvider, caplog: pytest.LogCaptureFixture
) -> None:
    org, _ = await start()
    browser = Browser(org.app)
    await sign_in(there, browser)
    # What the provider said of itself is as old as it may be, and it says that it ends none.
    there.description["end_session_endpoint"] = None
    provider = console_of(org).oidc._provider  # type: ignore[union-attr]
    provider._description = None
    assert (await browser.post(SIGN_OUT)).json == {"type": "oidc_signed_out", "url": None}
    assert (await browser.get(SESSION)).status == 401
    (told,) = [vars(one) for one in caplog.records if "no sign-out" in one.getMessage()]
    assert "it ends no sessions any more" in str(told)


@pytest.mark.parametrize("endpoint", [None, "http://example.org/end", "https://"])
async def test_provider_that_ends_no_sessions_is_not_offered(
    start: Any, there: FakeProvider, endpoint: str | None
) -> None:
    there.description["end_session_endpoint"] = endpoint
    org, _ = await start()
    browser = Browser(org.app)
    assert (await sign_in(there, browser)).json["sign_out_of"] is None
    await refused(browser)


async def test_session_by_a_password_ends_here_alone(start: Any) -> None:
    _, browser = await start()
    assert (await browser.get(SESSION)).json["sign_out_of"] is None
    await refused(browser)


async def test_session_is_not_ended_there_without_the_setting(
    organization: StartOrganization, there: FakeProvider, tokens: list[str]
) -> None:
    org = await organization(there.settings())
    await set_up(org)
    await org.invite("bob@example.org")
    browser = Browser(org.app)
    assert (await sign_in(there, browser)).json["sign_out_of"] is None
    assert len(tokens) == 1
    await refused(browser)


async def test_session_of_a_provider_that_is_not_the_one_of_the_settings_ends_here_alone(
    start: Any, there: FakeProvider
) -> None:
    org, _ = await start()
    browser = Browser(org.app)
    await sign_in(there, browser)
    provider = console_of(org).oidc_sign_out._provider  # type: ignore[union-attr]
    for change in ({"issuer": "https://other.example.org"}, {"sign_out_there": False}):
        kept = provider.settings
        provider.settings = structs.replace(kept, **change)
        assert (await browser.get(SESSION)).json["sign_out_of"] is None
        await refused(browser)
        provider.settings = kept
    assert (await browser.get(SESSION)).json["sign_out_of"] == "Example"


async def test_server_without_a_provider_has_no_such_way(organization: StartOrganization) -> None:
    org = await organization()
    browser = await set_up(org)
    assert (await browser.post(SIGN_OUT)).status == 404
    assert (await browser.get(SESSION)).status == 200


async def refused(browser: Browser) -> None:
    answer = await browser.post(SIGN_OUT)
    assert answer.error == (400, "invalid_request_error", "This session can be ended here alone.")
    assert (await browser.get(SESSION)).status == 200
