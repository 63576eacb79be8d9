from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from antiphon.core.errors import AuthenticationError, InvalidRequestError, NotFoundError
from antiphon.core.pagination import EVERYTHING
from antiphon.service.access import Access
from antiphon.service.accounts import Accounts
from antiphon.service.admin.keys import KeyRefusedError, KeyRing
from antiphon.service.admin.transactions import COMMAND_LINE, AdminTransactions
from antiphon.service.installation import opened_database
from antiphon.settings import Settings
from antiphon.store.accounts import KeyKind
from antiphon.store.database.database import Database
from antiphon.store.listings import KeySelection
from antiphon.wire.admin.keys import AdminKeyScope, CreateKeyParams, KeyInfo, UpdateKeyParams
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


class Keys:
    """A key ring of all kinds, as the command line uses it."""

    def __init__(self, transactions: AdminTransactions) -> None:
        self._ring = KeyRing(transactions, tuple(KeyKind))

    async def create(self, name: str) -> KeyInfo:
        return await self._ring.create(COMMAND_LINE, CreateKeyParams(name=name))

    async def create_admin(self, name: str) -> KeyInfo:
        return await self._ring.create_admin(COMMAND_LINE, CreateKeyParams(name=name))

    async def first(self, chosen: str | None, kind: KeyKind = KeyKind.API) -> KeyInfo | None:
        return await self._ring.first(COMMAND_LINE, chosen, kind)

    async def all(self) -> tuple[KeyInfo, ...]:
        return (await self._ring.all(EVERYTHING, KeySelection())).data

    async def revoke(self, key_id: str) -> KeyInfo:
        params = UpdateKeyParams(status="archived")
        return await self._ring.update(COMMAND_LINE, key_id, params)


@pytest.fixture
def keys(database: Database) -> Keys:
    return Keys(AdminTransactions(database, Entropy(), lambda: NOW))


@pytest.fixture
async def access(database: Database) -> Access:
    return Access(Accounts(database, await database.watch()), lambda: NOW)


def secret_of(key: KeyInfo | None) -> str:
    assert key is not None
    assert isinstance(key.secret, str)
    return key.secret


async def test_key_is_accepted_until_it_is_revoked(keys: Keys, access: Access) -> None:
    new = await keys.create("laptop")
    secret = secret_of(new)
    assert (await access.authenticate(secret, None)).key_id == new.id
    assert (await access.authenticate(None, f"Bearer {secret}")).key_id == new.id
    assert (await keys.revoke(new.id)).status == "archived"
    with pytest.raises(AuthenticationError):
        await access.authenticate(secret, None)


async def test_key_made_later_is_accepted_at_once(keys: Keys, access: Access) -> None:
    with pytest.raises(AuthenticationError):
        await access.authenticate("nothing", None)
    new = await keys.create("late")
    assert await access.authenticate(secret_of(new), None)


async def test_stored_digest_is_not_the_secret(keys: Keys) -> None:
    new = await keys.create("laptop")
    (stored,) = await keys.all()
    assert stored == msgspec.structs.replace(new, secret=msgspec.UNSET)
    assert secret_of(new) not in repr(stored)


async def test_revoking_again_changes_nothing(keys: Keys) -> None:
    new = await keys.create("one")
    assert await keys.revoke(new.id) == await keys.revoke(new.id)


@pytest.mark.parametrize("name", ["  ", "two\nlines"])
async def test_unprintable_name_of_a_key_is_refused(keys: Keys, name: str) -> None:
    with pytest.raises(InvalidRequestError, match="name: Input should be printable"):
        await keys.create(name)
    assert await keys.all() == ()


async def test_admin_keys_are_seen_at_the_command_line_only(keys: Keys, database: Database) -> None:
    new = await keys.create_admin("root")
    assert new.scope == AdminKeyScope()
    assert secret_of(new).startswith("sk-antiphon-admin-")
    assert [key.id for key in await keys.all()] == [new.id]
    of_the_api = KeyRing(AdminTransactions(database, Entropy(), lambda: NOW))
    assert (await of_the_api.all(EVERYTHING, KeySelection())).data == ()
    with pytest.raises(NotFoundError):
        await of_the_api.one(new.id)


async def test_rotated_admin_key_still_administers(keys: Keys, database: Database) -> None:
    new = await keys.create_admin("root")
    ring = KeyRing(AdminTransactions(database, Entropy(), lambda: NOW), tuple(KeyKind))
    rotated = await ring.rotate(COMMAND_LINE, new.id, 0)
    assert secret_of(rotated).startswith("sk-antiphon-admin-")
    assert rotated.id == new.id


async def test_first_key_is_made_once(keys: Keys) -> None:
    assert await keys.first(None)
    assert await keys.first(None) is None
    assert await keys.first(KEY) is None


async def test_the_first_key_can_be_chosen(keys: Keys, access: Access) -> None:
    assert secret_of(await keys.first(KEY)) == KEY
    assert await access.authenticate(KEY, None)


async def test_a_chosen_key_that_is_too_short_is_refused(keys: Keys) -> None:
    with pytest.raises(KeyRefusedError, match="16 to 512 characters") as caught:
        await keys.first("tooshort")
    assert "tooshort" not in str(caught.value)


async def test_secret_of_another_key_is_refused(keys: Keys) -> None:
    assert await keys.first(KEY, KeyKind.ADMIN)
    with pytest.raises(KeyRefusedError, match="another key has this secret"):
        await keys.first(KEY)
