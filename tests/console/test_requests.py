"""The Overview, the request log, and the explanation of a request, in Chromium."""

import http.client
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anthropic
import pytest
from playwright.sync_api import Browser, Page, expect

from console.driving import Person, join
from support.processes import KEY, Program

CALL = """
async ([method, path, body]) => {
  const headers = {
    "x-antiphon-console": "1",
    "anthropic-version": "2026-10-21",
    "content-type": "application/json",
  };
  const answer = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
  return await answer.json();
}
"""


def call(page: Page, method: str, path: str, body: Any = None) -> Any:
    """Call the Admin API as the person before a page."""
    return page.evaluate(CALL, [method, f"/v1/organizations{path}", body])


def ask(program: Program, secret: str, text: str = "Hello", **more: Any) -> str:
    """Send a message; return the id of the request."""
    with anthropic.Anthropic(base_url=program.url, api_key=secret, max_retries=0) as client:
        answer = client.messages.with_raw_response.create(
            model="claude-scripted",
            max_tokens=64,
            messages=[{"role": "user", "content": text}],
            **more,
        )
    return answer.headers["request-id"]


@contextmanager
def running(program: Program, secret: str) -> Iterator[None]:
    """A request that runs until the end of the block."""
    connection = http.client.HTTPConnection(program.url.removeprefix("http://"))
    body = {
        "model": "claude-scripted",
        "max_tokens": 64,
        "stream": True,
        "messages": [{"role": "user", "content": "be slow"}],
    }
    headers = {"x-api-key": secret, "anthropic-version": "2023-06-01"}
    connection.request("POST", "/v1/messages", json.dumps(body), headers)
    yield
    connection.close()


def figure(page: Page, name: str) -> Any:
    return page.locator(".figures > div").filter(has_text=name).locator("dd")


def settled(page: Page) -> None:
    page.get_by_role("heading", level=1).wait_for()
    page.wait_for_load_state("networkidle")


def test_what_happened_is_seen_at_once_and_explained(page: Page, program: Program) -> None:
    page.goto("/console/")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    expect(page.get_by_text("No requests in this time")).to_be_visible()
    expect(page.get_by_text("No request is running.")).to_be_visible()

    workspace = call(page, "POST", "/workspaces", {"name": "Research"})["id"]
    scope = {"type": "workspace", "workspace_id": workspace}
    key = call(page, "POST", "/api_keys", {"name": "laptop", "scope": scope})
    limits = [{"type": "requests_per_minute", "value": 2}]
    path = f"/workspaces/{workspace}/rate_limits/rl_claude-scripted"
    assert call(page, "POST", path, {"limits": limits})["limits"]
    ask(program, key["secret"])
    ask(program, KEY)
    page.reload()
    with running(program, key["secret"]):
        page.get_by_text("Live").click()
        expect(page).to_have_url(re.compile("range=1h"))
        row = page.get_by_label("Running requests").get_by_role("row").filter(has_text="laptop")
        expect(row).to_contain_text("Reading the prompt")
        expect(row).to_contain_text("Research")
    expect(page.get_by_text("No request is running.")).to_be_visible()
    with pytest.raises(anthropic.RateLimitError):
        ask(program, key["secret"])
    page.reload()
    expect(figure(page, "Requests")).to_have_text("4", timeout=20_000)
    expect(figure(page, "Errors")).to_have_text("1 (25 %)")
    expect(figure(page, "Spent")).to_contain_text("$0.00")
    expect(figure(page, "First token after")).to_contain_text("ms")
    page.get_by_text("The numbers, by minute").click()
    expect(page.get_by_label("Activity by minute")).to_contain_text("1")
    page.get_by_role("link", name="Rate limit").click()
    expect(page.get_by_role("heading", name="Requests")).to_be_visible()
    expect(page).to_have_url(re.compile("error=rate_limit_error"))
    table = page.get_by_label("Requests", exact=True)
    expect(table.get_by_role("row")).to_have_count(2)
    expect(table).to_contain_text("laptop")
    table.get_by_role("link").click()
    summary = page.get_by_role("status")
    expect(summary).to_contain_text("The rate limit of 2 requests a minute of the workspace")
    expect(summary).to_contain_text("Research was used up, and would have passed")
    levels = page.get_by_label("Rate limits", exact=True)
    expect(levels.get_by_role("row").filter(has_text="Yes")).to_contain_text("2 requests a minute")


def test_request_is_explained_from_a_pasted_error(page: Page, program: Program) -> None:
    request = ask(program, KEY)
    with pytest.raises(anthropic.BadRequestError) as refusal:
        ask(program, KEY, extra_body={"temperature": 9})
    page.goto("/console/requests")
    page.get_by_label("Explain a request").fill("no id at all")
    page.get_by_role("button", name="Explain").click()
    expect(page.get_by_text("There is no request id in it")).to_be_visible()
    page.get_by_label("Explain a request").fill(str(refusal.value))
    page.get_by_role("button", name="Explain").click()
    expect(page).to_have_url(re.compile(f"/requests/{refusal.value.request_id}$"))
    summary = page.get_by_role("status")
    expect(summary).to_contain_text("its error message names the field")

    page.goto(f"/console/requests/{request}")
    expect(summary).to_contain_text("Answered in")
    expect(page.locator(".facts")).to_contain_text("default")
    expect(page.locator(".facts")).to_contain_text("scripted")
    expect(page.get_by_label("Where the time went")).to_contain_text("Everything else")
    expect(page.get_by_label("Cost", exact=True)).to_contain_text("$25.00")


