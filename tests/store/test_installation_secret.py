import pytest

from antiphon.store.database.database import Database
from antiphon.store.organizations import installation_secret

pytestmark = pytest.mark.anyio


async def test_a_secret_is_made_once_and_stays(database: Database) -> None:
    async with database.write() as connection:
        assert await installation_secret(connection, "thinking", b"first") == b"first"
    async with database.write() as connection:
        assert await installation_secret(connection, "thinking", b"second") == b"first"
        assert await installation_secret(connection, "other", b"second") == b"second"
