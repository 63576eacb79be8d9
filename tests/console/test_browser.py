"""The Console in Chromium, on a real server: what people do with it from the first link on."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import anthropic
import pytest
from playwright.sync_api import Browser, Page, expect

from console.driving import (
    ADA,
    DESK,
    PASSWORD,
    PHONE,
    Person,
    ask_api,
    covered,
    faults_of,
    faults_on_phone,
    fill_sign_in,
    go_light,
    join,
    lead,
    lead_light,
    pages,
    routes,
    settle,
    too_wide,
)
from support.processes import KEY, Program


def create_key(page: Page, name: str, **fields: str) -> str:
    """Create a key; return its secret."""
    page.goto("/console/keys")
    page.get_by_role("button", name="Create key").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill(name)
    for label, value in fields.items():
        dialog.get_by_label(label.replace("_", " ")).fill(value)
    dialog.get_by_role("button", name="Create key").click()
    secret = page.get_by_label("Secret", exact=True).inner_text()
    page.get_by_role("button", name="Copy the key").click()
    assert page.evaluate("navigator.clipboard.readText()") == secret
    page.get_by_role("button", name="I have copied it").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    return secret


def create_by_api(page: Page, name: str) -> str:
    """Create a key as the page does, which other tests show; return its secret."""
    body = {"name": name, "scope": {"type": "organization"}}
    secret: str = ask_api(page, "/v1/organizations/api_keys", body)["secret"]
    return secret


def ask(program: Program, secret: str) -> anthropic.types.Message:
    with anthropic.Anthropic(base_url=program.url, api_key=secret, max_retries=0) as client:
        return client.messages.create(
            model="claude-scripted",
            max_tokens=64,
            messages=[{"role": "user", "content": "Hello"}],
        )


def do(page: Page, name: str, action: str) -> None:
    """Choose an action of a row, and confirm it."""
    page.get_by_role("button", name=f"Actions for {name}").click()
    page.get_by_role("menuitem", name=action).click()
    page.get_by_role("dialog").get_by_role("button", name=action).click()


def run_lines(lines: str, folder: Path) -> str:
    """Run a program that a page shows, in a folder; return what it prints."""
    (folder / "first.py").write_text(lines, encoding="utf-8")
    ran = subprocess.run(
        [sys.executable, "first.py"],
        cwd=folder,
        env={**os.environ, "ANTHROPIC_API_KEY": KEY},
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout.strip()


def test_key_works_in_the_sdk_until_it_is_disabled_or_archived(
    page: Page, program: Program
) -> None:
    secret = create_key(page, "laptop")
    row = page.get_by_role("row").filter(has_text="laptop")
    assert ask(program, secret).usage.output_tokens > 0
    do(page, "laptop", "Disable")
    expect(row).to_contain_text("Inactive")
    with pytest.raises(anthropic.AuthenticationError):
        ask(program, secret)
    do(page, "laptop", "Enable")
    expect(row).to_contain_text("Active")
    assert ask(program, secret)
    # A rotated key has a new secret, and the old one for a while.
    do(page, "laptop", "Rotate")
    new = page.get_by_label("Secret", exact=True).inner_text()
    page.get_by_role("button", name="I have copied it").click()
    assert new != secret
    assert ask(program, new)
    assert ask(program, secret)
    do(page, "laptop", "Archive")
    expect(row).to_contain_text("Archived")
    with pytest.raises(anthropic.AuthenticationError):
        ask(program, new)


def test_limits_of_new_keys_refuse(page: Page, program: Program) -> None:
    poor = create_key(page, "poor", May_spend_at_most="0.0001")
    with pytest.raises(anthropic.BadRequestError, match="You have reached"):
        ask(program, poor)
    page.get_by_role("button", name="Create key").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("slow")
    expect(dialog.get_by_label("Requests a minute")).to_be_disabled()
    dialog.get_by_role("combobox", name="Model of the rate limit").click()
    page.get_by_role("option", name="Scripted").click()
    dialog.get_by_label("Requests a minute").fill("1")
    dialog.get_by_role("button", name="Create key").click()
    slow = page.get_by_label("Secret", exact=True).inner_text()
    page.get_by_role("button", name="I have copied it").click()
    assert ask(program, slow)
    with pytest.raises(anthropic.RateLimitError):
        ask(program, slow)
    page.get_by_role("link", name="Limits", exact=True).click()
    expect(page.get_by_label("Spend limits", exact=True)).to_contain_text("$0.0001")
    balance = page.get_by_label("Balances", exact=True).get_by_role("row").filter(has_text="poor")
    expect(balance).to_contain_text("0 %")
    level = page.get_by_label("Levels", exact=True).get_by_role("row").filter(has_text="Key slow")
    expect(level.get_by_label("100 % used")).to_be_visible()
    # The place of its next try is taken already.
    expect(level).to_contain_text("minutes")
    page.set_viewport_size(PHONE)
    assert covered(page) == []
    page.set_viewport_size(DESK)
    page.get_by_role("link", name="API keys", exact=True).click()
    page.get_by_role("button", name="Actions for slow").click()
    page.get_by_role("menuitem", name="Rate limits").click()
    of_model = page.get_by_role("dialog").get_by_role("row").filter(has_text="Scripted")
    expect(of_model).to_contain_text("1,000,000,000 (organization)")
    of_model.get_by_role("button", name="Change").click()
    change = page.get_by_role("dialog", name="Rate limits of claude-scripted")
    change.get_by_label("Requests a minute").fill("")
    change.get_by_role("button", name="Change the limits").click()
    expect(of_model).to_contain_text("1,000,000 (organization)")
    assert ask(program, slow)


def test_batch_of_the_empty_page_is_watched_to_its_end_and_its_results_are_saved(
    page: Page, tmp_path: Path
) -> None:
    page.goto("/console/batches")
    lines = page.get_by_label("the program", exact=True).inner_text()
    batch = run_lines(lines, tmp_path)
    page.goto("/console/batches")
    row = page.get_by_role("row").filter(has_text=batch)
    expect(row).to_contain_text("Ended", timeout=30_000)
    expect(row).to_contain_text("100 %")
    expect(row).to_contain_text("2 succeeded")
    # Half of 5 and 25 dollars for a million tokens, exact to the nano-dollar.
    costs = ask_api(page, f"/v1/messages/batches/{batch}")["cost"]["amount"]
    expect(row).to_contain_text(f"${Decimal(costs).scaleb(-2).normalize():f}")
    table = page.get_by_label("Batches", exact=True)
    assert table.evaluate("table => table.scrollWidth - table.clientWidth") == 0
    actions = page.get_by_role("button", name=f"Actions for {batch}")
    page.set_viewport_size(PHONE)
    expect(actions).to_be_in_viewport(ratio=1)
    page.set_viewport_size(DESK)
    page.get_by_role("button", name=f"Actions for {batch}").click()
    with page.expect_download() as saved:
        page.get_by_role("menuitem", name="Download the results").click()
    assert saved.value.suggested_filename == f"{batch}.jsonl"
    results = saved.value.path().read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["custom_id"] for line in results] == ["cats", "dogs"]
    do(page, batch, "Delete")
    expect(row).to_have_count(0)


def test_playground_streams_and_its_use_is_shown(page: Page) -> None:
    page.goto("/console/playground")
    page.get_by_label("Your message").fill("Count")
    expect(page.get_by_text(re.compile(r"The prompt has \d+ tokens"))).to_be_visible()
    page.get_by_role("button", name="Send").click()
    meter = page.get_by_test_id("meter")
    expect(meter).to_contain_text("Ended with end_turn")
    expect(meter).to_contain_text(re.compile(r"First token after \d+ ms"))
    expect(page.get_by_role("list", name="Conversation")).to_contain_text(
        "One two three four five six seven."
    )
    page.get_by_role("button", name="Show as code").click()
    page.get_by_role("tab", name="Python").click()
    code = page.get_by_label("the Python", exact=True)
    expect(code).to_contain_text("client.messages.stream(")
    expect(code).to_contain_text("Count")
    expect(code).not_to_contain_text("One two three")
    page.goto("/console/usage?by=api_key_id&range=1d")
    table = page.get_by_label("Tokens by api key", exact=True)
    expect(table).to_contain_text("Console, without a key", timeout=20_000)
    page.get_by_role("link", name="Cost", exact=True).click()
    expect(page.get_by_label("Cost by model", exact=True)).to_contain_text("$0.00")


def test_stopped_answer_ends_and_a_refused_one_keeps_what_was_typed(
    page: Page, program: Program
) -> None:
    page.goto("/console/playground")
    page.get_by_label("Your message").fill("be slow")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    expect(page.get_by_text("Input 0 tokens")).to_have_count(0)
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("button", name="Show as code")).to_be_visible()
    expect(page.get_by_role("button", name="Stop")).to_have_count(0)
    for _ in range(100):
        if any('"hung_up":true' in line for line in program.errors):
            break
        page.wait_for_timeout(100)
    else:
        pytest.fail("the server still works for a caller who has gone")
    page.reload()
    page.get_by_label("Your message").fill("Please be overloaded")
    page.get_by_role("button", name="Send").click()
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text(re.compile(r"req_\w+"))
    expect(page.get_by_label("Your message")).to_have_value("Please be overloaded")
    expect(page.get_by_test_id("meter")).to_have_count(0)
    alert.get_by_role("link", name=re.compile("^req_")).click()
    expect(page.get_by_role("status")).to_contain_text("There was no room for it")
    expect(page.locator(".facts")).to_contain_text("None: Ada Lovelace in the Console")
    page.get_by_role("link", name="Models", exact=True).click()
    engine = page.get_by_label("Engines", exact=True).get_by_role("row").nth(1)
    expect(engine).to_contain_text("Ready")
    expect(engine).to_contain_text("It was overloaded, just now")
    # The scripted engine has neither slots nor a process of its own.
    expect(page.get_by_role("columnheader", name="Memory")).to_have_count(0)


def test_first_cached_requests_are_those_of_the_empty_page(page: Page, tmp_path: Path) -> None:
    page.goto("/console/cache")
    lines = page.get_by_label("the program", exact=True).inner_text()
    (tmp_path / "rules.txt").write_text("No dogs, no birds, no snakes. " * 300, encoding="utf-8")
    nothing, read = map(int, run_lines(lines, tmp_path).split())
    assert nothing == 0 < read
    of_model = page.get_by_label("Prompts by model", exact=True).get_by_role("row")
    # The page asks again by itself.
    expect(of_model.filter(has_text="claude-scripted")).to_contain_text(f"{read:,}", timeout=25_000)
    # Read at 0.50 instead of 5.00 dollars for a million tokens, written at 6.25.
    saved = Decimal(read * 4500 - read * 1250).scaleb(-9).normalize()
    expect(page.get_by_text(f"${saved:f}").first).to_be_visible()
    kept = page.get_by_label("Prefixes that can be read", exact=True).get_by_role("row").nth(1)
    expect(kept).to_contain_text("Default")
    expect(kept).to_contain_text("in 5 minutes")
    page.goto("/console/cache?by=workspace_id&range=1h")
    expect(page.get_by_label("Prompts by workspace", exact=True)).to_contain_text("Default")
    expect(page.get_by_role("heading", name="Read from the cache, by minute")).to_be_visible()
    expect(page.get_by_role("main")).not_to_contain_text("No dogs")


def test_file_is_uploaded_named_by_a_program_and_deleted(page: Page, tmp_path: Path) -> None:
    page.goto("/console/files")
    expect(page.get_by_role("heading", name="No files in this workspace")).to_be_visible()
    lines = page.get_by_label("the program", exact=True).inner_text()
    run_lines(lines, tmp_path)
    page.reload()
    table = page.get_by_label("Files", exact=True)
    expect(table).to_contain_text("notes.txt")

    page.get_by_role("button", name="Upload a file").click()
    dialog = page.get_by_role("dialog", name="Upload a file")
    button = dialog.get_by_role("button", name="Upload", exact=True)
    expect(button).to_be_disabled()
    content = b"%PDF-1.7" + bytes(3 << 20)
    picture = {"name": "<b>plan</b>.pdf", "mimeType": "application/pdf", "buffer": content}
    page.locator("input[type=file]").set_input_files(picture)
    button.click()
    expect(dialog.get_by_role("alert")).to_contain_text("filename: Input should be")
    page.locator("input[type=file]").set_input_files({**picture, "name": "plan.pdf"})
    dialog.get_by_label("Keep it").click()
    page.get_by_role("option", name="One week").click()
    button.click()
    row = table.get_by_role("row").filter(has_text="plan.pdf")
    expect(row).to_contain_text("3.1 MB")
    expect(row).to_contain_text("in 7 days")
    expect(page.get_by_text(re.compile(r"^3\.1 MB used, .* left$"))).to_be_visible()

    page.get_by_role("button", name="Actions for plan.pdf").click()
    # What was uploaded cannot be downloaded, unless the settings say so.
    expect(page.get_by_role("menuitem")).to_have_text(["Use in a request", "Delete"])
    page.get_by_role("menuitem", name="Use in a request").click()
    block = json.loads(page.get_by_label("the block", exact=True).inner_text())
    assert block["source"] == {"type": "file", "file_id": block["source"]["file_id"]}
    page.keyboard.press("Escape")
    do(page, "plan.pdf", "Delete")
    expect(table).not_to_contain_text("plan.pdf")
    expect(page.get_by_text(re.compile(r"^28 B used"))).to_be_visible()


def test_settings_are_found_and_no_secret_is_shown(page: Page) -> None:
    page.goto("/console/settings")
    table = page.get_by_label("All settings", exact=True)
    expect(table).to_contain_text("The largest body of a request.")
    key = table.get_by_role("row").filter(has_text="ANTIPHON_API_KEY")
    expect(key).to_contain_text("set, and not shown")
    page.get_by_role("button", name="Change limits.monthly_spend").click()
    change = page.get_by_role("dialog", name="Change limits.monthly_spend")
    expect(change.get_by_label("the line", exact=True)).to_contain_text("[limits]")
    variable = change.get_by_label("the variable", exact=True)
    expect(variable).to_contain_text("ANTIPHON_LIMITS_MONTHLY_SPEND=")
    page.keyboard.press("Escape")
    expect(page.get_by_role("main")).not_to_contain_text(KEY)
    page.get_by_label("Find").fill("body largest")
    expect(table.get_by_role("row")).to_have_count(4)
    page.get_by_label("Only those that were set").check(force=True)
    expect(page.get_by_role("heading", name="No setting")).to_be_visible()
    page.reload()
    expect(page.get_by_label("Find")).to_have_value("body largest")
    page.get_by_label("Find").fill("")
    expect(table.get_by_role("row").filter(has_text="data_dir")).to_be_visible()
    assert page.url.endswith("/console/settings?set=true")
    expect(page.get_by_label("the command", exact=True)).to_contain_text("antiphon backup")


def test_invited_developer_sees_what_the_role_allows_and_leads_a_workspace_until_signed_out(
    chromium: Browser, program: Program, page: Page
) -> None:
    page.goto("/console/members")
    page.get_by_role("button", name="Invite a person").click()
    page.get_by_role("dialog").get_by_label("E-mail address").fill("lea@example.org")
    page.get_by_role("button", name="Create the invite").click()
    link = page.get_by_label("the link", exact=True).inner_text()
    lea = Person(chromium, program)
    theirs = lea.page()
    theirs.goto(link)
    name = "<img src=x onerror=alert(1)>"
    theirs.get_by_label("Your name").fill(name)
    assert "token" not in theirs.url
    theirs.locator("input[type=password]").fill(PASSWORD)
    theirs.get_by_role("button", name="Join").click()
    theirs.get_by_role("link", name="API keys").wait_for()
    for hidden in ("Members", "Audit log"):
        expect(theirs.get_by_role("link", name=hidden)).to_have_count(0)
    # The key of somebody else is seen, and is not hers to change.
    theirs.get_by_role("link", name="API keys", exact=True).click()
    theirs.get_by_role("button", name="Actions for default").click()
    expect(theirs.get_by_role("menuitem")).to_have_text(["Rate limits"])
    # A name is text, on every page that shows it.
    page.reload()
    expect(page.get_by_label("Members", exact=True)).to_contain_text(name)

    page.get_by_role("link", name="Workspaces").click()
    page.get_by_role("button", name="Create workspace").first.click()
    page.get_by_role("dialog").get_by_label("Name").fill("Led")
    page.get_by_role("dialog").get_by_role("button", name="Create workspace").click()
    page.get_by_role("link", name="Led", exact=True).click()
    add_member(page, f"{name} (lea@example.org)", "Administrator")

    theirs.goto("/console/workspaces")
    theirs.get_by_role("link", name="Led", exact=True).click()
    expect(theirs.get_by_label("Members", exact=True)).to_contain_text(name)
    expect(theirs.get_by_role("button", name="Rename")).to_have_count(0)
    keep_members(theirs)
    create_key(page, "of ada")
    theirs.goto("/console/keys")
    expect(theirs.get_by_role("row").filter(has_text="of ada")).to_contain_text("Ada Lovelace")

    page.get_by_role("link", name="Members", exact=True).click()
    page.get_by_role("button", name=f"Actions for {name}").click()
    page.get_by_role("menuitem", name="Sign out").click()
    page.get_by_role("dialog").get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    theirs.get_by_role("link", name="Usage").click()
    expect(theirs.get_by_role("heading", name="Sign in")).to_be_visible()
    assert lea.faults == []
    lea.close()


def keep_members(page: Page) -> None:
    """Add a member to a workspace, change the role, and remove the member."""
    add_member(page, "Ada Lovelace", "Developer")
    expect(page.get_by_text("@example.org")).to_have_count(0)
    page.get_by_role("button", name="Actions for Ada Lovelace").click()
    page.get_by_role("menuitem", name="Change the role").click()
    page.get_by_role("dialog").get_by_role("combobox", name="Role here").click()
    page.get_by_role("option", name="User", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Change the role").click()
    members = page.get_by_label("Members", exact=True)
    row = members.get_by_role("row").filter(has_text="Ada Lovelace")
    expect(row).to_contain_text("User")
    page.get_by_role("button", name="Actions for Ada Lovelace").click()
    page.get_by_role("menuitem", name="Remove").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(row).to_have_count(0)


def add_member(page: Page, person: str, role: str) -> None:
    page.get_by_role("button", name="Add a member").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("combobox", name="Person").click()
    page.get_by_role("option", name=person, exact=True).click()
    dialog.get_by_role("combobox", name="Role here").click()
    page.get_by_role("option", name=role, exact=True).click()
    dialog.get_by_role("button", name="Add").click()
    expect(page.get_by_role("dialog")).to_have_count(0)


CLOSED = {
    "/members": "Members",
    "/audit": "Audit log",
    "/cache": "Prompt cache",
    "/requests": "Requests",
    "/settings": "Settings",
}
"""Pages that some roles do not see, and their titles."""


@pytest.mark.parametrize(
    ("name", "roles"),
    [
        ("Tom", ("user",)),
        pytest.param("Tim", ("developer", "billing", "user"), marks=pytest.mark.soak),
    ],
)
def test_every_page_that_a_role_sees_is_allowed_and_fits_a_phone(
    chromium: Browser, program: Program, page: Page, name: str, roles: tuple[str, ...]
) -> None:
    """Those of the other roles are a user's: `tests/core/test_permissions.py`."""
    page.goto("/console/members")
    person = Person(chromium, program)
    user = join(person, page, name, "developer")
    theirs = person.page()
    refused: list[str] = []
    theirs.on(
        "response",
        lambda answer: refused.append(answer.url) if answer.status in {401, 403} else None,
    )
    wide: dict[str, bool] = {}
    for role in roles:
        ask_api(page, f"/v1/organizations/users/{user}", {"role": role})
        theirs.goto("/console/")
        theirs.get_by_role("navigation", name="Pages").wait_for()
        refused.clear()
        seen = visit_all(theirs, wide)
        assert refused == [], role
        # What is not shown is refused, and says so instead of failing.
        for path, title in CLOSED.items():
            if path in seen:
                continue
            lead(theirs, f"/console{path}")
            expect(theirs.get_by_role("heading", level=1)).to_have_text(title)
            expect(theirs.get_by_role("alert").first).to_contain_text(
                "Your role does not allow this"
            )
    assert not [name for name, is_wide in wide.items() if is_wide]
    assert person.faults == []
    person.close()


