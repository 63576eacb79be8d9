"""The admission and the billing of requests, built in the only order that loses no entry.

    counters ─► lock ─► entries of the dead ─► ledger ─► totals ─► admitter

The counters come first, because the ledger delivers bills to them. The totals come after the
ledger, because this process's journal is written into it before they are read. The admitter comes
last, when the counters have read the spent amounts from the totals.

The index of the prompt cache is where the counters are, and nothing here needs it.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import datetime
from functools import partial
from typing import TypeAlias

import msgspec
from msgspec.structs import replace

from antiphon.core.billing.ledger import LedgerEntry
from antiphon.logs import EventLog
from antiphon.service.accounts import Accounts
from antiphon.service.background import background
from antiphon.service.ledger import Ledger, Receivers, open_ledger, saving_to, take_over
from antiphon.service.limits.admitter import Admitter
from antiphon.service.limits.metering import Metering
from antiphon.service.limits.seeding import SpentTotals
from antiphon.settings import Settings
from antiphon.store.batches.workers import end_leases
from antiphon.store.counters.base import CountersError
from antiphon.store.counters.fallback import FallbackCounters
from antiphon.store.counters.memory import MemoryCounters, steady_clock
from antiphon.store.data_folder import CACHE_FOLDER, JOURNAL_FOLDER
from antiphon.store.database.database import Database
from antiphon.store.journal import CreateJournal, Journal
from antiphon.store.prompt_cache.base import CacheIndex
from antiphon.store.prompt_cache.lasting import LastingCacheIndex

ServerCounters: TypeAlias = MemoryCounters | FallbackCounters

# Opens the counters of a server: settings, id of the organization, clock.
OpenCounters: TypeAlias = Callable[
    [Settings, str, Callable[[], int]], AbstractAsyncContextManager[ServerCounters]
]

# Opens the index of the prompt cache of a server, with the same arguments.
OpenCacheIndex: TypeAlias = Callable[
    [Settings, str, Callable[[], int]], AbstractAsyncContextManager[CacheIndex]
]


@asynccontextmanager
async def open_counters(
    settings: Settings, organization: str, clock: Callable[[], int]
) -> AsyncGenerator[ServerCounters]:
    """Open the counters: in memory, or in Valkey, where each organization has its own keys."""
    if settings.counters_url is None:
        yield MemoryCounters(clock)
        return
    from antiphon.store.counters.valkey import open_valkey  # noqa: PLC0415 - an extra

    try:
        remote = open_valkey(settings.counters_url.reveal(), name=f"antiphon:{organization}")
    except CountersError as error:
        raise CountersError(f"{settings.counters_url.place}: {error}") from error
    counters = FallbackCounters(remote)
    try:
        await counters.open()
        yield counters
    finally:
        await counters.aclose()


@asynccontextmanager
async def open_cache_index(
    settings: Settings, organization: str, clock: Callable[[], int]
) -> AsyncGenerator[CacheIndex]:
    """Open the index of the prompt cache: in the data folder, or in the Valkey of the counters.

    It has connections of its own, so that no admission waits behind it. Opening it asks nothing.
    """
    if settings.counters_url is None:
        index = await LastingCacheIndex.open(settings.data_dir / CACHE_FOLDER, clock)
        try:
            yield index
        finally:
            await index.aclose()
        return
    from antiphon.store.prompt_cache.valkey import ValkeyCacheIndex  # noqa: PLC0415 - an extra
    from antiphon.store.valkey import connect  # noqa: PLC0415

    url = settings.counters_url.reveal()
    shared = ValkeyCacheIndex(connect(url, name=f"antiphon:{organization}"), clock)
    try:
        yield shared
    finally:
        await shared.aclose()


class Accounting(msgspec.Struct, frozen=True):
    """The counters of limits and their metering, the ledger, the admitter, the cache's index."""

    counters: ServerCounters
    ledger: Ledger
    admitter: Admitter
    cache_index: CacheIndex
    metering: Metering


@asynccontextmanager
async def open_accounting(  # noqa: PLR0913 - the parts that tests replace
    settings: Settings,
    database: Database,
    accounts: Accounts,
    *,
    now: Callable[[], datetime],
    entropy: Callable[[int], bytes],
    clock: Callable[[], int] | None = None,
    open_counters: OpenCounters = open_counters,
    open_cache_index: OpenCacheIndex = open_cache_index,
    create_journal: CreateJournal = Journal.create,
) -> AsyncGenerator[Accounting]:
    """Open the accounting of a server until the end of the block.

    `clock` replaces that of the counters in memory: Unix milliseconds that never go back. Raises
    `CountersError`, and `StoreError`: an `OccupiedError` if another server uses the database and
    the two do not share their limits.
    """
    clock = clock or steady_clock()
    folder = settings.data_dir / JOURNAL_FOLDER
    async with AsyncExitStack() as stack:
        organization = (await accounts.current()).organization.id
        counters = await stack.enter_async_context(open_counters(settings, organization, clock))
        index = await stack.enter_async_context(open_cache_index(settings, organization, clock))
        await stack.enter_async_context(_locked(database, counters))
        metering = Metering(counters, accounts)
        receivers = Receivers(metering.settle, saving_to(database))
        # Counters in memory begin with the totals, which will contain these entries.
        in_memory = isinstance(counters, MemoryCounters)
        if in_memory:
            # This server is alone: workers with a lease died with the one before.
            async with database.write() as connection:
                await end_leases(connection)
        left = replace(receivers, settle=_settle_nothing) if in_memory else receivers
        await take_over(folder, left)
        ledger = await stack.enter_async_context(
            open_ledger(folder, receivers, now=now, entropy=entropy, create_journal=create_journal)
        )
        totals = SpentTotals(database, now, with_settled=not in_memory, flush=ledger.flush)
        if isinstance(counters, FallbackCounters):
            mending = background(
                "antiphon-counters", partial(counters.keep_whole, totals), counters.keep_watching
            )
            await stack.enter_async_context(mending)
        seed = await totals()
        await counters.seed(seed.spent, seed.settled)
        await stack.enter_async_context(metering.following())
        admitter = Admitter(metering, ledger, settings.limits, clock)
        yield Accounting(counters, ledger, admitter, index, metering)


@asynccontextmanager
async def _locked(database: Database, counters: ServerCounters) -> AsyncGenerator[None]:
    """Lock the database: exclusively for counters in memory, else with all servers that share it.

    Counters in memory grant nothing while the lock is lost: another server may have it.
    """
    log = EventLog(__name__)

    def on_change(reason: str | None) -> None:
        if isinstance(counters, MemoryCounters):
            counters.refuse(reason)
        if reason is not None:
            log.error("database not held", reason=reason, granting=not exclusive)

    exclusive = isinstance(counters, MemoryCounters)
    async with database.instance_lock(on_change, exclusive=exclusive):
        yield


async def _settle_nothing(entries: Sequence[LedgerEntry]) -> None:
    """Do nothing: counters in memory begin with the totals."""
    del entries
