"""The picture of the Console in the README: `make picture`.

A month of an invented organization, light and dark, small enough for a repository.
"""

import re
import sys
from datetime import UTC, datetime, timedelta
from math import sin
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Final, Literal

import anthropic
import anyio
from PIL import Image
from playwright.sync_api import Browser

from antiphon.core.billing.ledger import Closing, LedgerEntry, Opening, entry_of
from antiphon.core.billing.price_list import price_for
from antiphon.core.billing.usage import Outcome, TokenCounts
from antiphon.store.data_folder import database_path
from antiphon.store.database.database import open_database, sqlite_url
from antiphon.store.ledger import add_entries
from console.conftest import CONFIG
from console.driving import ADA, DESK, PASSWORD, Person, settle
from console.screenshots import ADMIN_KEY, organize
from support.chromium import browser, chromium_path
from support.console_app import SOURCES, load_builder
from support.processes import KEY, Program, serving

PAGE: Final = "usage?by=model&range=30d"
MODELS: Final = {"claude-sonnet-4-6": 9, "claude-haiku-4-5": 6, "claude-opus-4-8": 3}
DAYS: Final = 30
COLORS: Final = 128
MOST_BYTES: Final = 150_000


def month(workspaces: list[str], now: datetime) -> list[LedgerEntry]:
    """Return the bills of a month: more from day to day, fewer at week-ends."""
    random = Random(7)  # noqa: S311 - the same picture each time
    entries = []
    for day in range(DAYS):
        at = now - timedelta(days=DAYS - 1 - day, minutes=30)
        busy = (1 + day / 20) * (0.35 if at.weekday() >= 5 else 1)
        for model, share in MODELS.items():
            for number in range(max(1, round(share * busy * (1 + sin(day + share) / 4)))):
                opening = Opening(
                    id=f"req_{day}_{model}_{number}",
                    started_at=at,
                    model=model,
                    served_model="claude-scripted",
                    workspace_id=random.choice(workspaces),
                    price=price_for(model, "claude-scripted", None),
                )
                prompt = random.randrange(4_000, 30_000)
                tokens = TokenCounts(
                    input=prompt // 5,
                    cache_write_5m=prompt // 10,
                    cache_read=prompt,
                    output=prompt // 6,
                )
                closing = Closing(
                    tokens=tokens,
                    outcome=Outcome.COMPLETED,
                    first_token_at=at + timedelta(milliseconds=random.randrange(80, 900)),
                    ended_at=at + timedelta(seconds=4),
                )
                entries.append(entry_of(opening, closing))
    return entries


async def write(data: Path, entries: list[LedgerEntry]) -> None:
    database = await open_database(sqlite_url(database_path(data)))
    try:
        async with database.write() as connection:
            await add_entries(connection, entries)
    finally:
        await database.aclose()


def workspaces_of(program: Program) -> list[str]:
    with anthropic.Anthropic(base_url=program.url, api_key=ADMIN_KEY) as admin:
        found = admin.get("/v1/organizations/workspaces", cast_to=dict[str, object])
    listing = found["data"]
    assert isinstance(listing, list)
    return [one["id"] for one in listing]


def take(chromium: Browser, program: Program, folder: Path) -> None:
    link = re.search(r"(http\S+/console/setup#token=\S+)", program.output)
    assert link, program.output
    person = Person(chromium, program)
    page = person.page()
    page.goto(link[1])
    page.get_by_label("Your name").fill("Ada Lovelace")
    page.get_by_label("E-mail address").fill(ADA)
    page.locator("input[type=password]").fill(PASSWORD)
    page.get_by_role("button", name="Create the administrator").click()
    page.get_by_role("navigation", name="Pages").wait_for()
    page.set_viewport_size(DESK)
    schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    for scheme in schemes:
        page.emulate_media(color_scheme=scheme)
        page.goto(f"/console/{PAGE}")
        settle(page)
        path = folder / f"console-{scheme}.png"
        page.screenshot(path=path)
        with Image.open(path) as picture:
            picture.convert("RGB").quantize(COLORS).save(path, optimize=True)
        assert path.stat().st_size < MOST_BYTES, f"{path} is too large for a repository"
        print(path)  # noqa: T201 - a command


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = chromium_path()
    if path is None:
        sys.exit("there is no Chromium: apt-get install chromium")
    load_builder().Console(SOURCES.parent).build()
    with TemporaryDirectory() as data:
        Path(data, "antiphon.toml").write_text(CONFIG, encoding="utf-8")
        environ = {"ANTIPHON_API_KEY": KEY, "ANTIPHON_ADMIN_KEY": ADMIN_KEY}
        with serving(Path(data), environ=environ) as program:
            organize(program)
            # Before there is a browser, whose driver has an event loop of its own.
            anyio.run(write, Path(data), month(workspaces_of(program), datetime.now(UTC)))
            with browser(path) as chromium:
                take(chromium, program, folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
