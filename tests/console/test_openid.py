"""Signing in by a real OpenID provider: Node's `oidc-provider`, which is certified."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from console.conftest import CONFIG
from console.driving import ADA, PASSWORD, Person, faults_of, fill_sign_in, go_light
from support.console_app import SOURCES, load_builder
from support.node import install, running
from support.processes import KEY, Program, serving

PROVIDER = Path(__file__).parent / "provider"
SECRET = "a secret of 100 % & + characters"
# The pages of the provider ask for it, and no answer is needed.
FONTS = "https://fonts.googleapis.com/"
OIDC = """
[oidc]
issuer = "{issuer}"
client_id = "antiphon"
name = "Example"
domains = ["example.org"]
role_claim = "groups"
roles = {{ "example.org" = "developer" }}
sign_out_there = true
"""


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    install(PROVIDER)
    with running(PROVIDER, "provider.mjs", SECRET) as printed:
        yield printed.readline().strip()


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory, issuer: str) -> Iterator[Program]:
    load_builder().Console(SOURCES.parent).build()
    folder = tmp_path_factory.mktemp("openid")
    config = CONFIG + OIDC.format(issuer=issuer)
    (folder / "antiphon.toml").write_text(config, encoding="utf-8")
    environ = {"ANTIPHON_API_KEY": KEY, "ANTIPHON_OIDC_CLIENT_SECRET": SECRET}
    with serving(folder, environ=environ) as started:
        yield started


@pytest.fixture
def person(chromium: Browser, program: Program, issuer: str) -> Iterator[Person]:
    one = Person(chromium, program, elsewhere=(issuer, FONTS))
    one.context.route(f"{FONTS}**", lambda route: route.fulfill(body="", content_type="text/css"))
    yield one
    one.close()
    assert one.faults == []


def pass_provider(page: Page, email: str) -> None:
    """Sign in on the pages of the provider, and agree that it tells who that is."""
    page.get_by_placeholder("Enter any login").fill(email)
    page.get_by_placeholder("and password").fill("any")
    page.get_by_role("button", name="Sign-in").click()
    page.get_by_role("button", name="Continue").click()


def invite(page: Page, email: str) -> str:
    page.goto("/console/members")
    page.get_by_role("button", name="Invite a person").click()
    page.get_by_role("dialog").get_by_label("E-mail address").fill(email)
    page.get_by_role("button", name="Create the invite").click()
    return page.get_by_label("the link", exact=True).inner_text()


def test_invited_person_joins_and_comes_back_to_the_page_of_the_link(
    page: Page, person: Person, issuer: str
) -> None:
    link = invite(page, "bob@example.org")
    theirs = person.page()
    theirs.goto(link)
    theirs.get_by_role("button", name="Join with Example").click()
    theirs.wait_for_url(f"{issuer}/**")
    pass_provider(theirs, "bob@example.org")
    expect(theirs.get_by_role("button", name="bob")).to_be_visible()
    history = theirs.evaluate("location.href + JSON.stringify(history.state)")
    assert "code=" not in history
    theirs.get_by_role("button", name="bob").click()
    theirs.get_by_role("menuitem", name="Sign out", exact=True).click()
    # A deep link leads through the provider, which knows the person now, and back to it.
    theirs.goto("/console/usage?by=workspace_id&range=30d")
    theirs.get_by_role("button", name="Sign in with Example").click()
    theirs.get_by_role("button", name="Continue").click()
    expect(theirs.get_by_role("heading", name="Usage")).to_be_visible()
    assert theirs.url.endswith("/console/usage?by=workspace_id&range=30d")
    theirs.go_back()
    assert "/console/oidc" not in theirs.url


@pytest.mark.soak
def test_person_signs_out_of_the_provider_too(page: Page, person: Person, issuer: str) -> None:
    link = invite(page, "carol@example.org")
    theirs = person.page()
    theirs.goto(link)
    theirs.get_by_role("button", name="Join with Example").click()
    pass_provider(theirs, "carol@example.org")
    theirs.get_by_role("button", name="carol").click()
    theirs.get_by_role("menuitem", name="Sign out of Example too").click()
    theirs.wait_for_url(f"{issuer}/session/end?**")
    theirs.get_by_role("button", name="Yes, sign me out").click()
    expect(theirs.get_by_role("heading", name="You are signed out")).to_be_visible()
    assert theirs.url.endswith("/console/signed-out")
    theirs.get_by_role("link", name="Sign in again").click()
    theirs.get_by_role("button", name="Sign in with Example").click()
    # It does not know the person any more.
    expect(theirs.get_by_placeholder("Enter any login")).to_be_visible()
    pass_provider(theirs, "carol@example.org")
    # While the provider is away the session ends here, and the page says so.
    gone = {"type": "oidc_signed_out", "url": None}
    theirs.route("**/v1/console/oidc/sign_out", lambda route: route.fulfill(json=gone))
    theirs.get_by_role("button", name="carol").click()
    theirs.get_by_role("menuitem", name="Sign out of Example too").click()
    expect(theirs.get_by_role("alert")).to_contain_text("could not reach Example")
    # It was not the server that answered.
    theirs.goto("/console/signed-out")
    expect(theirs.get_by_role("heading", name="You are signed in")).to_be_visible()


@pytest.mark.soak
def test_administrator_links_the_account_and_stranger_stays_outside(
    ada: Person, chromium: Browser, program: Program, issuer: str, person: Person
) -> None:
    stranger = person.page()
    stranger.goto("/console/")
    stranger.get_by_role("button", name="Sign in with Example").click()
    pass_provider(stranger, ADA)
    alert = stranger.get_by_role("alert")
    expect(alert).to_contain_text("There is a user with your e-mail address. Sign in as before")
    expect(alert).not_to_contain_text("Your role")
    stranger.close()
    admin = Person(chromium, program, elsewhere=(issuer, FONTS))
    admin.context.route(f"{FONTS}**", lambda route: route.fulfill(body=""))
    page = admin.sign_in(ADA)
    page.get_by_role("navigation", name="Pages").wait_for()
    page.goto("/console/account")
    page.get_by_role("button", name="Link your account").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Current password").fill("wrong horse")
    dialog.get_by_role("button", name="Go on").click()
    expect(dialog.get_by_role("alert")).to_contain_text("this is not your password")
    dialog.get_by_label("Current password").fill(PASSWORD)
    dialog.get_by_role("button", name="Go on").click()
    pass_provider(page, "lovelace@example.org")
    expect(page.get_by_text("You sign in with your account there")).to_be_visible()
    assert page.url.endswith("/console/account")
    admin.context.clear_cookies(name="antiphon_session")
    page.goto("/console/members")
    page.get_by_role("button", name="Sign in with Example").click()
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("heading", name="Members", level=1)).to_be_visible()
    assert admin.faults == []
    admin.close()
    assert ada.faults == []


MADE_UP = {
    "?error=access_denied&error_description=Call+555": "The sign-in was ended there",
    "?code=a&state=sign_in.b": "This sign-in has expired",
    "?code=a&state=link.b": "The session has ended",
    "": "This page is only for the way back",
}


@pytest.mark.soak
@pytest.mark.usefixtures("ada")
def test_address_that_somebody_made_up_signs_nobody_in(person: Person) -> None:
    page = person.page()
    for query, said in MADE_UP.items():
        page.goto(f"/console/oidc{query}")
        expect(page.get_by_role("heading", name="Signing in did not work")).to_be_visible()
        expect(page.get_by_role("alert")).to_contain_text(said)
        expect(page.get_by_text("Call 555")).to_have_count(0)
        assert page.url.endswith("/console/oidc")
        page.get_by_role("link", name="Begin again").click()
        expect(page.get_by_role("heading", name="Sign in", exact=True)).to_be_visible()


@pytest.mark.soak
@pytest.mark.usefixtures("ada")
def test_provider_or_passwords_may_be_away(person: Person) -> None:
    page = person.page()
    info = page.request.get("/v1/console").json()
    page.route("**/v1/console", lambda route: route.fulfill(json={**info, "passwords": False}))
    for path, verb in (("/console/", "Sign in"), ("/console/invite#token=x", "Join")):
        page.goto(path)
        expect(page.get_by_role("button", name=f"{verb} with Example")).to_be_visible()
        expect(page.locator("input")).to_have_count(0)
    page.unroute_all()
    said = "The server cannot reach Example. You can sign in another way."
    error = {"type": "error", "error": {"type": "overloaded_error", "message": said}}
    page.route("**/v1/console/oidc", lambda route: route.fulfill(status=529, json=error))
    page.goto("/console/account")
    page.get_by_role("button", name="Sign in with Example").click()
    expect(page.get_by_role("alert")).to_contain_text(said)
    fill_sign_in(page)
    expect(page.get_by_role("heading", name="Account")).to_be_visible()


@pytest.mark.soak
@pytest.mark.usefixtures("ada")
def test_pages_of_the_sign_in_have_no_barriers(person: Person, axe: str) -> None:
    page = person.page()
    for path in (
        "/console/",
        "/console/oidc?error=access_denied",
        "/console/signed-out",
        "/console/invite#token=x",
    ):
        go_light(page, path)
        assert faults_of(page, axe) == []
