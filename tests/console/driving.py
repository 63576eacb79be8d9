"""People before the Console: a browser with cookies of its own for each."""

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, Literal

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    ViewportSize,
    expect,
)

from support.console_app import SOURCES
from support.processes import Program

ADA = "ada@example.org"
PASSWORD = "correct horse battery staple"
PHONE: ViewportSize = {"width": 360, "height": 740}
DESK: ViewportSize = {"width": 1280, "height": 800}
# A route of the router: its parent, and its path.
ROUTE = re.compile(r'getParentRoute: \(\) => (root|signedIn),\s*path: "([^"]*)"')
# For each parameter of a route the listing whose first object it can name.
OBJECTS = {
    "request": "/v1/organizations/requests",
    "workspace": "/v1/organizations/workspaces?include_default=true",
}
# What Chromium says of an answer that is an error: the tests look at the page instead.
OF_STATUS = "Failed to load resource: the server responded with a status of"
# Rules of WCAG 2.2 AA, and what axe calls good practice; those about colours are in both.
RULES: Mapping[str, Any] = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
}
OF_COLORS = ("color-contrast", "link-in-text-block")
COLORS: Mapping[str, Any] = {"runOnly": {"type": "rule", "values": OF_COLORS}}
ALL_BUT_COLORS: Mapping[str, Any] = {
    **RULES,
    "rules": {rule: {"enabled": False} for rule in OF_COLORS},
}
AXE = """
async (rules) => {
  const found = await axe.run(document, { ...rules, resultTypes: ["violations"] });
  return found.violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
}
"""


class Person:
    """Somebody with a browser. `faults` is what the browser refused, threw or asked elsewhere."""

    def __init__(
        self,
        chromium: Browser,
        program: Program,
        scheme: Literal["dark", "light"] = "light",
        viewport: ViewportSize = DESK,
        elsewhere: tuple[str, ...] = (),
    ) -> None:
        """`elsewhere` are other hosts that the browser may ask."""
        self.faults: list[str] = []
        self._elsewhere = elsewhere
        self.context: BrowserContext = chromium.new_context(
            base_url=program.url,
            color_scheme=scheme,
            viewport=viewport,
            permissions=["clipboard-read", "clipboard-write"],
            locale="en-GB",
            timezone_id="Asia/Tokyo",
            # What moves keeps a core busy, and lets each click wait.
            reduced_motion="reduce",
        )
        self._host = program.url
        self.context.on("console", self._heard)
        self.context.on("weberror", lambda error: self.faults.append(str(error.error)))
        self.context.on("request", self._asked)

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not message.text.startswith(OF_STATUS):
            self.faults.append(message.text)

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((self._host, *self._elsewhere, "blob:", "data:")):
            self.faults.append(f"a request to {request.url}")

    def page(self) -> Page:
        opened = self.context.new_page()
        opened.set_default_timeout(15_000)
        return opened

    @cached_property
    def tab(self) -> Page:
        """The one page that stays open."""
        return self.page()

    def sign_in(self, email: str, password: str = PASSWORD) -> Page:
        page = self.page()
        page.goto("/console/")
        fill_sign_in(page, email, password)
        return page

    def close(self) -> None:
        self.context.close()


def fill_sign_in(page: Page, email: str = ADA, password: str = PASSWORD) -> None:
    page.get_by_label("E-mail address").fill(email)
    page.locator("input[type=password]").fill(password)
    page.get_by_role("button", name="Sign in", exact=True).click()


def ask_api(page: Page, path: str, body: Any = None) -> Any:
    """Ask the API with the session of a page, as the Console does."""
    answer = page.evaluate(
        """async ([path, body]) => {
          const headers = { "x-antiphon-console": "1", "anthropic-version": "2026-10-21" };
          if (body) headers["content-type"] = "application/json";
          const init = body ? { method: "POST", body: JSON.stringify(body) } : {};
          const answer = await fetch(path, { ...init, headers });
          return [answer.status, await answer.json()];
        }""",
        [path, body],
    )
    assert answer[0] == 200, answer
    return answer[1]


def join(person: Person, admin: Page, name: str, role: str) -> str:
    """Make somebody a member by an invite of the administrator's; return the id of the user.

    It is done as the page of an invite does it, which other tests show.
    """
    email = f"{name.split(maxsplit=1)[0].lower()}@example.org"
    invite = ask_api(admin, "/v1/organizations/invites", {"email": email, "role": role})
    answer = person.context.request.post(
        "/v1/console/invites/accept",
        data={"token": invite["link"].partition("#token=")[2], "name": name, "password": PASSWORD},
        headers={"x-antiphon-console": "1", "sec-fetch-site": "same-origin"},
    )
    assert answer.ok, answer.text()
    user: str = answer.json()["user"]["id"]
    return user


