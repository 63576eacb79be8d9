"""Other sites cannot use the cookie of a user: forms, scripts, images, planted cookies."""

from typing import Any

import pytest

from support.asgi import HELLO, KEY
from support.browser import ADA, HOST, PASSWORD, Browser
from support.console import set_up
from support.organization import ADMIN, StartOrganization

pytestmark = pytest.mark.anyio

SESSION = "/v1/console/session"
ORGANIZATIONS = "/v1/organizations"
DENIED = (403, "permission_error")

# What another site can make a browser send with the cookies of its user: no header but these.
FOREIGN = {
    "form": {
        "x_antiphon_console": None,
        "sec_fetch_site": "cross-site",
        "origin": "https://evil.example.com",
        "content_type": "text/plain",
    },
    "form of a browser without Sec-Fetch-Site": {
        "x_antiphon_console": None,
        "sec_fetch_site": None,
        "origin": "https://evil.example.com",
    },
    "form of a page without an origin": {
        "x_antiphon_console": None,
        "sec_fetch_site": None,
        "origin": "null",
    },
    "fetch": {"sec_fetch_site": "cross-site", "origin": "https://evil.example.com"},
    "fetch of a neighbour": {"sec_fetch_site": "same-site", "origin": f"http://evil.{HOST}"},
    "fetch of another port": {"sec_fetch_site": None, "origin": f"http://{HOST}:8001"},
    "fetch of a host with this one's name in it": {
        "sec_fetch_site": None,
        "origin": f"http://{HOST}.evil.example.com",
    },
    "fetch without an origin": {"sec_fetch_site": None, "origin": None},
    "fetch of a sandbox": {"sec_fetch_site": None, "origin": "null"},
    "header with another value": {"x_antiphon_console": "0"},
}


@pytest.mark.parametrize("headers", FOREIGN.values(), ids=FOREIGN)
async def test_other_site_changes_nothing(
    organization: StartOrganization, headers: dict[str, str | None]
) -> None:
    org = await organization()
    browser = await set_up(org)
    before = await org.get("/audit_log?limit=1000")
    sent: tuple[tuple[str, Any], ...] = (
        (f"{ORGANIZATIONS}/invites", {"email": "eve@example.org", "role": "developer"}),
        (f"{ORGANIZATIONS}/api_keys", {"name": "stolen"}),
        ("/v1/messages", HELLO),
        ("/v1/console/sign_out_everywhere", {}),
        ("/v1/console/password", {"current_password": PASSWORD, "new_password": "x" * 12}),
        (SESSION, {"email": ADA, "password": PASSWORD}),
    )
    for path, body in sent:
        answer = await browser.post(path, body, **headers)
        assert answer.status in {401, 403}, path
        # The page that sent it learns nothing of the answer either.
        assert "access-control-allow-origin" not in answer.headers, path
        assert "set-cookie" not in answer.headers, path
        assert await org.get("/audit_log?limit=1000") == before, path
        assert (await browser.get(SESSION)).status == 200, path


async def test_image_of_another_site_reads_nothing(organization: StartOrganization) -> None:
    org = await organization()
    browser = await set_up(org)
    image = {"x_antiphon_console": None, "sec_fetch_site": "cross-site"}
    for path in (SESSION, f"{ORGANIZATIONS}/api_keys", "/v1/models"):
        assert (await browser.get(path, **image)).error[:2] == DENIED
        link = {"x_antiphon_console": None, "sec_fetch_site": None}
        assert (await browser.get(path, **link)).error[:2] == DENIED
        script = {"sec_fetch_site": "cross-site"}
        assert (await browser.get(path, **script)).error[:2] == DENIED


async def test_preflight_of_another_site_is_not_permitted(organization: StartOrganization) -> None:
    org = await organization()
    asked = {
        "origin": "https://evil.example.com",
        "x_antiphon_console": None,
        "access_control_request_method": "POST",
        "access_control_request_headers": "Content-Type, X-Antiphon-Console",
    }
    answer = await Browser(org.app).send("OPTIONS", SESSION, **asked)
    assert answer.error[:2] == DENIED
    assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_pages_with_keys_go_on_as_before(organization: StartOrganization) -> None:
    org = await organization()
    browser = await set_up(org)
    page = {
        "x_antiphon_console": None,
        "origin": "https://app.example.com",
        "sec_fetch_site": "cross-site",
        "x_api_key": KEY,
        "anthropic_version": "2023-06-01",
    }
    refused = await browser.post("/v1/messages", HELLO, **page)
    assert refused.error[2].startswith("CORS requests must set")
    # The Console's header does not spare them the rule.
    pretending = {**page, "x_antiphon_console": "1"}
    refused = await browser.post("/v1/messages", HELLO, **pretending)
    assert refused.error[2].startswith("CORS requests must set")
    page["anthropic_dangerous_direct_browser_access"] = "true"
    answer = await browser.post("/v1/messages", HELLO, **page)
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, "*")


async def test_key_wins_over_the_cookie(organization: StartOrganization) -> None:
    org = await organization()
    browser = await set_up(org)
    for header in ({"x_api_key": "sk-wrong"}, {"authorization": "Bearer sk-wrong"}):
        answer = await browser.get("/v1/models", **header)
        assert answer.error[:2] == (401, "authentication_error")
    answer = await browser.get(f"{ORGANIZATIONS}/me", x_api_key=KEY)
    assert answer.error[:2] == DENIED
    answer = await browser.get(f"{ORGANIZATIONS}/me", x_api_key=ADMIN)
    assert answer.status == 200


async def test_session_that_an_attacker_has_chosen_is_never_used(
    organization: StartOrganization,
) -> None:
    org = await organization()
    await set_up(org)
    attacker = Browser(org.app)
    await attacker.sign_in()
    planted = str(attacker.session)
    victim = Browser(org.app)
    for token in ("chosen", planted):
        victim.cookies["antiphon_session"] = token
        assert (await victim.sign_in()).status == 200
        assert victim.session not in {token, planted}
    # What was planted has ended with it.
    assert (await attacker.get(SESSION)).status == 401
    assert (await victim.get(SESSION)).status == 200


async def test_cookie_of_a_neighbour_counts_for_nothing(organization: StartOrganization) -> None:
    org = await organization()
    browser, mallory = await set_up(org), Browser(org.app)
    await mallory.sign_in()
    both = f"antiphon_session={browser.session}; antiphon_session={mallory.session}"
    assert (await browser.get(SESSION, cookie=both)).status == 401
    # Over https, no host but this one can set the name that counts.
    secure = Browser(org.app, https=True)
    secure.cookies["antiphon_session"] = str(mallory.session)
    assert (await secure.get(SESSION)).status == 401
    await secure.sign_in()
    assert (await secure.get(SESSION)).status == 200
