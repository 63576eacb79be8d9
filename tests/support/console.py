"""An organization whose Console was set up, and browsers of its people."""

from typing import Any

from antiphon.server.app import ORGANIZATIONS_PATH
from antiphon.service.console.console import Console
from support.browser import ADA, PASSWORD, Browser, token_of
from support.organization import Organization

BASE = "http://antiphon.example.org"


def console_of(org: Organization) -> Console:
    """Return the Console of an organization."""
    console = org.platform.console
    assert console is not None
    return console


async def setup_token(org: Organization) -> str:
    """Make a link for the setup, and return its token."""
    link = await console_of(org).links.to_set_up(BASE)
    assert link is not None
    return token_of(link)


async def set_up(org: Organization, **options: Any) -> Browser:
    """Make the first administrator, and return the signed-in browser."""
    browser = Browser(org.app, **options)
    body = {"token": await setup_token(org), "email": ADA, "name": "Ada", "password": PASSWORD}
    answer = await browser.post("/v1/console/setup", body)
    assert answer.status == 200, answer.json
    return browser


async def member(
    org: Organization, name: str, role: str, address: str = "192.0.2.9"
) -> tuple[Browser, str]:
    """Invite a person, who accepts by the link; return the signed-in browser and the user's id."""
    invite = await org.invite(f"{name}@example.org", role)
    browser = Browser(org.app, address)
    body = {"token": token_of(invite["link"]), "name": name.title(), "password": PASSWORD}
    answer = await browser.post("/v1/console/invites/accept", body)
    assert answer.status == 200, answer.json
    return browser, answer.json["user"]["id"]


async def get(browser: Browser, path: str) -> Any:
    """Return what the Admin API answers a browser."""
    answer = await browser.get(ORGANIZATIONS_PATH + path)
    assert answer.status == 200, answer.json
    return answer.json


async def post(browser: Browser, path: str, body: Any = None) -> Any:
    """Return what the Admin API answers a browser that changes something."""
    answer = await browser.post(ORGANIZATIONS_PATH + path, body)
    assert answer.status == 200, answer.json
    return answer.json


async def join(org: Organization, user_id: str, workspace: str, role: str) -> None:
    """Make a user a member of a workspace."""
    body = {"user_id": user_id, "workspace_role": role}
    await org.post(f"/workspaces/{workspace}/members", body)


async def key_in(org: Organization, workspace: str, **more: Any) -> Any:
    """Create a key of nobody in a workspace."""
    scope = {"type": "workspace", "workspace_id": workspace}
    return await org.post("/api_keys", {"name": "theirs", "scope": scope, **more})
