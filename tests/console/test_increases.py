"""Increase requests in the Console: asked for by a developer, decided on by the administrator."""

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from console.driving import DESK, PASSWORD, PHONE, Person, barriers
from support.console_app import SOURCES
from support.processes import Program

MILLION = "1,000,000"


def joined(chromium: Browser, program: Program, admin: Page) -> Person:
    """Invite a developer, who joins."""
    admin.goto("/console/members")
    admin.get_by_role("button", name="Invite a person").click()
    dialog = admin.get_by_role("dialog")
    dialog.get_by_label("E-mail address").fill("bob@example.org")
    dialog.get_by_role("combobox", name="Role").click()
    admin.get_by_role("option", name="Developer", exact=True).click()
    admin.get_by_role("button", name="Create the invite").click()
    link = admin.get_by_label("the link", exact=True).inner_text()
    admin.get_by_role("button", name="Close").first.click()
    bob = Person(chromium, program)
    theirs = bob.tab
    theirs.goto(link)
    theirs.get_by_label("Your name").fill("Bob")
    theirs.locator("input[type=password]").fill(PASSWORD)
    theirs.get_by_role("button", name="Join").click()
    theirs.get_by_role("navigation", name="Pages").wait_for()
    return bob


def ask(page: Page, kind: str, amount: str, why: str) -> None:
    page.get_by_label("Rate limits", exact=True).get_by_role("row").filter(
        has_text="claude-scripted"
    ).get_by_role("button", name="Ask for more").click()
    dialog = page.get_by_role("dialog", name="Ask for a higher limit: claude-scripted")
    dialog.get_by_role("combobox", name="Limit").click()
    page.get_by_role("option", name=kind).click()
    dialog.get_by_label("New limit, a minute").fill(amount)
    expect(dialog.get_by_role("button", name="Ask for it")).to_be_disabled()
    dialog.get_by_label("Why").fill(why)
    dialog.get_by_role("button", name="Ask for it").click()


def decide(page: Page, about: str, action: str) -> None:
    page.get_by_role("button", name=f"Actions for the request about {about}").first.click()
    page.get_by_role("menuitem", name=action).click()


def asks_three_times(theirs: Page) -> Locator:
    """Ask for three limits, and withdraw one request; return the table of requests."""
    theirs.goto("/console/limits")
    expect(theirs.get_by_role("button", name="Change")).to_have_count(0)
    expect(theirs.get_by_label("Increase requests", exact=True)).to_have_count(0)
    ask(theirs, "Requests a minute", "900000", "too little")
    expect(theirs.get_by_role("alert")).to_contain_text("this is no increase")
    theirs.get_by_role("dialog").get_by_label("New limit, a minute").fill("2000000")
    theirs.get_by_role("dialog").get_by_label("Why").fill("<b>Launch</b>")
    theirs.get_by_role("button", name="Ask for it").click()
    own = theirs.get_by_label("Increase requests", exact=True)
    first = own.get_by_role("row").filter(has_text="Requests a minute, claude-scripted")
    expect(first).to_contain_text("Open")
    ask(theirs, "Output tokens", "3000000000", "Longer answers")
    second = own.get_by_role("row").filter(has_text="Output tokens a minute, claude-scripted")
    expect(second).to_contain_text("Open")
    ask(theirs, "Input tokens", "4000000000", "Longer prompts")
    third = own.get_by_role("row").filter(has_text="Input tokens a minute, claude-scripted")
    decide(theirs, "Input tokens a minute", "Withdraw")
    theirs.get_by_role("dialog").get_by_role("button", name="Withdraw").click()
    expect(third).to_contain_text("Withdrawn")
    return own


def grants_one_and_refuses_another(page: Page) -> None:
    page.goto("/console/keys")
    page.get_by_role("link", name="Limits 2 waiting for a decision").click()
    waiting = page.get_by_label("Open increase requests", exact=True)
    expect(waiting.get_by_role("row")).to_have_count(3)
    expect(waiting).to_contain_text("<b>Launch</b>")
    expect(waiting).to_contain_text("Bob")
    axe = (SOURCES / "node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")
    assert barriers(page, axe) == []
    page.set_viewport_size(PHONE)
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    page.set_viewport_size(DESK)

    decide(page, "Requests a minute", "Grant")
    grant = page.get_by_role("dialog", name="Grant a higher limit")
    expect(grant).to_contain_text(f"It is {MILLION} now; asked for is 2,000,000")
    grant.get_by_label("New limit, a minute").fill("1500000")
    grant.get_by_role("button", name="Grant", exact=True).click()
    expect(grant.get_by_role("alert")).to_have_count(0)
    expect(grant).to_have_count(0, timeout=15_000)
    decide(page, "Output tokens a minute", "Refuse")
    refuse = page.get_by_role("dialog", name="Refuse the request")
    expect(refuse.get_by_role("button", name="Refuse", exact=True)).to_be_disabled()
    refuse.get_by_label("Why not").fill("Use smaller answers")
    refuse.get_by_role("button", name="Refuse", exact=True).click()
    expect(waiting).to_have_count(0)
    expect(page.get_by_role("link", name="Limits", exact=True)).to_be_visible()
    rates = page.get_by_label("Rate limits", exact=True)
    expect(rates.get_by_role("row").filter(has_text="claude-scripted")).to_contain_text("1,500,000")


@pytest.mark.soak
def test_developer_asks_and_the_administrator_decides(
    chromium: Browser, program: Program, page: Page
) -> None:
    bob = joined(chromium, program, page)
    theirs = bob.tab
    own = asks_three_times(theirs)
    grants_one_and_refuses_another(page)

    theirs.reload()
    first = own.get_by_role("row").filter(has_text="Requests a minute, claude-scripted")
    second = own.get_by_role("row").filter(has_text="Output tokens a minute, claude-scripted")
    expect(first).to_contain_text("Granted: 1,500,000")
    expect(second).to_contain_text("Refused")
    expect(second).to_contain_text("Use smaller answers")
    rates = theirs.get_by_label("Rate limits", exact=True)
    expect(rates.get_by_role("row").filter(has_text="claude-scripted")).to_contain_text("1,500,000")
    page.goto("/console/audit")
    expect(page.get_by_label("Changes", exact=True)).to_contain_text(
        "Ada Lovelace granted a higher limit of the organization"
    )
    assert bob.faults == []
    bob.close()
