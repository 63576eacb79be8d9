"""The current accounts in memory: requests need no query of the database."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import datetime

import anyio

from antiphon.core.ids import ID_ENTROPY, organization_id, workspace_id
from antiphon.logs import EventLog
from antiphon.service.background import background
from antiphon.store.accounts import note_use
from antiphon.store.database.changes import ChangeSignal
from antiphon.store.database.database import Database, in_time
from antiphon.store.database.errors import DatabaseUnavailableError, StoreError
from antiphon.store.directory import Directory, read_directory
from antiphon.store.organizations import Organization, find_organization, found_organization
from antiphon.store.workspaces import Workspace

# The time after which a database that has not answered is taken for silent.
READ_S = 15.0
DEFAULT_COLOR = "#6C5BB9"


class Accounts:
    """The directory, read again only when the signal reports a change of an account.

    Any process may change an account. A look at the signal takes microseconds, so a revoked key
    fails on the very next request.
    """

    def __init__(self, database: Database, signal: ChangeSignal, limit_s: float = READ_S) -> None:
        self._database = database
        self._signal = signal
        self._limit_s = limit_s
        self._version: int | None = None
        self._directory: Directory | None = None
        self._reading = anyio.Lock()
        self._failures = 0
        self._last_failure = ""

    async def current(self) -> Directory:
        """Return the current accounts. Raises `StoreError` if they cannot be read."""
        version = self._signal.version()
        if self._directory is None or version != self._version:
            return await self._read_again()
        return self._directory

    async def _read_again(self) -> Directory:
        failures = self._failures
        async with self._reading:
            # A read may take seconds to fail, and those who wait for it wait no longer than that.
            if failures != self._failures:
                raise DatabaseUnavailableError(self._last_failure)
            # Read before the accounts: a change in between is noticed the next time.
            version = self._signal.version()
            if self._directory is None or version != self._version:
                self._directory = await self._read()
                self._version = version
            return self._directory

    async def _read(self) -> Directory:
        try:
            async with in_time(self._limit_s), self._database.read() as connection:
                return await read_directory(connection)
        except DatabaseUnavailableError as error:
            self._failures += 1
            self._last_failure = str(error)
            raise


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


class KeyUsage:
    """Notes the last uses of keys, and writes them together; a failed write is repeated."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now
        self._uses: dict[str, datetime] = {}
        self._log = EventLog(__name__)

    def note(self, key_id: str) -> None:
        """Note a use of a key."""
        self._uses[key_id] = self._now()

    async def write(self) -> None:
        """Write the uses noted since the last write. Raises `StoreError`."""
        uses, self._uses = self._uses, {}
        if not uses:
            return
        try:
            async with self._database.write() as connection:
                await note_use(connection, uses)
        except StoreError:
            self._uses = {**uses, **self._uses}
            raise

    async def _keep_writing(self) -> None:
        while True:
            await anyio.sleep(WRITE_EVERY_S)
            await self._try_to_write()

    async def _try_to_write(self) -> None:
        try:
            await self.write()
        except StoreError as error:
            self._log.warning("uses of keys not written", reason=str(error))

    @asynccontextmanager
    async def writing(self) -> AsyncGenerator[None]:
        """Write the uses regularly, and at the end of the block."""
        try:
            async with background("antiphon-key-uses", self._keep_writing):
                yield
        finally:
            with anyio.CancelScope(shield=True):
                await self._try_to_write()
