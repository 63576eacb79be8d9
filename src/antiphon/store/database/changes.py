"""The signal of a change of an account to every process, without a query per request."""

from typing import Protocol

from sqlalchemy import select

from antiphon.store.database.connection import AsyncConnection
from antiphon.store.database.tables import revisions

CHANNEL = "antiphon_accounts"

# Set on a connection whose transaction changes an account, for `Database.write` to see.
CHANGES_ACCOUNTS = "antiphon.changes_accounts"


class ChangeSignal(Protocol):
    """Tells whether a copy of the accounts in memory is still right.

    Keep the version from *before* reading; while `version()` answers the same, nothing has
    changed. It answers without waiting, in microseconds, and is asked for every request::

        if (version := signal.version()) != self._version:
            async with database.read() as connection:
                self._keys = await active_keys(connection)
            self._version = version

    A flag that is cleared by asking would let the second of two requests pass with the old keys
    while the first one reloads them.
    """

    def version(self) -> int: ...

    def touch(self) -> None:
        """Learn that this process itself has just committed a change."""

    async def aclose(self) -> None: ...


async def announce(connection: AsyncConnection) -> None:
    """Count a change of the accounts; on commit every process knows, on rollback none does."""
    accounts = revisions.c.name == "accounts"
    await connection.execute(revisions.update().where(accounts).values(value=revisions.c.value + 1))
    connection.info[CHANGES_ACCOUNTS] = True
    if connection.dialect.name == "postgresql":
        await connection.exec_driver_sql(f"NOTIFY {CHANNEL}")


async def claim(connection: AsyncConnection) -> None:
    """Lock the accounts against other changes until this transaction ends.

    On SQLite writing transactions come one after the other. On PostgreSQL another transaction
    could change a row between the reading and the writing of this one: a key would be made in a
    workspace that is being archived.
    """
    accounts = select(revisions.c.value).where(revisions.c.name == "accounts")
    await connection.execute(accounts.with_for_update())


async def revision(connection: AsyncConnection) -> int:
    """How often the accounts have changed since the database was made."""
    found = await connection.scalar(select(revisions.c.value).where(revisions.c.name == "accounts"))
    return int(found or 0)
