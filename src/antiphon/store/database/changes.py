"""Signals changes of the accounts to every process, without a query per request."""

from typing import Protocol

from sqlalchemy import select

from antiphon.store.database.connection import AsyncConnection
from antiphon.store.database.tables import revisions

CHANNEL = "antiphon_accounts"

# The rows of `revision`: the first counts changes, and each is a lock.
ACCOUNTS = "accounts"
BATCHES = "batches"

# Set on a connection whose transaction changes an account; `Database.write` reads it.
CHANGES_ACCOUNTS = "antiphon.changes_accounts"


class ChangeSignal(Protocol):
    """Reports whether a copy of the accounts in memory is still current.

    Keep the version from *before* reading; while `version()` returns the same, nothing has
    changed. It returns without waiting, in microseconds, and is called for every request::

        if (version := signal.version()) != self._version:
            async with database.read() as connection:
                self._keys = await active_keys(connection)
            self._version = version

    A flag that is cleared when it is read would let a second request pass with the old keys while
    the first one reloads them.
    """

    def version(self) -> int: ...

    def touch(self) -> None:
        """Note that this process itself has just committed a change."""

    async def aclose(self) -> None: ...


async def announce(connection: AsyncConnection) -> None:
    """Count a change of the accounts; every process notices it on commit, none on rollback."""
    accounts = revisions.c.name == ACCOUNTS
    await connection.execute(revisions.update().where(accounts).values(value=revisions.c.value + 1))
    connection.info[CHANGES_ACCOUNTS] = True
    if connection.dialect.name == "postgresql":
        await connection.exec_driver_sql(f"NOTIFY {CHANNEL}")


async def claim(connection: AsyncConnection, name: str = ACCOUNTS) -> None:
    """Lock the accounts, or what else is named, against other changes until this transaction ends.

    On SQLite writing transactions run one after the other. On PostgreSQL another transaction could
    change a row between the reading and the writing of this one: a key could be created in a
    workspace that is being archived.
    """
    if connection.dialect.name == "postgresql":
        row = select(revisions.c.value).where(revisions.c.name == name)
        await connection.execute(row.with_for_update())


async def revision(connection: AsyncConnection) -> int:
    """Return the number of changes of the accounts since the database was created."""
    found = await connection.scalar(select(revisions.c.value).where(revisions.c.name == ACCOUNTS))
    return int(found or 0)