def visit_all(page: Page, wide: dict[str, bool]) -> set[str]:
    """Visit the pages that somebody is led to; return their paths.

    Pages that are new to `wide` are looked at on a phone.
    """
    links = page.get_by_role("navigation", name="Pages").get_by_role("listitem")
    names = links.all_inner_texts()
    assert len(names) >= 4
    for name in names:
        page.get_by_role("link", name=name, exact=True).click()
        expect(page.get_by_role("heading", level=1)).to_have_text(name)
        settle(page)
        expect(page.get_by_role("alert")).to_have_count(0)
        if name not in wide:
            page.set_viewport_size(PHONE)
            wide[name] = too_wide(page) > 0
            page.set_viewport_size(DESK)
    # Pages behind others: those of objects that the role finds.
    hrefs = [link.get_attribute("href") or "" for link in links.locator("a").all()]
    seen = {href.removeprefix("/console") for href in hrefs}
    for path in (path for path in routes("signedIn") if "$" in path):
        parent = path.partition("/$")[0]
        if parent not in seen:
            continue
        links.locator(f'a[href="/console{parent}"]').click()
        page.wait_for_url(re.compile(f"{parent}$"))
        settle(page)
        behind = page.locator(f'main a[href^="/console{parent}/"]')
        # Everybody is in a workspace; other lists may be empty.
        assert behind.count() or parent != "/workspaces"
        if behind.count():
            behind.first.click()
            page.wait_for_url(re.compile(f"{parent}/."))
            settle(page)
            expect(page.get_by_role("alert")).to_have_count(0)
            wide[path] = too_wide(page) > 0
    return seen


