"""The accounts in memory, as they are now: no question to the database for a request."""

from collections.abc import Callable
from datetime import datetime

import anyio

from antiphon.core.ids import ID_ENTROPY, organization_id, workspace_id
from antiphon.store.database.changes import ChangeSignal
from antiphon.store.database.database import Database
from antiphon.store.directory import Directory, read_directory
from antiphon.store.organizations import Organization, find_organization, found_organization
from antiphon.store.workspaces import Workspace

DEFAULT_COLOR = "#6C5BB9"


class Accounts:
    """The directory, read again only when the signal says that an account has changed.

    Whichever process changes one; asking the signal takes microseconds, so a revoked key fails on
    the very next request.
    """

    def __init__(self, database: Database, signal: ChangeSignal) -> None:
        self._database = database
        self._signal = signal
        self._version: int | None = None
        self._directory: Directory | None = None
        self._reading = anyio.Lock()

    async def current(self) -> Directory:
        """Return the accounts as they are now."""
        version = self._signal.version()
        if self._directory is None or version != self._version:
            return await self._read_again()
        return self._directory

    async def _read_again(self) -> Directory:
        async with self._reading:
            # Kept from before the reading: a change in between is noticed the next time.
            version = self._signal.version()
            if self._directory is None or version != self._version:
                async with self._database.read() as connection:
                    self._directory = await read_directory(connection)
                self._version = version
            return self._directory


async def establish(
    database: Database, entropy: Callable[[int], bytes], now: Callable[[], datetime]
) -> None:
    """Found the organization, with its Default workspace, if nobody has yet."""
    async with database.read() as connection:
        if await find_organization(connection) is not None:
            return
    async with database.write() as connection:
        # Another process may have been quicker.
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