def test_filters_are_in_the_address_and_find_on_the_server(page: Page, program: Program) -> None:
    request = ask(program, KEY)
    with pytest.raises(anthropic.BadRequestError):
        ask(program, KEY, extra_body={"temperature": 9})
    page.goto("/console/requests?status=4xx")
    table = page.get_by_label("Requests", exact=True)
    expect(table).to_contain_text("Invalid request", timeout=20_000)
    expect(table).not_to_contain_text("OK")
    page.get_by_role("button", name="Clear").click()
    expect(table).to_contain_text("OK")
    page.get_by_role("combobox", name="Status").click()
    page.get_by_role("option", name="OK").click()
    page.get_by_role("combobox", name="API key").click()
    page.get_by_role("option", name="default").click()
    expect(page).to_have_url(re.compile("status=2xx.*key=apikey_|key=apikey_.*status=2xx"))
    expect(table.get_by_role("link", name=f"{request[:8]}…{request[-5:]}")).to_be_visible(
        timeout=20_000
    )
    address = page.url
    page.get_by_label("Ended before").fill("2001-01-01T00:00")
    expect(page.get_by_text("No such requests")).to_be_visible()
    page.get_by_role("button", name="Clear").click()
    expect(page).to_have_url(re.compile("/console/requests$"))
    page.goto(address)
    expect(page.get_by_role("combobox", name="Status")).to_have_value("OK")
    expect(page.get_by_role("combobox", name="API key")).to_have_value("default")


def test_new_key_has_its_name_in_the_open_log_and_in_explanations(
    page: Page, program: Program
) -> None:
    ask(program, KEY)
    page.goto("/console/requests")
    table = page.get_by_label("Requests", exact=True)
    expect(table).to_contain_text("default", timeout=20_000)
    scope = {"type": "organization"}
    key = call(page, "POST", "/api_keys", {"name": "made meanwhile", "scope": scope})
    limits = [{"type": "requests_per_minute", "value": 1}]
    call(page, "POST", f"/api_keys/{key['id']}/rate_limits/rl_claude-scripted", {"limits": limits})
    ask(program, key["secret"])
    with pytest.raises(anthropic.RateLimitError):
        ask(program, key["secret"])
    row = table.get_by_role("row").filter(has_text="Rate limit")
    expect(row.filter(has_text="made meanwhile")).to_be_visible(timeout=20_000)
    row.first.get_by_role("link").click()
    expect(page.get_by_role("status")).to_contain_text(
        "a minute of the key made meanwhile was used"
    )
    levels = page.get_by_label("Rate limits", exact=True)
    expect(levels.get_by_role("row").filter(has_text="Yes")).to_contain_text(
        "the key made meanwhile"
    )


def test_pages_of_the_log_lead_to_what_is_older(page: Page, program: Program) -> None:
    with anthropic.Anthropic(base_url=program.url, api_key=KEY, max_retries=0) as client:
        for _ in range(60):
            client.models.list()
    page.goto("/console/requests?model=none")
    expect(page.get_by_text("No such requests")).to_be_visible()
    page.goto("/console/requests")
    rows = page.get_by_label("Requests", exact=True).get_by_role("row")
    expect(rows).to_have_count(51, timeout=20_000)
    newest = rows.nth(1).get_by_role("link").get_attribute("title")
    page.get_by_role("button", name="Older").click()
    expect(page).to_have_url(re.compile("page="))
    expect(rows.nth(1).get_by_role("link")).not_to_have_attribute("title", newest or "")
    page.get_by_role("button", name="Newest").click()
    expect(rows.nth(1).get_by_role("link")).to_have_attribute("title", newest or "")


@pytest.mark.soak
def test_user_sees_the_own_requests_without_their_cost(
    chromium: Browser, page: Page, program: Program
) -> None:
    page.goto("/console/members")
    theirs_not = ask(program, KEY)
    eve = Person(chromium, program)
    join(eve, page, "Eve", "user")
    theirs = eve.page()
    theirs.goto("/console/playground")
    theirs.get_by_label("Your message").fill("Count")
    theirs.get_by_role("button", name="Send").click()
    expect(theirs.get_by_test_id("meter")).to_contain_text("Ended with")
    theirs.get_by_test_id("meter").get_by_role("link").click()
    expect(theirs.get_by_role("status")).to_contain_text("Answered in")
    expect(theirs.get_by_role("heading", name="Cost")).to_have_count(0)
    theirs.get_by_role("link", name="Requests").click()
    table = theirs.get_by_label("Requests", exact=True)
    # The page asks again after five seconds.
    own = table.get_by_role("row").filter(has_text="Console")
    expect(own.first).to_be_visible(timeout=20_000)
    expect(table.get_by_role("columnheader", name="Cost")).to_have_count(0)
    expect(table).not_to_contain_text("default")
    theirs.get_by_role("link", name="Overview").click()
    expect(figure(theirs, "Requests")).not_to_be_empty()
    expect(theirs.get_by_text("Spent")).to_have_count(0)
    theirs.goto(f"/console/requests/{theirs_not}")
    expect(theirs.get_by_text("This request is not known")).to_be_visible(timeout=20_000)
    assert eve.faults == []
    eve.close()
