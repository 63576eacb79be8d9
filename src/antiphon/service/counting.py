"""The counters of a server: made as its settings say, and told what was spent before."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, time, timedelta

from antiphon.core.spend import account_name
from antiphon.core.spending import PERIODS, start_of
from antiphon.settings import Settings
from antiphon.store.counters.base import Counters
from antiphon.store.counters.memory import MemoryCounters
from antiphon.store.counters.seeding import Seed
from antiphon.store.database import Database
from antiphon.store.directory import read_directory
from antiphon.store.errors import StoreError
from antiphon.store.ledger import entries_since, spent_since
from antiphon.store.limits import Scope

# Settlements that are still on their way are at most this old.
UNDER_WAY = timedelta(hours=1)


class Sums:
    """Reads from the ledger what every account has spent."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now
        self._write: Callable[[], Awaitable[None]] | None = None

    def write_first(self, write: Callable[[], Awaitable[None]]) -> None:
        """Bring what is over, and in this process's journal only, into the ledger before."""
        self._write = write

    async def __call__(self) -> Seed:
        """Return the sums of the running periods, in one state of the ledger.

        Raises `StoreError`.
        """
        if self._write is not None:
            try:
                await self._write()
            except OSError as error:
                raise StoreError(str(error)) from error
        return await self._read()

    async def _read(self) -> Seed:
        now = self._now()
        days = {period: start_of(period, now) for period in PERIODS}
        moments: dict[str, datetime] = {
            period: datetime.combine(day, time(), UTC) for period, day in days.items()
        }
        spent: dict[str, int] = {}
        async with self._database.read() as connection:
            directory = await read_directory(connection)
            found = await spent_since(connection, moments)
            recent = await entries_since(connection, now - UNDER_WAY)
        for one in found:
            workspace = one.workspace_id or directory.default_workspace.id
            scopes = [(Scope.ORGANIZATION, directory.organization.id), (Scope.WORKSPACE, workspace)]
            if one.api_key_id is not None:
                scopes.append((Scope.KEY, one.api_key_id))
            for scope, scope_id in scopes:
                for period, day in days.items():
                    account = account_name(f"{scope}:{scope_id}", period, day)
                    spent[account] = spent.get(account, 0) + one.amounts[period]
        return Seed({name: amount for name, amount in spent.items() if amount}, recent)


@asynccontextmanager
async def opened_counters(
    settings: Settings, sums: Sums, house: str, clock: Callable[[], int] | None = None
) -> AsyncGenerator[Counters]:
    """Open the counters: in memory, or in Valkey. Those in memory are to be seeded yet.

    `house` is the id of the organization: several may use one Valkey server, each with sums of
    its own. `clock` tells those in memory the time, in Unix milliseconds. Raises `CountersError`.
    """
    if settings.counters_url is None:
        yield MemoryCounters(clock)
        return
    from antiphon.store.counters.fallback import FallbackCounters  # noqa: PLC0415 - an extra
    from antiphon.store.counters.valkey import open_valkey  # noqa: PLC0415

    limits = settings.limits
    share = limits.local_share if limits.when_counters_are_away == "local" else None
    remote = open_valkey(settings.counters_url.reveal(), name=f"antiphon:{house}")
    counters = FallbackCounters(remote, sums, share=share)
    try:
        await counters.open()
        yield counters
    finally:
        await counters.aclose()