@pytest.mark.usefixtures("ada")
def test_sign_in_leads_to_the_page_and_again_after_the_session_has_ended(
    chromium: Browser, program: Program
) -> None:
    person = Person(chromium, program)
    page = person.page()
    link = "/console/usage?by=workspace_id&range=30d"
    page.goto(link)
    fill_sign_in(page, password="wrong horse")
    expect(page.get_by_role("alert")).to_contain_text("Wrong e-mail address or password")
    page.locator("input[type=password]").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Usage")).to_be_visible()
    assert page.url.endswith(link)

    for role, name in (("link", "Usage"), ("button", "Send")):
        page.get_by_role("link", name="Playground").click()
        page.get_by_label("Your message").fill("Hello")
        expect(page.get_by_text(re.compile(r"The prompt has \d+ tokens"))).to_be_visible()
        person.context.clear_cookies()
        page.get_by_role("link" if role == "link" else "button", name=name).click()
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        fill_sign_in(page)
        page.get_by_role("navigation", name="Pages").wait_for()

    page.get_by_role("button", name="Ada Lovelace").click()
    page.get_by_role("menuitem", name="Sign out", exact=True).click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.goto("/console/keys")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert person.faults == []
    person.close()


def test_open_tab_survives_an_upgrade(ada: Person, page: Page) -> None:
    page.route(
        re.compile("/v1/console$"),
        lambda route: route.fulfill(
            json={"type": "console", "version": "99.0", "setup_needed": False, "oidc": None}
        ),
    )
    page.goto("/console/keys")
    expect(page.get_by_text("The server now runs Antiphon 99.0")).to_be_visible()
    expect(page.get_by_role("button", name="Reload")).to_be_visible()
    assert ada.faults == []
    # A part of the app that is away reloads the page once, but not where it is loaded ahead.
    loads: list[str] = []
    page.on("load", lambda loaded: loads.append(loaded.url))
    page.route(re.compile("/assets/Usage-.*js"), lambda route: route.fulfill(status=404, body=""))
    page.get_by_role("link", name="Usage").hover()
    page.wait_for_load_state("networkidle")
    assert loads == [], "what is loaded ahead reloads nothing"
    page.get_by_role("link", name="Usage").click()
    # The part stays away, so the page says so instead of reloading for ever.
    expect(page.get_by_role("heading", name="This page failed")).to_be_visible(timeout=20_000)
    page.wait_for_load_state("networkidle")
    expect(page.get_by_role("heading", name="This page failed")).to_be_visible()
    assert len(loads) == 1
    page.unroute_all()
    page.get_by_role("button", name="Load it again").click()
    expect(page.get_by_role("heading", name="Usage")).to_be_visible()
    # Chromium told of the part.
    ada.faults.clear()


