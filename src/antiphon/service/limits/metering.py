"""Limits before a request, its bill after it: where counters and ledger meet.

    admit ──► produced … ──► close ──► settle
     │                        │         └─ the counters learn what it came to, once
     │                        └─ the journal has the bill: from here on it cannot be lost
     └─ one step of the counters, then a line in the journal

Counters are told by the ledger of what was closed, also of what a dead process has left, so a
bill that is written is counted, and one that is counted is written.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from functools import lru_cache

import anyio
import structlog
from msgspec.structs import replace

from antiphon.core.billing.ledger import LedgerEntry
from antiphon.core.billing.pricing import FREE, worst_case
from antiphon.core.billing.usage import TokenCounts
from antiphon.core.errors import ApiError, OverloadedError, RateLimitError
from antiphon.core.limits.periods import day_of, midnight
from antiphon.core.limits.rate_limits import (
    TOKEN_COUNT,
    LimitType,
    corrections,
    draws,
    limit_headers,
    rate_limit_error,
)
from antiphon.core.limits.spend import accounts_of, spend_error
from antiphon.core.limits.values import (
    Ask,
    Exceeded,
    Granted,
    Hold,
    Limited,
    Settlement,
    Unseeded,
    Verdict,
)
from antiphon.service.access import Caller
from antiphon.service.accounts import Accounts
from antiphon.service.background import background
from antiphon.service.ledger import Ledger
from antiphon.service.limits.admission import Admission, AdmissionRequest, opening_of, undrawn_of
from antiphon.service.limits.applied import AppliedLimits, LimitFinder, limited_accounts
from antiphon.service.limits.retry_slots import RetrySlot, RetrySlots
from antiphon.settings import LimitSettings
from antiphon.store.counters.base import Counters, CountersError
from antiphon.store.counters.memory import MemoryCounters
from antiphon.store.counters.seeding import Seed
from antiphon.store.counters.waiting import WaitingRoom
from antiphon.store.database.errors import StoreError
from antiphon.store.directory import Directory
from antiphon.store.limits import Scope

# A reservation whose process has died is given up after this time.
LEASE_MS = 60_000
RENEW_EVERY_S = 20.0
# How often the output that was produced meanwhile is drawn from its buckets.
DRAW_EVERY_S = 0.05


class Metering:
    """Admits requests, follows those that run, and settles those that are over."""

    def __init__(
        self,
        counters: Counters,
        accounts: Accounts,
        settings: LimitSettings,
        now: Callable[[], datetime],
        clock: Callable[[], int],
    ) -> None:
        self._counters = counters
        self._accounts = accounts
        self._room = WaitingRoom(counters)
        self._places = RetrySlots(counters, clock)
        self._settings = settings
        self._now = now
        self._plans = LimitFinder(settings)
        self._ledger: Ledger | None = None
        self._granted: dict[str, Admission] = {}
        # The names of accounts are the same for all requests of a day.
        self._accounts_of = lru_cache(maxsize=4096)(accounts_of)
        self._limited_accounts = lru_cache(maxsize=4096)(limited_accounts)
        self._news = asyncio.Event()
        self._log = structlog.get_logger(__name__)

    async def begin(self, ledger: Ledger, seed: Seed) -> None:
        """Learn where bills are written, and what was spent until now."""
        self._ledger = ledger
        await self._counters.seed(seed.spent, seed.settled)

    async def admit(self, caller: Caller, question: AdmissionRequest) -> Admission:
        """Let a request begin, or raise the `ApiError` that says why not.

        Nothing is charged for a refusal. A request that may fit into a spend limit once others
        are settled waits for them.
        """
        plan = self._plans.find(caller, question.group)
        now = self._now()
        try:
            verdict = await self._decide(caller, question, plan, now)
        except CountersError as error:
            raise OverloadedError from error
        if not isinstance(verdict, Granted):
            raise await self._refusal(verdict, caller, question, plan, now)
        headers = limit_headers(plan.rates, verdict.levels, now)
        try:
            entry = self._book.open(opening_of(caller, question, now))
        except (StoreError, OSError) as error:
            # What cannot be accounted for is not done, and not held either.
            await self._room.settle(Settlement(question.request_id, {}))
            raise OverloadedError from error
        size = question.input_tokens
        holds = question.price != FREE
        grant = Admission(plan, headers, entry, size, input=size, input_drawn=size, holds=holds)
        if question.exact:
            grant.prompt(TokenCounts(input=size))
        self._granted[question.request_id] = grant
        self._news.set()
        return grant

    async def _decide(
        self, caller: Caller, question: AdmissionRequest, plan: AppliedLimits, now: datetime
    ) -> Verdict:
        ask = self._ask(plan, question, now)
        if self._places.untidy:
            await self._places.tidy()
        if question.retries and (place := await self._places.claim(caller.key_id, ask.draws)):
            return await self._decide_at(place, ask)
        verdict = await self._room.admit(ask, self._settings.spend_wait_s)
        if question.retries is None or not isinstance(verdict, Limited):
            return verdict
        if plan.rates[verdict.index].type is LimitType.OUTPUT:
            return verdict
        wait_ms = await self._places.promise(caller.key_id, ask.draws, verdict.retry_after_ms)
        return verdict if wait_ms is None else replace(verdict, retry_after_ms=wait_ms)

    def _ask(self, plan: AppliedLimits, question: AdmissionRequest, now: datetime) -> Ask:
        return Ask(
            id=question.request_id,
            draws=draws(plan.rates, question.input_tokens),
            holds=self._holds(plan, question, now),
            lease_ms=LEASE_MS,
            waits=True,
        )

    def _holds(
        self, plan: AppliedLimits, question: AdmissionRequest, now: datetime
    ) -> tuple[Hold, ...]:
        """Set the worst case aside on each account; what is free passes one that is used up.

        Also where there is no limit: one that is set meanwhile has to know what runs.
        """
        if question.price is FREE:
            return ()
        most = question.max_output
        worst = worst_case(question.price, question.input_tokens, most, question.caches)
        if not worst:
            return ()
        accounts = self._limited_accounts(plan, midnight(day_of(now)))
        return tuple([Hold(name, limit, worst) for name, limit in accounts])

    async def _decide_at(self, place: RetrySlot | int, ask: Ask) -> Verdict:
        """Decide an ask for which a place was promised: it is drawn already, or not yet due."""
        if isinstance(place, int):
            return Limited(0, place, await self._counters.levels(ask.draws))
        rest = replace(ask, draws=tuple(draw for draw in ask.draws if draw not in place.drawn))
        verdict: Verdict | None = None
        try:
            # First: between the grant and its entry nobody must be able to cut in.
            levels = await self._counters.levels(ask.draws)
            verdict = await self._room.admit(rest, self._settings.spend_wait_s)
        finally:
            if not isinstance(verdict, Granted):
                with anyio.CancelScope(shield=True):
                    await self._places.give_back(place)
        if isinstance(verdict, Limited):
            refused = rest.draws[verdict.index]
            return Limited(ask.draws.index(refused), verdict.retry_after_ms, levels)
        return Granted(levels) if isinstance(verdict, Granted) else verdict

    async def _refusal(
        self,
        verdict: Verdict,
        caller: Caller,
        question: AdmissionRequest,
        plan: AppliedLimits,
        now: datetime,
    ) -> ApiError:
        match verdict:
            case Limited():
                return _too_many(verdict, caller, question.model, plan, now)
            case Exceeded(index=index):
                refusal = spend_error(plan.caps[index], now)
            case Unseeded():
                refusal = OverloadedError("What was spent is being counted. Please try again soon.")
            case _:
                # It fits, but those that run take longer than anybody wants to wait.
                refusal = OverloadedError()
        refusal.headers |= await self.standing(caller, question.group)
        return refusal

    async def count(self, caller: Caller, request_id: str, model: str) -> dict[str, str]:
        """Let tokens be counted, or raise the `ApiError` that says why not.

        That has a limit of its own and costs nothing. Returns the headers that tell what is left.
        """
        plan = self._plans.find(caller, TOKEN_COUNT)
        now = self._now()
        ask = Ask(request_id, draws(plan.rates, 0), (), LEASE_MS)
        try:
            verdict = await self._counters.admit(ask)
        except CountersError as error:
            raise OverloadedError from error
        match verdict:
            case Granted(levels=levels):
                return limit_headers(plan.rates, levels, now)
            case Limited():
                raise _too_many(verdict, caller, model, plan, now)
            case _:
                raise OverloadedError

    async def uncount(self, caller: Caller) -> dict[str, str]:
        """Give back what `count` took, for a request that was refused; tells what is left."""
        plan = self._plans.find(caller, TOKEN_COUNT)
        await self._try(self._counters.draw(corrections(plan.rates, LimitType.REQUESTS, -1)))
        return await self.standing(caller, TOKEN_COUNT)

    @property
    def _book(self) -> Ledger:
        if self._ledger is None:
            raise RuntimeError("metering has not begun")
        return self._ledger

    async def standing(self, caller: Caller, group: str) -> dict[str, str]:
        """Tell what is left of the limits, and take nothing; nothing if nobody can tell now."""
        plan = self._plans.find(caller, group)
        try:
            levels = await self._counters.levels(draws(plan.rates, 0))
        except CountersError:
            return {}
        return limit_headers(plan.rates, levels, self._now())

    async def settle(self, entries: Sequence[LedgerEntry]) -> None:
        """Tell the counters what these requests came to. Raises `StoreError` to be told again."""
        directory = await self._accounts.current()
        if self._ledger is None and isinstance(self._counters, MemoryCounters):
            # A dead process has left these. They will be in the sums that memory begins with.
            return
        for entry in entries:
            grant = self._granted.pop(entry.id, None)
            try:
                await self._settle_one(entry, grant, directory)
            except CountersError as error:
                if grant is not None:
                    self._granted[entry.id] = grant
                raise StoreError(str(error)) from error

    async def _settle_one(
        self, entry: LedgerEntry, grant: Admission | None, directory: Directory
    ) -> None:
        rest = grant.undrawn() if grant else ()
        await self._room.settle(Settlement(entry.id, self._costs(entry, directory), rest))
        if grant is not None:
            grant.mark_drawn()

    def _costs(self, entry: LedgerEntry, directory: Directory) -> dict[str, int]:
        """Charge the accounts of all scopes, whether or not they have a limit now."""
        if not entry.costs.total:
            return {}
        workspace_id = entry.workspace_id or directory.default_workspace.id
        scopes: tuple[tuple[str, str], ...] = (
            (Scope.ORGANIZATION.value, directory.organization.id),
            (Scope.WORKSPACE.value, workspace_id),
        )
        if entry.api_key_id is not None:
            scopes += ((Scope.KEY.value, entry.api_key_id),)
        names = self._accounts_of(scopes, midnight(day_of(entry.started_at)))
        return dict.fromkeys(names, entry.costs.total)

    def following(self) -> AbstractAsyncContextManager[None]:
        """Draw output as it is produced, and keep the reservations of what runs."""
        return background("antiphon-metering", self._keep_drawing, self._keep_renewing)

    async def _keep_drawing(self) -> None:
        while True:
            await self._news.wait()
            await anyio.sleep(DRAW_EVERY_S)
            if not self._granted:
                self._news.clear()
            elif produced := undrawn_of(self._granted.values()):
                await self._try(self._counters.draw(produced))

    async def _keep_renewing(self) -> None:
        while True:
            await anyio.sleep(RENEW_EVERY_S)
            if reserved := [name for name, grant in self._granted.items() if grant.holds]:
                await self._try(self._counters.renew(reserved, LEASE_MS))

    async def _try(self, telling: Awaitable[None]) -> None:
        try:
            await telling
        except CountersError as error:
            self._log.warning("counters not told", reason=str(error))


def _too_many(
    verdict: Limited, caller: Caller, model: str, plan: AppliedLimits, now: datetime
) -> RateLimitError:
    refusal = rate_limit_error(
        plan.rates[verdict.index],
        verdict.retry_after_ms,
        organization_id=caller.organization_id,
        model=model,
    )
    refusal.headers |= limit_headers(plan.rates, verdict.levels, now)
    return refusal
