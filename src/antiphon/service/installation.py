"""The database of an installation: opened, migrated and founded, with the key that it signs with.

Commands need no more of the service than this and the administrative use cases.
"""

import os
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from antiphon.secret import Secret
from antiphon.service.accounts import establish
from antiphon.settings import Settings, other_default_folder
from antiphon.store.data_folder import (
    database_path,
    disk_full,
    is_used,
    lost_database,
    mark_used,
    no_database,
    open_data_folder,
    refuse_without_database,
)
from antiphon.store.database.database import (
    Database,
    OpenDatabase,
    open_database,
    server_database_name,
    sqlite_url,
)
from antiphon.store.database.errors import DiskFullError, StoreError
from antiphon.store.database.migrations import EmptyDatabaseError, migrate
from antiphon.store.organizations import installation_secret

SIGNING_KEY_SIZE = 32


async def signing_key_of(database: Database, entropy: Callable[[int], bytes]) -> bytes:
    """Return the key of an installation, with which it signs and salts; made if there is none."""
    async with database.write() as connection:
        return await installation_secret(connection, "thinking", entropy(SIGNING_KEY_SIZE))


@asynccontextmanager
async def opened_database(
    settings: Settings,
    *,
    may_found: bool = True,
    entropy: Callable[[int], bytes] = os.urandom,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    open_database: OpenDatabase = open_database,
) -> AsyncGenerator[Database]:
    """Open the database of these settings, migrate it, and found its organization.

    Without `may_found`, a database that was never founded is refused, and nothing is created.
    Raises `StoreError`, also for a data folder that was used before and has lost its database.
    """
    used = is_used(settings.data_dir)
    if settings.database_url is None:
        _prepare_folder(settings.data_dir, used=used, may_found=may_found)
    url = settings.database_url or Secret(sqlite_url(database_path(settings.data_dir)))
    async with AsyncExitStack() as stack:
        try:
            database = await _open(open_database, url)
            stack.push_async_callback(database.aclose)
            await migrate(database, may_create=may_found and not used)
            await establish(database, entropy, now)
        except EmptyDatabaseError as error:
            raise _not_founded(settings, used=used) from error
        except DiskFullError as error:
            raise disk_full(settings.data_dir) from error
        if settings.database_url is None:
            mark_used(settings.data_dir)
        yield database


async def _open(open_database: OpenDatabase, url: Secret) -> Database:
    """Open the database of a URL. An error of the URL itself begins with its place."""
    try:
        return await open_database(url.reveal())
    except StoreError as error:
        if url.place and type(error) is StoreError:
            raise StoreError(f"{url.place}: {error}") from error
        raise


def _prepare_folder(data_dir: Path, *, used: bool, may_found: bool) -> None:
    """Make the folder of an SQLite database usable. Raises `StoreError`."""
    if used or not may_found:
        refuse_without_database(data_dir, other_default_folder(data_dir))
    open_data_folder(data_dir)


def _not_founded(settings: Settings, *, used: bool) -> StoreError:
    """Return the refusal to found a database in an empty one."""
    if settings.database_url is None:
        if used:
            return lost_database(settings.data_dir)
        return no_database(settings.data_dir, other_default_folder(settings.data_dir))
    name = server_database_name(settings.database_url.reveal())
    if used:
        return lost_database(settings.data_dir, name)
    return StoreError(f"{name} is empty: correct database_url; `antiphon serve` makes a new one")