def names_in(page: Page, caption: str) -> list[str]:
    rows = page.get_by_label(caption, exact=True).get_by_role("rowheader")
    return rows.locator(".name").all_inner_texts()


@pytest.mark.parametrize("path", ["overview?range=live", "cache?range=ever", "usage?range=ever"])
def test_page_leaves_out_what_it_does_not_know_of_its_address(page: Page, path: str) -> None:
    page.goto(f"/console/{path}")
    expect(page.get_by_role("heading", level=1)).not_to_have_text("This page failed")
    expect(page).to_have_url(re.compile(r"/console/\w+$"))


def test_lists_are_sorted_and_filtered_by_the_server_and_linked_to(page: Page) -> None:
    page.goto("/console/keys")
    for name in ("Zebra tables", "ärzte tables", "apfel tables"):
        create_by_api(page, name)
    page.reload()
    table = page.get_by_label("API keys", exact=True)
    table.wait_for()
    page.keyboard.press("/")
    page.keyboard.type("TABLES")
    expect(table.get_by_role("rowheader")).to_have_count(3)
    assert names_in(page, "API keys") == ["apfel tables", "ärzte tables", "Zebra tables"]
    page.get_by_role("button", name="Name", exact=True).click()
    expect(page.get_by_role("columnheader", name="Name")).to_have_attribute(
        "aria-sort", "ascending"
    )
    expect(table.get_by_role("rowheader").locator(".name").last).to_have_text("ärzte tables")
    assert names_in(page, "API keys") == ["apfel tables", "Zebra tables", "ärzte tables"]
    expect(page).to_have_url(re.compile(r"/console/keys\?(?=.*q=TABLES)(?=.*sort=name)"))
    link = page.url
    page.goto("about:blank")
    page.goto(link)
    expect(table.get_by_role("rowheader")).to_have_count(3)
    assert names_in(page, "API keys") == ["apfel tables", "Zebra tables", "ärzte tables"]
    page.get_by_label("Name or hint").fill("nothing such")
    page.get_by_role("heading", name="No key matches").wait_for()
    # The audit log says what was done, to what, with whole ids.
    page.goto("/console/audit?action=api_key.create")
    row = page.get_by_role("row").filter(has_text="Zebra tables")
    expect(row).to_contain_text("Ada Lovelace created the key Zebra tables")
    expect(row.get_by_role("button", name=re.compile("^Copy apikey_")).first).to_be_visible()


