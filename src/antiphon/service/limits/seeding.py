"""The money spent on every account, summed up from the ledger to seed the counters."""

from collections.abc import Awaitable, Callable, Iterable
from datetime import date, datetime, timedelta

from antiphon.core.limits.periods import PERIODS, day_of, start_of
from antiphon.core.limits.values import Account, Scope
from antiphon.store.batches.workers import unsettled_entries
from antiphon.store.counters.seeding import Seed
from antiphon.store.database.database import Database
from antiphon.store.database.errors import StoreError
from antiphon.store.directory import LimitDirectory, read_limit_directory
from antiphon.store.ledger import SpentOnDay, entries_since, spent_by_day

# The greatest age of a settlement that is not delivered yet.
UNDER_WAY = timedelta(hours=1)


async def _nothing_to_flush() -> None:
    """Do nothing: this process has no journal."""


class SpentTotals:
    """Reads the money spent on every account from the ledger.

    `with_settled` also reads the ids of the last hour's requests, which may be millions. Shared
    counters need them. The counters of a single process do not: it reads the sums once, before its
    first request, so they contain no later settlement.
    """

    def __init__(
        self,
        database: Database,
        now: Callable[[], datetime],
        *,
        with_settled: bool,
        flush: Callable[[], Awaitable[None]] = _nothing_to_flush,
    ) -> None:
        """Call `flush` before each read; it writes this process's own journal into the ledger."""
        self._database = database
        self._now = now
        self._with_settled = with_settled
        self._flush = flush

    async def __call__(self) -> Seed:
        """Return the sums of the current periods, in one state of the ledger.

        Raises `StoreError`.
        """
        try:
            await self._flush()
        except OSError as error:
            raise StoreError(str(error)) from error
        now = self._now()
        today = day_of(now)
        async with self._database.read() as connection:
            directory = await read_limit_directory(connection)
            spent = await spent_by_day(connection, min(start_of(one, today) for one in PERIODS))
            recent: tuple[str, ...] = ()
            if self._with_settled:
                # Those of batches whose worker has died come again, from whoever takes over.
                recent = await unsettled_entries(connection)
                recent += await entries_since(connection, now - UNDER_WAY)
        return Seed(_accounts(spent, directory, today), recent)


def _accounts(
    spent: Iterable[SpentOnDay], directory: LimitDirectory, today: date
) -> dict[Account, int]:
    """Add up the money spent on every account whose period is not over today.

    Periods that have not begun are included: the clock may have been set back since.
    """
    accounts: dict[Account, int] = {}
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
                account = Account(scope, scope_id, period, start)
                accounts[account] = accounts.get(account, 0) + one.amount
    return accounts
