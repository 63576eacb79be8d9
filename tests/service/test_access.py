from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from antiphon.core.errors import AuthenticationError, PermissionError_
from antiphon.core.ids import hash_secret
from antiphon.service.access import Access
from antiphon.service.accounts import Accounts, establish
from antiphon.service.installation import opened_database
from antiphon.settings import Settings
from antiphon.store.accounts import ApiKey, KeyKind, KeyStatus, add_key, change_key, end_secrets
from antiphon.store.database.database import Database
from antiphon.store.workspaces import Workspace, add_workspace

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 23, tzinfo=UTC)
OTHER = Workspace(id="wrkspc_other", name="Other", display_color="#000000", created_at=NOW)
KEY = ApiKey(id="apikey_1", name="k", hint="h", created_at=NOW, workspace_id=OTHER.id)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with opened_database(Settings.load({"data_dir": tmp_path}, environ={})) as database:
        async with database.write() as connection:
            await add_workspace(connection, OTHER)
        yield database


@pytest.fixture
async def access(database: Database, clock: Clock) -> Access:
    return Access(Accounts(database, await database.watch()), clock)


async def store(database: Database, key: ApiKey, secret: str = "secret") -> None:  # noqa: S107 - no real secret
    async with database.write() as connection:
        await add_key(connection, key, hash_secret(secret))


async def test_key_is_for_its_workspace(database: Database, access: Access) -> None:
    await store(database, KEY)
    caller = await access.authenticate("secret", None)
    assert (caller.key_id, caller.workspace_id) == (KEY.id, OTHER.id)
    assert caller.organization_id == caller.directory.organization.id
    assert (await access.authenticate("secret", None, OTHER.id)).workspace_id == OTHER.id
    with pytest.raises(PermissionError_, match="another workspace"):
        await access.authenticate("secret", None, caller.directory.default_workspace.id)


async def test_organization_key_chooses_its_workspace(database: Database, access: Access) -> None:
    await store(database, replace(KEY, workspace_id=None))
    caller = await access.authenticate("secret", None)
    assert caller.workspace_id == caller.directory.default_workspace.id
    assert (await access.authenticate("secret", None, OTHER.id)).workspace_id == OTHER.id
    with pytest.raises(PermissionError_, match="no such workspace"):
        await access.authenticate("secret", None, "wrkspc_none")


async def test_key_of_another_kind_is_refused(database: Database, access: Access) -> None:
    await store(database, KEY)
    await store(database, replace(KEY, id="admin", kind=KeyKind.ADMIN, workspace_id=None), "admin")
    with pytest.raises(PermissionError_, match="cannot call models"):
        await access.authenticate("admin", None)
    with pytest.raises(PermissionError_, match="needs an admin key"):
        await access.authenticate("secret", None, kind=KeyKind.ADMIN)
    caller = await access.authenticate(None, "Bearer admin", kind=KeyKind.ADMIN)
    assert caller.workspace_id is None


async def test_key_ends_when_it_expires(database: Database, access: Access, clock: Clock) -> None:
    await store(database, replace(KEY, expires_at=NOW + timedelta(hours=1)))
    clock.now = NOW + timedelta(minutes=59, seconds=59)
    assert await access.authenticate("secret", None)
    clock.now = NOW + timedelta(hours=1)
    with pytest.raises(AuthenticationError, match="API key has expired"):
        await access.authenticate("secret", None)


async def test_both_secrets_work_until_the_older_ends(
    database: Database, access: Access, clock: Clock
) -> None:
    await store(database, KEY)
    async with database.write() as connection:
        await end_secrets(connection, KEY.id, NOW + timedelta(minutes=5))
    assert await access.authenticate("secret", None)
    clock.now = NOW + timedelta(minutes=5)
    with pytest.raises(AuthenticationError):
        await access.authenticate("secret", None)


async def test_disabled_key_is_refused_at_once(database: Database, access: Access) -> None:
    await store(database, KEY)
    assert await access.authenticate("secret", None)
    async with database.write() as connection:
        await change_key(connection, KEY.id, {"status": KeyStatus.INACTIVE})
    with pytest.raises(AuthenticationError, match="invalid x-api-key"):
        await access.authenticate("secret", None)


async def test_organization_is_made_once(database: Database) -> None:
    accounts = Accounts(database, await database.watch())
    before = await accounts.current()
    await establish(database, bytes, lambda: NOW)
    assert await accounts.current() is before


async def test_expired_key_stays_expired_when_the_clock_is_set_back(
    database: Database, access: Access, clock: Clock
) -> None:
    await store(database, replace(KEY, expires_at=NOW + timedelta(hours=1)))
    await store(database, replace(KEY, id="apikey_2", name="other"), "other")
    clock.now = NOW + timedelta(hours=1)
    # Another key's request has seen the moment.
    assert await access.authenticate("other", None)
    clock.now = NOW
    with pytest.raises(AuthenticationError, match="API key has expired"):
        await access.authenticate("secret", None)
    assert await access.authenticate("other", None)


async def test_ended_secret_stays_ended_when_the_clock_is_set_back(
    database: Database, access: Access, clock: Clock
) -> None:
    await store(database, KEY)
    async with database.write() as connection:
        await end_secrets(connection, KEY.id, NOW + timedelta(minutes=5))
    clock.now = NOW + timedelta(minutes=5)
    with pytest.raises(AuthenticationError, match="x-api-key header is required"):
        await access.authenticate(None, None)
    clock.now = NOW
    with pytest.raises(AuthenticationError, match="API key has expired"):
        await access.authenticate("secret", None)