def test_numbers_lead_to_their_rows_and_to_the_call(page: Page, program: Program) -> None:
    page.goto("/console/keys")
    ask(program, create_by_api(page, "numbers"))
    usage = "/console/usage?range=1d"
    for _ in range(100):
        page.goto(usage)
        page.get_by_role("heading", level=1).wait_for()
        page.wait_for_load_state("networkidle")
        if page.get_by_label("Tokens by model", exact=True).count():
            break
    by_model = page.get_by_label("Tokens by model", exact=True)
    by_model.get_by_role("row").filter(has_text="claude-scripted").get_by_role("link").last.click()
    expect(page).to_have_url(re.compile("model=claude-scripted"))
    by_key = page.get_by_label("Tokens by api key", exact=True)
    expect(by_key).to_contain_text("numbers")
    page.get_by_role("button", name="Show the call").click()
    call = page.get_by_role("dialog").get_by_label("the call", exact=True).inner_text()
    found = re.search(r"'(http\S+)'", call)
    assert found
    assert "models%5B%5D=claude-scripted" in found[1]
    answer = page.request.get(
        found[1],
        headers={
            "x-antiphon-console": "1",
            "sec-fetch-site": "same-origin",
            "anthropic-version": "2026-10-21",
        },
    )
    assert answer.json()["data"]
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Remove the filter Model: claude-scripted").click()
    expect(page).not_to_have_url(re.compile("model="))