def routes(parent: Literal["root", "signedIn"]) -> list[str]:
    """Return the paths of the router below a parent, in their order: no page can be forgotten."""
    found = ROUTE.findall((SOURCES / "src/router.tsx").read_text(encoding="utf-8"))
    return [path for above, path in found if above == parent]


def pages(page: Page) -> Iterator[tuple[str, str]]:
    """Yield the name and the address of every page for people who are signed in, as `page` is."""
    for path in routes("signedIn"):
        address = path
        for name in re.findall(r"\$(\w+)", path):
            listing = ask_api(page, OBJECTS[name])
            address = address.replace(f"${name}", listing["data"][0]["id"])
        yield path.strip("/").replace("/$", "-") or "home", f"/console{address}"


def settle(page: Page) -> None:
    """Wait until a page stands still."""
    page.get_by_role("heading", level=1).wait_for()
    page.wait_for_load_state("networkidle")


def barriers(page: Page, axe: str, rules: Mapping[str, Any] = RULES) -> list[str]:
    """Return what axe finds serious on a page, which must be still."""
    if not page.evaluate("document.activeElement?.blur(), 'axe' in window"):
        # By the protocol of the developer tools, which the policy of the page does not bind.
        session = page.context.new_cdp_session(page)
        session.send("Runtime.evaluate", {"expression": axe})
        session.detach()
    found: list[str] = page.evaluate(AXE, rules)
    return found


def covered(page: Page) -> list[str]:
    """Return the numbers of tables that lie below a button which stays in sight."""
    found: list[str] = page.evaluate(
        """() => [...document.querySelectorAll(".table .stays")].flatMap((stays) => {
          const over = stays.getBoundingClientRect();
          return [...stays.parentElement.querySelectorAll("td.number")]
            .filter((cell) => {
              const { left, right, top, bottom } = cell.getBoundingClientRect();
              const apart = right <= over.left + 1 || left >= over.right - 1;
              return !apart && bottom > over.top + 1 && top < over.bottom - 1;
            })
            .map((cell) => cell.innerText);
        })"""
    )
    return found


def faults_of(page: Page, axe: str) -> list[str]:
    """Return what is wrong with a page that stands still: wide and light, dark, and on a phone.

    The themes differ in their colours alone, and a phone's page in its width: `faults_on_phone`
    looks for the rest. The page stays on the phone and dark.
    """
    found = [f"light: {fault}" for fault in barriers(page, axe)]
    page.emulate_media(color_scheme="dark")
    page.locator(":root[data-mantine-color-scheme=dark]").wait_for()
    # Colours change little by little.
    page.evaluate("Promise.allSettled(document.getAnimations().map((one) => one.finished))")
    found += [f"dark: {fault}" for fault in barriers(page, axe, COLORS)]
    found += [f"wide: {wide} px too wide" for wide in [too_wide(page)] if wide > 0]
    found += [f"wide: {table} scrolls sideways" for table in sideways(page)]
    page.set_viewport_size(PHONE)
    found += [f"phone: {wide} px too wide" for wide in [too_wide(page)] if wide > 0]
    return [*found, *(f"phone: {table} scrolls sideways" for table in sideways(page))]


def faults_on_phone(page: Page, axe: str) -> list[str]:
    """Return the barriers of a page on a phone; its colours are those of a wide one."""
    page.set_viewport_size(PHONE)
    return barriers(page, axe, ALL_BUT_COLORS)


def go_light(page: Page, address: str) -> None:
    """Go to a page as one on a desk that is light sees it, and wait until it stands still."""
    page.set_viewport_size(DESK)
    page.emulate_media(color_scheme="light")
    page.goto(address)
    settle(page)


def lead_light(page: Page, address: str) -> None:
    """Lead from a page to another one as `go_light` goes there, without loading the app again."""
    page.set_viewport_size(DESK)
    page.emulate_media(color_scheme="light")
    heading = page.get_by_role("heading", level=1)
    before = heading.inner_text()
    lead(page, address)
    expect(heading).not_to_have_text(before)
    settle(page)


def lead(page: Page, address: str) -> None:
    """Lead to a page by its address, without a load of the whole app."""
    page.evaluate(
        "(to) => { history.pushState({}, '', to); dispatchEvent(new PopStateEvent('popstate')); }",
        address,
    )


def sideways(page: Page) -> list[str]:
    """Return the tables that are wider than their place, by their captions."""
    found: list[str] = page.evaluate(
        """() => [...document.querySelectorAll(".scroll")]
          .filter(({ scrollWidth, clientWidth }) => scrollWidth > clientWidth)
          .map((one) => `${one.ariaLabel} by ${one.scrollWidth - one.clientWidth} px`)"""
    )
    return found


def too_wide(page: Page) -> int:
    """Return by how many pixels a page is wider than its window."""
    # A plot follows its place a frame later.
    found: int = page.evaluate(
        """() => new Promise((told) =>
          requestAnimationFrame(() => requestAnimationFrame(() =>
            told(document.documentElement.scrollWidth - innerWidth))))"""
    )
    return found
