"""Signals changes of the accounts to every process, without a query per request."""

from enum import StrEnum
from typing import Final, NamedTuple, Protocol

from sqlalchemy import delete, insert, select

from antiphon.store.database.connection import AsyncConnection
from antiphon.store.database.tables import account_changes, revisions

CHANNEL = "antiphon_accounts"

# The rows of `revision`: the first counts changes, and each is a lock.
ACCOUNTS = "accounts"
BATCHES = "batches"

KEPT: Final = 10_000
"""How many changes are told one by one; whoever has missed more reads all accounts."""

EVERYBODY: Final = ""
"""Stands for the id of every user in a change of people."""

NO_REVISION: Final = -1
"""What whoever has read nothing yet knows."""


class ChangeKind(StrEnum):
    """What a change was of. `PEOPLE` are users, members, passwords and sessions of browsers.

    Its id is that of a user, and `EVERYBODY` for all of them.
    """

    KEY = "key"
    ARCHIVED_KEYS = "archived_keys"  # every key of a workspace
    WORKSPACE = "workspace"
    RATE_LIMITS = "rate_limits"
    SPEND_LIMITS = "spend_limits"
    PEOPLE = "people"
    ALL = "all"


class AccountChange(NamedTuple):
    """One change: of what, and its id. Of limits it is that of their owner."""

    kind: ChangeKind
    object_id: str = ""


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

    def breaks(self) -> int:
        """Return how often the server of the database was out of sight.

        After that it may be another one, whose history has other changes of the same revisions: a
        replica that did not get the last ones, or a restored copy.
        """

    def touch(self) -> None:
        """Note that this process itself has just committed a change."""

    async def aclose(self) -> None: ...


async def announce(connection: AsyncConnection, kind: ChangeKind, object_id: str = "") -> None:
    """Count and name a change; every process notices it on commit, none on rollback.

    Whoever announces holds the row of the revision until the transaction ends. So revisions are
    committed in their order, and none is missing.
    """
    accounts = revisions.c.name == ACCOUNTS
    counted = revisions.update().where(accounts).values(value=revisions.c.value + 1)
    number = await connection.scalar(counted.returning(revisions.c.value))
    named = {"revision": number, "kind": kind, "object_id": object_id}
    await connection.execute(insert(account_changes).values(named))
    old = account_changes.c.revision <= number - KEPT
    await connection.execute(delete(account_changes).where(old))
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


async def changes_since(
    connection: AsyncConnection, known: int
) -> tuple[int, frozenset[AccountChange] | None]:
    """Return the revision, and what has changed since a known one; `None` if that is not told.

    It is not told if it is too long ago, if all accounts have changed, if another release has
    changed them, or if the database is an older copy of itself. At worst it reads `KEPT` rows.
    """
    now = await revision(connection)
    if now == known:
        return now, frozenset()
    if known == NO_REVISION or not 0 < now - known <= KEPT:
        return now, None
    columns = account_changes.c
    since = select(columns.kind, columns.object_id).where(columns.revision > known)
    rows = (await connection.execute(since)).all()
    # A newer release may have kinds that this one does not know.
    told = set(ChangeKind) - {ChangeKind.ALL}
    if len(rows) != now - known or not {kind for kind, _ in rows} <= told:
        return now, None
    return now, frozenset(AccountChange(ChangeKind(kind), object_id) for kind, object_id in rows)
