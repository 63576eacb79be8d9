"""Meters running requests: draws their output, renews their leases, settles their bills."""

import asyncio
from collections.abc import Awaitable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from functools import lru_cache
from itertools import chain

import anyio

from antiphon.core.billing.ledger import LedgerEntry
from antiphon.core.limits.periods import day_of, midnight
from antiphon.core.limits.spend import accounts_of
from antiphon.core.limits.values import Account, Draw, Scope, Settlement
from antiphon.logs import EventLog
from antiphon.service.accounts import Accounts
from antiphon.service.background import background
from antiphon.service.limits.admission import Admission, draw_together
from antiphon.store.counters.base import Counters, CountersError
from antiphon.store.counters.waiting import WaitingRoom
from antiphon.store.database.errors import StoreError
from antiphon.store.directory import Directory

# A reservation whose process has died is released after this time.
LEASE_MS = 60_000
RENEW_EVERY_S = 20.0
# The interval at which new output is drawn from its buckets.
DRAW_EVERY_S = 0.05
# The bills that are settled in one step.
TOGETHER = 50


class Metering:
    """Follows admitted requests until their bills are settled.

    The ledger delivers every closed entry to `settle`, with the entries of dead processes: so every
    written bill is counted, and every counted bill is written. Asks that may wait for money go
    through `room`, and so do the settlements that free it.
    """

    def __init__(self, counters: Counters, accounts: Accounts) -> None:
        self.counters = counters
        self.room = WaitingRoom(counters)
        self._accounts = accounts
        self._running: dict[str, Admission] = {}
        # All requests of a scope and a day have the same accounts.
        self._accounts_of = lru_cache(maxsize=4096)(accounts_of)
        self._began = asyncio.Event()
        self._log = EventLog(__name__)

    def follow(self, admission: Admission) -> None:
        """Meter a request from now on, until its bill is settled."""
        self._running[admission.id] = admission
        self._began.set()

    @property
    def followed(self) -> Collection[Admission]:
        """The requests that run, and those that have ended and are not settled yet."""
        return self._running.values()

    async def settle(self, entries: Sequence[LedgerEntry]) -> None:
        """Deliver bills to the counters. Raises `StoreError` if the delivery must be repeated."""
        directory = await self._accounts.current()
        for first in range(0, len(entries), TOGETHER):
            await self._settle_part(entries[first : first + TOGETHER], directory)

    async def _settle_part(self, entries: Sequence[LedgerEntry], directory: Directory) -> None:
        """Settle a few bills in one step of the counters."""
        ended: dict[str, Admission] = {}
        settlements = []
        for entry in entries:
            admission = self._running.pop(entry.id, None)
            rest: Sequence[Draw] = ()
            if admission is not None:
                ended[entry.id] = admission
                rest = admission.undrawn()
            settlements.append(Settlement(entry.id, self._costs(entry, directory), tuple(rest)))
        try:
            await self.room.settle(*settlements)
            for admission in ended.values():
                admission.mark_drawn()
            # A bill has all that it cost; what was held for further rounds is only released.
            held = [name for one in ended.values() for name in one.extensions]
            if held:
                await self.room.settle(*(Settlement(extension, {}) for extension in held))
        except CountersError as error:
            self._running.update(ended)
            raise StoreError(str(error)) from error

    def _costs(self, entry: LedgerEntry, directory: Directory) -> dict[Account, int]:
        """Return the cost by account, for all scopes, whether or not they have a limit now."""
        if not entry.costs.total:
            return {}
        workspace_id = entry.workspace_id or directory.default_workspace.id
        scopes: tuple[tuple[Scope, str], ...] = (
            (Scope.ORGANIZATION, directory.organization.id),
            (Scope.WORKSPACE, workspace_id),
        )
        if entry.api_key_id is not None:
            scopes += ((Scope.KEY, entry.api_key_id),)
        accounts = self._accounts_of(scopes, midnight(day_of(entry.started_at)))
        return dict.fromkeys(accounts, entry.costs.total)

    def following(self) -> AbstractAsyncContextManager[None]:
        """Draw output as it is produced, and renew the leases of running requests."""
        return background("antiphon-metering", self._keep_drawing, self._keep_renewing)

    async def _keep_drawing(self) -> None:
        while True:
            await self._began.wait()
            await anyio.sleep(DRAW_EVERY_S)
            if not self._running:
                self._began.clear()
            elif draws := draw_together(self._running.values()):
                await self._try(self.counters.draw(draws))

    async def _keep_renewing(self) -> None:
        while True:
            await anyio.sleep(RENEW_EVERY_S)
            held = (one.reservations for one in self._running.values() if one.reserved)
            if reserved := list(chain.from_iterable(held)):
                await self._try(self.counters.renew(reserved, LEASE_MS))

    async def _try(self, call: Awaitable[None]) -> None:
        try:
            await call
        except CountersError as error:
            self._log.warning("counters not reached", reason=str(error))
