"""Every page of the Console as a picture: `make screenshots`.

A server with some people, keys and use of a day; each page light and dark, wide and on a phone.
"""

import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import anthropic

from console.conftest import CONFIG
from console.driving import ADA, DESK, PASSWORD, PHONE, Person, pages, settle
from support.chromium import browser, chromium_path
from support.console_app import SOURCES, load_builder
from support.processes import KEY, Program, serving

ADMIN_KEY = "sk-antiphon-admin-key-of-the-tests"
WORKSPACES = {"Support bot": "#1971c2", "Research": "#2f9e44", "Documents": "#e8590c"}
PEOPLE = {"Grace Hopper": "developer", "Charles Babbage": "billing", "Bob Example": "user"}
REQUESTS = 40
FILES = (
    ("Terms of business, December.pdf", b"%PDF-1.7" + bytes(480_000), "application/pdf"),
    ("floor plan.png", b"\x89PNG\r\n\x1a\n" + bytes(1_200_000), "image/png"),
    ("notes.txt", b"The house was built in 1912.", "text/plain"),
)


def fill(program: Program) -> None:
    """Make what an organization has after its first day."""
    secrets = organize(program)
    upload(program)
    use(program, secrets)


def organize(program: Program) -> list[str]:
    """Make workspaces, keys, limits and invites; return the secrets of keys."""
    with anthropic.Anthropic(base_url=program.url, api_key=ADMIN_KEY) as admin:

        def post(path: str, **body: Any) -> Any:
            return admin.post(f"/v1/organizations{path}", cast_to=object, body=body)

        secrets: list[str] = []
        for name, color in WORKSPACES.items():
            workspace = post("/workspaces", name=name, display_color=color)["id"]
            scope = {"type": "workspace", "workspace_id": workspace}
            secrets.append(post("/api_keys", name=f"{name}, production", scope=scope)["secret"])
            post("/api_keys", name=f"{name}, tests", scope=scope, expires_in_seconds=30 * 86_400)
            post("/spend_limits", scope=scope, amount="2500", period="monthly")
        for name, role in PEOPLE.items():
            post("/invites", email=f"{name.split()[0].lower()}@example.org", role=role)
        whole = {"type": "organization"}
        post("/spend_limits", scope=whole, amount="10000", period="monthly")
        rate = {
            "type": "rate_limit",
            "scope": whole,
            "rate_limit_id": "rl_claude-scripted",
            "limit_type": "requests_per_minute",
        }
        spend = {"type": "spend_limit", "scope": whole, "period": "monthly"}
        asked = "/limit_increase_requests"
        one = post(asked, limit=spend, requested="15000", reason="Research begins in December.")
        post(f"{asked}/{one['id']}/grant", granted="12000", answer="As much as the budget has.")
        reason = "The support bot answers twice as many people from December on."
        post(asked, limit=rate, requested=2_000_000, reason=reason)
        spend = {"type": "spend_limit", "scope": scope, "period": "monthly"}
        post(asked, limit=spend, requested="5000", reason="Documents of two more offices.")
    return secrets


def use(program: Program, secrets: list[str]) -> None:
    """Send some requests."""
    for number in range(REQUESTS):
        # The rules of a workspace stand before each question, and are read from the prompt cache.
        rules = f"Rule {number % len(secrets)} of the house is short. " * 120
        secret = secrets[number % len(secrets)]
        with anthropic.Anthropic(base_url=program.url, api_key=secret) as client:
            client.messages.create(
                model="claude-scripted",
                max_tokens=64,
                system=[{"type": "text", "text": rules, "cache_control": {"type": "ephemeral"}}],
                messages=[{"role": "user", "content": "Tell me more. " * (number % 9 + 1)}],
            )


def upload(program: Program) -> None:
    """Upload some files into the Default workspace."""
    with anthropic.Anthropic(base_url=program.url, api_key=KEY) as client:
        for name, content, kind in FILES:
            client.beta.files.upload(file=(name, content, kind))


def take(person: Person, folder: Path, scheme: Literal["dark", "light"], *, phone: bool) -> None:
    page = person.page()
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size(PHONE if phone else DESK)
    page.goto("/console/")
    for name, address in list(pages(page)):
        page.goto(address)
        settle(page)
        where = folder / f"{name}-{scheme}{'-phone' if phone else ''}.png"
        page.screenshot(path=where, full_page=True)
        print(where)  # noqa: T201 - a command
    page.close()


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = chromium_path()
    if path is None:
        sys.exit("there is no Chromium: apt-get install chromium")
    load_builder().Console(SOURCES.parent).build()
    with TemporaryDirectory() as data, browser(path) as chromium:
        Path(data, "antiphon.toml").write_text(CONFIG, encoding="utf-8")
        environ = {"ANTIPHON_API_KEY": KEY, "ANTIPHON_ADMIN_KEY": ADMIN_KEY}
        with serving(Path(data), environ=environ) as program:
            fill(program)
            person = Person(chromium, program)
            found = re.search(r"(http\S+/console/setup#token=\S+)", program.output)
            assert found, program.output
            page = person.page()
            page.goto(found[1])
            page.get_by_label("Your name").fill("Ada Lovelace")
            page.get_by_label("E-mail address").fill(ADA)
            page.locator("input[type=password]").fill(PASSWORD)
            page.screenshot(path=folder / "setup-light.png")
            page.get_by_role("button", name="Create the administrator").click()
            page.get_by_role("heading", name="API keys").wait_for()
            for scheme in ("light", "dark"):
                for phone in (False, True):
                    take(person, folder, scheme, phone=phone)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