def test_keyboard_leads_to_pages_and_reaches_their_windows(page: Page) -> None:
    page.goto("/console/keys")
    page.get_by_role("heading", name="API keys").wait_for()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.get_by_role("button", name="Create key").first.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog").get_by_label("Name")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("button", name="Create key").first).to_be_focused()
    page.get_by_role("button", name="Actions for default").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("menuitem", name="Rename")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog").get_by_label("Name")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Actions for default")).to_be_focused()

    page.keyboard.press("g")
    page.keyboard.press("u")
    page.get_by_role("heading", name="Usage").wait_for()
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keys")
    expect(dialog.get_by_role("row").filter(has_text="Workspaces")).to_contain_text("g then w")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.get_by_role("link", name="Members", exact=True).click()
    page.get_by_label("Name or address").click()
    page.keyboard.type("gu?")
    expect(page.get_by_label("Name or address")).to_have_value("gu?")
    expect(page).to_have_url(re.compile("/console/members"))
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_times_are_local_and_utc_is_a_hover_away(page: Page) -> None:
    page.goto("/console/members")
    time = page.get_by_label("Members", exact=True).locator("time").first
    iso = time.get_attribute("datetime")
    assert iso
    time.hover()
    expect(page.get_by_role("tooltip")).to_contain_text(f" · {iso[:19].replace('T', ' ')} UTC")


