from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from antiphon.core.errors import AuthenticationError
from antiphon.service.access import Access
from antiphon.service.directory import Accounts
from antiphon.service.keys import KeyRefusedError, Keys
from antiphon.service.platform import opened_database
from antiphon.settings import Settings
from antiphon.store.database import Database
from support.asgi import KEY

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 22, tzinfo=UTC)


class Entropy:
    """Bytes that differ each time and are the same in each run."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, size: int) -> bytes:
        self._count += 1
        return self._count.to_bytes(size, "big")


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with opened_database(Settings.load({"data_dir": tmp_path}, environ={})) as database:
        yield database


@pytest.fixture
def keys(database: Database) -> Keys:
    return Keys(database, Entropy(), lambda: NOW)


@pytest.fixture
async def access(database: Database) -> Access:
    return Access(Accounts(database, await database.watch()), lambda: NOW)


async def test_a_key_opens_the_door_until_it_is_revoked(keys: Keys, access: Access) -> None:
    new = await keys.create("laptop")
    assert (await access.authenticate(new.secret, None)).key_id == new.key.id
    assert (await access.authenticate(None, f"Bearer {new.secret}")).key_id == new.key.id
    revoked = await keys.revoke("laptop")
    assert revoked.archived_at == NOW
    with pytest.raises(AuthenticationError):
        await access.authenticate(new.secret, None)


async def test_a_key_made_later_opens_the_door_at_once(keys: Keys, access: Access) -> None:
    with pytest.raises(AuthenticationError):
        await access.authenticate("nothing", None)
    new = await keys.create("late")
    assert await access.authenticate(new.secret, None)


async def test_the_secret_is_not_what_is_stored(keys: Keys) -> None:
    new = await keys.create("laptop")
    (stored,) = await keys.all()
    assert new.secret not in repr(stored)
    assert stored.hint != new.secret


async def test_a_key_is_revoked_by_its_id_or_its_name(keys: Keys) -> None:
    one, other = await keys.create("one"), await keys.create("other")
    assert (await keys.revoke(one.key.id)).name == "one"
    assert (await keys.revoke("other")).id == other.key.id


async def test_revoking_again_changes_nothing(keys: Keys) -> None:
    await keys.create("one")
    assert await keys.revoke("one") == await keys.revoke("one")


@pytest.mark.parametrize("name", ["", "  ", "x" * 101, "two\nlines"])
async def test_a_name_that_cannot_be_is_refused(keys: Keys, name: str) -> None:
    with pytest.raises(KeyRefusedError, match="a key's name"):
        await keys.create(name)
    assert await keys.all() == ()


async def test_there_is_a_first_key_once(keys: Keys) -> None:
    assert await keys.first(None)
    assert await keys.first(None) is None
    assert await keys.first(KEY) is None


async def test_the_first_key_can_be_chosen(keys: Keys, access: Access) -> None:
    assert await keys.first(KEY)
    assert await access.authenticate(KEY, None)


async def test_a_chosen_key_that_is_too_short_is_refused(keys: Keys) -> None:
    with pytest.raises(KeyRefusedError, match="16 to 512 characters") as caught:
        await keys.first("tooshort")
    assert "tooshort" not in str(caught.value)
