"""The counters of a server: made as its settings say, and told what was spent before."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import date, datetime, timedelta

from antiphon.core.limits.periods import PERIODS, day_of, start_of
from antiphon.core.limits.spend import account_name
from antiphon.settings import Settings
from antiphon.store.counters.base import Counters
from antiphon.store.counters.memory import MemoryCounters
from antiphon.store.counters.seeding import Seed
from antiphon.store.database.database import Database
from antiphon.store.database.errors import StoreError
from antiphon.store.directory import Directory, read_directory
from antiphon.store.ledger import SpentOnDay, entries_since, spent_by_day
from antiphon.store.limits import Scope

# Settlements that are still on their way are at most this old.
UNDER_WAY = timedelta(hours=1)


class SpentTotals:
    """Reads from the ledger what every account has spent.

    `with_settled` reads the ids of the last hour's requests as well, which may be millions.
    Counters that several processes share need them. Those of one process do not: it reads its
    sums once, before it begins, and what is settled later is in none of them.
    """

    def __init__(
        self, database: Database, now: Callable[[], datetime], *, with_settled: bool
    ) -> None:
        self._database = database
        self._now = now
        self._with_settled = with_settled
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
        today = day_of(now)
        recent: tuple[str, ...] = ()
        async with self._database.read() as connection:
            directory = await read_directory(connection)
            spent = await spent_by_day(connection, min(start_of(one, today) for one in PERIODS))
            if self._with_settled:
                recent = await entries_since(connection, now - UNDER_WAY)
        return Seed(_accounts(spent, directory, today), recent)


def _accounts(spent: Iterable[SpentOnDay], directory: Directory, today: date) -> dict[str, int]:
    """Add up what was spent on every account whose period is not over today.

    Those of periods that have not begun are among them: the clock may have been set back since.
    """
    accounts: dict[str, int] = {}
    for one in spent:
        if not one.amount:
            continue
        workspace = one.workspace_id or directory.default_workspace.id
        scopes = [(Scope.ORGANIZATION, directory.organization.id), (Scope.WORKSPACE, workspace)]
        if one.api_key_id is not None:
            scopes.append((Scope.KEY, one.api_key_id))
        for period in PERIODS:
            start = start_of(period, one.day)
            if start < start_of(period, today):
                continue
            for scope, scope_id in scopes:
                account = account_name(f"{scope}:{scope_id}", period, start)
                accounts[account] = accounts.get(account, 0) + one.amount
    return accounts


@asynccontextmanager
async def opened_counters(
    settings: Settings, sums: SpentTotals, house: str, clock: Callable[[], int] | None = None
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