@pytest.fixture(scope="module")
def long_names(ada: Person, program: Program) -> None:
    """What tables have to hold: names as long as people choose them, and large amounts."""
    page = ada.tab
    page.goto("/console/keys")
    api = "/v1/organizations"
    names = {"name": "Research and development, Copenhagen"}
    scope = {
        "type": "workspace",
        "workspace_id": ask_api(page, f"{api}/workspaces", names)["id"],
    }
    body = {"name": "Letters to the editor, production", "scope": scope, "expires_in_seconds": 9e6}
    key = ask_api(page, f"{api}/api_keys", body)
    limit = {"scope": scope, "amount": "123456789.01", "period": "monthly"}
    ask_api(page, f"{api}/spend_limits", limit)
    [member] = ask_api(page, f"{api}/users?email={ADA}")["data"]
    body = {"user_id": member["id"], "workspace_role": "workspace_restricted_developer"}
    ask_api(page, f"{api}/workspaces/{scope['workspace_id']}/members", body)
    address = "wilhelmina.vandenberg-oosterhuis@mail.example.org"
    ask_api(page, f"{api}/invites", {"email": address, "role": "claude_code_user"})
    limit = {"type": "spend_limit", "scope": scope, "period": "monthly"}
    asked = {"limit": limit, "requested": "223456789", "reason": "There will be many letters."}
    ask_api(page, f"{api}/limit_increase_requests", asked)
    rules = {"type": "text", "text": "A rule of the house. " * 400}
    rules["cache_control"] = {"type": "ephemeral"}  # type: ignore[assignment]
    hello = {"max_tokens": 64, "messages": [{"role": "user", "content": "Hello"}]}
    with anthropic.Anthropic(base_url=program.url, api_key=key["secret"], max_retries=0) as client:
        for _ in range(2):
            client.messages.create(model="claude-scripted", system=[rules], **hello)  # type: ignore[call-overload]
        for model in ("claude-of-another-time-20991231", "claude-scripted"):
            with pytest.raises(anthropic.APIStatusError):
                client.messages.create(model=model, extra_body={"temperature": 9}, **hello)  # type: ignore[call-overload]
        one = {"custom_id": "one", "params": {"model": "claude-scripted", **hello}}
        client.messages.batches.create(requests=[one])  # type: ignore[list-item]
    for _ in range(200):
        if len(ask_api(page, f"{api}/requests")["data"]) > 4:
            break
        page.wait_for_timeout(100)


