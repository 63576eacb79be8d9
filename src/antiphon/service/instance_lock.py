"""One server on a data folder and on a database, where limits are in its memory."""

import fcntl
import os
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import structlog

from antiphon.settings import SettingsError
from antiphon.store.counters.base import Counters
from antiphon.store.counters.memory import MemoryCounters
from antiphon.store.database.database import Database
from antiphon.store.database.instance_lock import OccupiedError

LOCK = "server.lock"


@contextmanager
def lock_data_dir(data_dir: Path) -> Generator[None]:
    """Hold the data folder for this process. The lock ends with it, however it ends.

    Raises `SettingsError` if another server holds it: each would grant the whole of every limit.
    """
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(data_dir / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise SettingsError(
            f"another server uses {data_dir}; several can only share their limits in a Valkey "
            "server: set counters_url"
        ) from error
    try:
        yield
    finally:
        os.close(descriptor)


@asynccontextmanager
async def acquire_database(database: Database, counters: Counters) -> AsyncGenerator[None]:
    """Serve from a database: with counters in memory alone, otherwise with others like this.

    Counters in memory grant nothing while it is not sure that nobody else serves. Raises
    `SettingsError` if another server is there that does not share its limits with this one.
    """
    in_memory = isinstance(counters, MemoryCounters)
    log = structlog.get_logger(__name__)

    def told(reason: str | None) -> None:
        if isinstance(counters, MemoryCounters):
            counters.refuse(reason)
        if reason is not None:
            log.error("database not held", reason=reason, granting=not in_memory)

    try:
        async with database.occupied(told, alone=in_memory):
            yield
    except OccupiedError as error:
        raise SettingsError(
            f"{error}: set counters_url to the same Valkey server on both"
        ) from error
