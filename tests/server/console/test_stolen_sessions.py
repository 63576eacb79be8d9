"""A session that has ended is worthless, in every process."""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from antiphon.core.ids import hash_secret
from antiphon.service.console.passwords import PasswordHashing
from antiphon.service.console.sessions import SessionLife, Sessions
from antiphon.store.data_folder import database_path
from antiphon.store.database.console_tables import console_links, console_sessions, passwords
from antiphon.store.database.database import open_database, sqlite_url
from support.browser import PASSWORD, Browser, token_of
from support.console import console_of, member, set_up
from support.organization import Organization, StartOrganization

pytestmark = pytest.mark.anyio

SESSION = "/v1/console/session"
ORGANIZATIONS = "/v1/organizations"


@asynccontextmanager
async def other_process(org: Organization) -> AsyncGenerator[Sessions]:
    """Yield the sessions as another process on the same database finds them."""
    settings = org.platform.settings
    url = settings.database_url
    path = sqlite_url(database_path(settings.data_dir))
    database = await open_database(path if url is None else url.reveal())
    signal = await database.watch()
    life = SessionLife(timedelta(hours=12), timedelta(days=14))
    try:
        yield Sessions(database, signal, org.clock, os.urandom, life)
    finally:
        await database.aclose()


async def test_use_in_another_process_keeps_a_session(
    on_both_databases: StartOrganization,
) -> None:
    org = await on_both_databases()
    browser = await set_up(org)
    token = str(browser.session)
    async with other_process(org) as elsewhere:
        assert await elsewhere.find(token) is not None
        org.clock.passes(hours=8)
        assert (await browser.get(SESSION)).status == 200
        await console_of(org).sessions.usage.write()
        org.clock.passes(hours=8)
        # Nobody has used it here for 16 hours, but there for eight.
        assert await elsewhere.find(token) is not None
        org.clock.passes(hours=13)
        assert await elsewhere.find(token) is None


End = Callable[[Organization, Browser, str], Any]


async def _sign_out(org: Organization, browser: Browser, user_id: str) -> None:
    del org, user_id
    await browser.delete(SESSION)


async def _sign_out_elsewhere(org: Organization, browser: Browser, user_id: str) -> None:
    del browser, user_id
    other = Browser(org.app)
    await other.sign_in("bob@example.org")
    await other.post("/v1/console/sign_out_everywhere", {})


async def _change_password(org: Organization, browser: Browser, user_id: str) -> None:
    del org, user_id
    body = {"current_password": PASSWORD, "new_password": "another battery"}
    await browser.post("/v1/console/password", body)


async def _remove(org: Organization, browser: Browser, user_id: str) -> None:
    del browser
    await org.delete(f"/users/{user_id}")


@pytest.mark.sql_elsewhere
@pytest.mark.parametrize("end", [_sign_out, _sign_out_elsewhere, _change_password, _remove])
async def test_stolen_cookie_is_worthless_in_every_process(
    on_both_databases: StartOrganization, end: End
) -> None:
    org = await on_both_databases()
    await set_up(org)
    browser, user_id = await member(org, "bob", "developer")
    stolen = str(browser.session)
    async with other_process(org) as elsewhere:
        assert await elsewhere.find(stolen) is not None
        await end(org, browser, user_id)
        here = Browser(org.app)
        here.cookies["antiphon_session"] = stolen
        assert (await here.get(SESSION)).status == 401
        assert (await here.get(f"{ORGANIZATIONS}/api_keys")).status == 401
        # PostgreSQL tells the other process within a moment.
        async with asyncio.timeout(5):
            while await elsewhere.find(stolen) is not None:  # noqa: ASYNC110 - told by PostgreSQL
                await asyncio.sleep(0)


async def test_thief_of_a_session_may_not_guess_the_password(
    organization: StartOrganization,
) -> None:
    org = await organization()
    browser = await set_up(org)
    bodies = [{"current_password": f"guess {n}", "new_password": "x" * 12} for n in range(6)]
    statuses = [(await browser.post("/v1/console/password", body)).status for body in bodies]
    assert statuses == [400] * 5 + [429]


async def test_guesses_of_strangers_do_not_keep_the_owner_from_a_new_password(
    organization: StartOrganization,
) -> None:
    org = await organization()
    owner = await set_up(org)
    await owner.get(SESSION)
    for guess in range(6):
        await Browser(org.app, f"198.51.100.{guess}").sign_in(password=f"guess {guess}")
    body = {"current_password": PASSWORD, "new_password": "another battery"}
    assert (await owner.post("/v1/console/password", body)).status == 200


async def test_session_that_ends_meanwhile_sets_no_password(
    organization: StartOrganization, monkeypatch: pytest.MonkeyPatch
) -> None:
    org = await organization()
    owner = await set_up(org)
    thief = Browser(org.app)
    await thief.sign_in()
    hashed = PasswordHashing.hash

    async def slow(self: PasswordHashing, password: str) -> str:
        await owner.post("/v1/console/sign_out_everywhere", {})
        return await hashed(self, password)

    monkeypatch.setattr(PasswordHashing, "hash", slow)
    body = {"current_password": PASSWORD, "new_password": "another battery"}
    assert (await thief.post("/v1/console/password", body)).status == 401
    assert (await Browser(org.app).sign_in()).status == 200


@pytest.mark.usefixtures("real_hashes")
async def test_database_knows_no_token_and_no_password(
    on_both_databases: StartOrganization,
) -> None:
    org = await on_both_databases()
    browser = await set_up(org)
    invite = await org.invite("bob@example.org")
    token = token_of(invite["link"])
    async with org.platform.database.read() as connection:
        rows = [
            (await connection.execute(select(table))).mappings().all()
            for table in (console_sessions, console_links, passwords)
        ]
    assert bytes(rows[0][0]["digest"]) == hash_secret(str(browser.session))
    assert bytes(rows[1][0]["digest"]) == hash_secret(token)
    assert rows[2][0]["hash"].startswith("$argon2id$v=19$m=19456,t=3,p=1$")
    for secret in (PASSWORD, token, browser.session):
        assert str(secret) not in str(rows)