def visited(page: Page) -> Iterator[str]:
    """Lead to every page in turn, and yield its name; that of `/` is the overview."""
    page.goto("/console/keys")
    addresses = dict(pages(page))
    assert len(addresses) > 14
    go_light(page, addresses.pop("keys"))
    yield "keys"
    del addresses["home"]
    for name, address in addresses.items():
        lead_light(page, address)
        expect(page.get_by_role("heading", name="This page failed")).to_have_count(0)
        yield name


@pytest.mark.usefixtures("long_names")
@pytest.mark.parametrize("look", [faults_of, pytest.param(faults_on_phone, marks=pytest.mark.soak)])
def test_axe_finds_nothing_serious_on_any_page_and_nothing_is_too_wide(
    page: Page, axe: str, look: Callable[[Page, str], list[str]]
) -> None:
    looked = {name: look(page, axe) for name in visited(page)}
    assert {name: faults for name, faults in looked.items() if faults} == {}


@pytest.mark.usefixtures("ada")
def test_axe_finds_nothing_serious_before_the_sign_in(
    chromium: Browser, program: Program, axe: str
) -> None:
    person = Person(chromium, program)
    page = person.page()
    found = {}
    # A fragment alone would load no page, so no path follows itself.
    for path in (*routes("root"), *(f"{path}#token=none" for path in routes("root")), "/keys"):
        go_light(page, f"/console{path}")
        if faults := faults_of(page, axe):
            found[path] = faults
    assert found == {}
    assert person.faults == []
    person.close()
