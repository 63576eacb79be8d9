"""The current accounts in memory: requests need no query of the database."""

from collections.abc import Awaitable, Callable, Collection, Hashable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Generic, TypeVar

import anyio

from antiphon.core.ids import ID_ENTROPY, organization_id, workspace_id
from antiphon.logs import EventLog
from antiphon.service.background import repeated
from antiphon.store.accounts import note_use
from antiphon.store.database.changes import (
    NO_REVISION,
    AccountChange,
    ChangeSignal,
    changes_since,
)
from antiphon.store.database.connection import AsyncConnection
from antiphon.store.database.database import Database, in_time
from antiphon.store.database.errors import DatabaseUnavailableError, StoreError
from antiphon.store.directory import Directory, changed_directory, read_directory
from antiphon.store.organizations import Organization, find_organization, found_organization
from antiphon.store.workspaces import Workspace

# The time after which a database that has not answered a statement is taken for silent.
READ_S = 15.0
DEFAULT_COLOR = "#6C5BB9"

S = TypeVar("S")
K = TypeVar("K", bound=Hashable)


class Kept(Generic[S]):
    """A state in memory, brought up to date when the signal reports a change of an account.

    Any process may change an account. A look at the signal takes microseconds, so what is revoked
    fails on the very next request. `read` reads the whole state; `change` brings a known one up to
    date, and returns the same if no change concerns it. Requests wait meanwhile; what else the
    event loop does waits for a portion at a time.
    """

    def __init__(
        self,
        database: Database,
        signal: ChangeSignal,
        read: Callable[[AsyncConnection], Awaitable[S]],
        change: Callable[[AsyncConnection, S, Collection[AccountChange]], Awaitable[S]],
        limit_s: float = READ_S,
    ) -> None:
        self._database = database
        self._signal = signal
        self._read_state = read
        self._change_state = change
        self._limit_s = limit_s
        self._version: int | None = None
        self._state: S | None = None
        # That of the state. The version is another number on PostgreSQL.
        self._revision = NO_REVISION
        self._breaks = 0
        self._reading = anyio.Lock()
        self._failures = 0
        self._last_failure = ""

    async def current(self) -> S:
        """Return the current state. Raises `StoreError` if it cannot be read."""
        version = self._signal.version()
        if self._state is None or version != self._version:
            return await self._read_again()
        return self._state

    async def _read_again(self) -> S:
        failures = self._failures
        async with self._reading:
            # A read may take seconds to fail, and those who wait for it wait no longer than that.
            if failures != self._failures:
                raise DatabaseUnavailableError(self._last_failure)
            # Read before the state: a change in between is noticed the next time.
            version = self._signal.version()
            if (breaks := self._signal.breaks()) != self._breaks:
                # The revision may now stand for other changes than those that are known.
                self._breaks, self._revision = breaks, NO_REVISION
            if self._state is None or version != self._version:
                self._state, self._revision = await self._read()
                self._version = version
            return self._state

    async def _read(self) -> tuple[S, int]:
        try:
            async with in_time(self._limit_s) as anew, self._database.read() as connection:
                # A million keys take longer, but none of their portions does.
                connection.answered = anew
                revision, changes = await changes_since(connection, self._revision)
                if self._state is None or changes is None:
                    return await self._read_state(connection), revision
                return await self._change_state(connection, self._state, changes), revision
        except DatabaseUnavailableError as error:
            self._failures += 1
            self._last_failure = str(error)
            raise


class Accounts(Kept[Directory]):
    """The directory as it is now."""

    def __init__(self, database: Database, signal: ChangeSignal, limit_s: float = READ_S) -> None:
        super().__init__(database, signal, read_directory, changed_directory, limit_s)


async def establish(
    database: Database, entropy: Callable[[int], bytes], now: Callable[[], datetime]
) -> None:
    """Found the organization, with its Default workspace, if there is none."""
    async with database.read() as connection:
        if await find_organization(connection) is not None:
            return
    async with database.write() as connection:
        # Another process may have founded it meanwhile.
        if await find_organization(connection) is not None:
            return
        await found_organization(
            connection,
            Organization(
                id=organization_id(entropy(ID_ENTROPY)), name="Antiphon", created_at=now()
            ),
            Workspace(
                id=workspace_id(entropy(ID_ENTROPY)),
                name="Default",
                display_color=DEFAULT_COLOR,
                created_at=now(),
                is_default=True,
            ),
        )


WRITE_EVERY_S = 10.0


class LastUses(Generic[K]):
    """Notes the last uses of keys or sessions, and writes them together.

    `store` writes them in a transaction; a failed write is repeated. `things` names them in the
    log.
    """

    def __init__(
        self,
        database: Database,
        now: Callable[[], datetime],
        store: Callable[[AsyncConnection, Mapping[K, datetime]], Awaitable[None]],
        things: str,
    ) -> None:
        self._database = database
        self._now = now
        self._store = store
        self._things = things
        self._uses: dict[K, datetime] = {}
        self._log = EventLog(__name__)

    def note(self, used: K) -> None:
        """Note a use."""
        self._uses[used] = self._now()

    async def write(self) -> None:
        """Write the uses noted since the last write. Raises `StoreError`."""
        uses, self._uses = self._uses, {}
        if not uses:
            return
        try:
            async with self._database.write() as connection:
                await self._store(connection, uses)
        except StoreError:
            self._uses = {**uses, **self._uses}
            raise

    async def _try_to_write(self) -> None:
        try:
            await self.write()
        except StoreError as error:
            self._log.warning(f"uses of {self._things} not written", reason=str(error))

    def writing(self) -> AbstractAsyncContextManager[None]:
        """Write the uses regularly, and at the end of the block."""
        return repeated(f"antiphon-{self._things}-uses", self._try_to_write, WRITE_EVERY_S)


class KeyUsage(LastUses[str]):
    """The last uses of keys."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        super().__init__(database, now, note_use, "keys")
