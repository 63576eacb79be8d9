"""Decides about requests by spend limits and rate limits, and opens their entries in the ledger.

admit ──► Admission: produced … ──► close ──► settle
 │                                   │         └─ the counters charge the bill, once
 │                                   └─ the journal has the bill: it can no longer be lost
 └─ one step of the counters, then a slot of the journal
"""

from collections.abc import Callable
from datetime import datetime
from functools import lru_cache

import anyio
from msgspec.structs import replace

from antiphon.core.billing.pricing import FREE
from antiphon.core.errors import ApiError, OverloadedError
from antiphon.core.limits.periods import day_of, midnight
from antiphon.core.limits.rate_limits import Amounts, LimitType, RateLimits
from antiphon.core.limits.spend import named, spend_error
from antiphon.core.limits.values import (
    Ask,
    Busy,
    Exceeded,
    Granted,
    Hold,
    Limited,
    Settlement,
    Verdict,
)
from antiphon.logs import EventLog
from antiphon.service.access import Caller
from antiphon.service.ledger import Ledger
from antiphon.service.limits.admission import Admission, AdmissionRequest
from antiphon.service.limits.applied import AppliedLimits, LimitFinder, limited_accounts
from antiphon.service.limits.metering import LEASE_MS, Metering
from antiphon.service.limits.records import RecordsInMemory
from antiphon.service.limits.refusals import by_money, told_of, too_many, worst_case_of
from antiphon.service.limits.retry_slots import RetrySlot, RetrySlots
from antiphon.settings import LimitSettings
from antiphon.store.counters.base import CountersError
from antiphon.store.counters.fallback import FallbackCounters
from antiphon.store.counters.memory import MemoryCounters
from antiphon.store.database.errors import StoreError

# The pause before another try while the counters or the journal cannot be used, in seconds.
RETRY_AFTER_S = "5"
# A call of a group of endpoints draws one request, and nothing else.
_ONE_CALL: Amounts = {LimitType.REQUESTS: 1}


class _MoneyWait:
    """Keeps how long a request waits for money, and tells whoever wants to know."""

    def __init__(self, told: Callable[[float], None] | None) -> None:
        self.seconds = 0.0
        self._told = told

    def __call__(self, seconds: float) -> None:
        self.seconds = seconds
        if self._told is not None:
            self._told(seconds)


class Admitter:
    """Admits requests, or refuses them with a reason and the rest of the limits."""

    def __init__(
        self,
        metering: Metering,
        ledger: Ledger,
        settings: LimitSettings,
        clock: Callable[[], int],
    ) -> None:
        """Use a ledger and counters. `clock` returns Unix milliseconds that never go back."""
        self._counters = metering.counters
        self._room = metering.room
        self._metering = metering
        self._ledger = ledger
        self._settings = settings
        self._in_memory = RecordsInMemory(ledger.now)
        self._slots = RetrySlots(metering.counters, clock)
        self._limits = LimitFinder(settings)
        # What a request of a batch draws from.
        self._no_rates = RateLimits()
        # All requests under the same limits on a day have the same accounts.
        self._limited_accounts = lru_cache(maxsize=4096)(limited_accounts)
        self._log = EventLog(__name__)

    @property
    def refused(self) -> str | None:
        """The reason to admit nothing, of the counters or the journal; `None` if there is none."""
        return self.counters_refused or self.journal_refused

    @property
    def counters_refused(self) -> str | None:
        """The reason of the counters to admit nothing; `None` if there is none."""
        counters = self._counters
        if isinstance(counters, MemoryCounters | FallbackCounters):
            return counters.refused
        return None

    @property
    def journal_refused(self) -> str | None:
        """The reason of the journal to admit nothing; `None` if there is none."""
        return self._ledger.refused

    async def admit(self, request: AdmissionRequest) -> Admission:
        """Admit a request, or raise the `ApiError` of its refusal.

        A refusal charges nothing. A request that may fit into a spend limit once others are
        settled waits for them. A request of a batch draws from no rate limit, does not wait for
        money, and raises `SpendLimitReachedError` when a spend limit refuses it.
        """
        limits = self._limits.find(request.caller, request.group)
        in_batch = request.batch_id is not None
        rates = self._no_rates if in_batch else limits.rates
        now, amounts = self._ledger.now(), request.amounts
        ask = Ask(
            id=request.request_id,
            draws=rates.draws(amounts),
            holds=self._holds(limits, request, now),
            lease_ms=LEASE_MS,
            waits=not in_batch,
        )
        wait = _MoneyWait(request.note_money_wait)
        try:
            verdict = await self._decide(ask, request, wait)
        except CountersError as error:
            raise _unavailable() from error
        if not isinstance(verdict, Granted):
            if in_batch and isinstance(verdict, Exceeded | Busy):
                raise _kept_back(verdict, limits, now)
            raise await self._refusal(verdict, ask, request, limits)
        headers = rates.headers(verdict.levels, now)
        try:
            admission = Admission(
                self._in_memory if in_batch else self._ledger,
                request.opening(now, wait.seconds),
                rates,
                amounts,
                headers,
                input_tokens=request.input_tokens,
                note_first_token=request.note_first_token,
                is_parked=request.is_parked,
            )
        except (StoreError, OSError) as error:
            # A request without a record is refused: its holds are released, its draws given back.
            drawn = {kind: -amount for kind, amount in amounts.items()}
            undrawn = rates.corrections(drawn)
            await self._room.settle(Settlement(request.request_id, {}, undrawn))
            raise _unavailable() from error
        if request.exact:
            admission.expect()
        self._metering.follow(admission)
        return admission

    async def extend(
        self, admission: Admission, request: AdmissionRequest, before: int, input_tokens: int
    ) -> bool:
        """Hold more money for a request whose engine reads again; return whether it may go on.

        `request` is the one that was admitted, and its prompts have `input_tokens` together,
        `before` without the one to come. The bill releases what is held. Rate limits count the
        tokens once they are read, as those of the answer.
        """
        most, output = worst_case_of, request.max_output
        more = most(replace(request, input_tokens=input_tokens), output) - most(
            replace(request, input_tokens=before), output
        )
        return await self.hold_more(admission, request, more)

    async def hold_more(self, admission: Admission, request: AdmissionRequest, more: int) -> bool:
        """Hold so many nano-dollars more for a running request; return whether they are there."""
        if more <= 0:
            return True
        limits = self._limits.find(request.caller, request.group)
        # Under the accounts of the day of its admission, to which it will be charged.
        accounts = self._limited_accounts(limits, midnight(day_of(admission.opening.started_at)))
        ask = Ask(
            id=f"{admission.id}+{len(admission.reservations)}",
            draws=(),
            holds=tuple([Hold(account, limit, more) for account, limit in accounts]),
            lease_ms=LEASE_MS,
        )
        try:
            verdict = await self._counters.admit(ask)
        except CountersError as error:
            self._log.warning("counters not reached", reason=str(error))
            return False
        if not isinstance(verdict, Granted):
            return False
        admission.extend(ask.id)
        return True

    def _holds(
        self, limits: AppliedLimits, request: AdmissionRequest, now: datetime
    ) -> tuple[Hold, ...]:
        """Return holds of the worst case on each account; a free request passes every limit.

        Accounts without a limit hold it too, for a limit that is set while the request runs.
        """
        if request.price is FREE:
            return ()
        worst = worst_case_of(request, request.max_output)
        if not worst:
            return ()
        accounts = self._limited_accounts(limits, midnight(day_of(now)))
        return tuple([Hold(account, limit, worst) for account, limit in accounts])

    async def _decide(self, ask: Ask, request: AdmissionRequest, wait: "_MoneyWait") -> Verdict:
        """Decide an ask: by the retry slot of a client, or with the promise of a slot.

        A request of a batch does not wait for money: its turn would be before interactive ones.
        """
        if request.batch_id is not None:
            return await self._counters.admit(ask)
        key_id, retries = request.caller.key_id, request.retries
        if self._slots.untidy:
            await self._slots.tidy()
        if retries and (slot := await self._slots.claim(key_id, ask.draws)):
            return await self._decide_in_slot(slot, ask, wait)
        patience_s = self._settings.spend_wait_s
        verdict = await self._room.admit(ask, patience_s, wait)
        if retries is None or not isinstance(verdict, Limited):
            return verdict
        if ask.draws[verdict.index].needs_positive:
            # The amount of output is unknown, so it cannot be drawn in advance.
            return verdict
        wait_ms = await self._slots.promise(key_id, ask.draws, verdict.retry_after_ms)
        return verdict if wait_ms is None else replace(verdict, retry_after_ms=wait_ms)

    async def _decide_in_slot(
        self, slot: RetrySlot | int, ask: Ask, note_wait: Callable[[float], None] | None
    ) -> Verdict:
        """Decide an ask by its slot, whose draws are made, or by the time until it is due."""
        if isinstance(slot, int):
            return Limited(0, slot, await self._counters.levels(ask.draws))
        rest = replace(ask, draws=tuple(draw for draw in ask.draws if draw not in slot.drawn))
        verdict: Verdict | None = None
        try:
            # Read first: no call may come between the verdict and the slot of the journal.
            levels = await self._counters.levels(ask.draws)
            verdict = await self._room.admit(rest, self._settings.spend_wait_s, note_wait)
        finally:
            if not isinstance(verdict, Granted):
                with anyio.CancelScope(shield=True):
                    await self._slots.give_back(slot)
        if isinstance(verdict, Limited):
            refused = rest.draws[verdict.index]
            return Limited(ask.draws.index(refused), verdict.retry_after_ms, levels)
        return Granted(levels) if isinstance(verdict, Granted) else verdict

    async def _refusal(
        self, verdict: Verdict, ask: Ask, request: AdmissionRequest, limits: AppliedLimits
    ) -> ApiError:
        now = self._ledger.now()
        match verdict:
            case Limited():
                return too_many(verdict, request.caller, request.model, limits, now)
            case Exceeded(index=index):
                told = await told_of(request, limits.caps[index], ask.holds[index], self._counters)
                refusal = spend_error(limits.caps[index], now, told)
                refusal.refused_by = by_money(limits.caps[index], held=False)
            case Busy(index=index):
                # It would fit, but the running requests did not end in time.
                refusal = OverloadedError()
                refusal.refused_by = by_money(limits.caps[index], held=True)
            case _:
                refusal = OverloadedError("What was spent is being counted. Please try again soon.")
        refusal.headers |= await self.remaining_headers(request.caller, request.group)
        return refusal

    async def admit_call(
        self, caller: Caller, request_id: str, group: str, model: str | None = None
    ) -> dict[str, str]:
        """Admit a call of a group of endpoints, or raise the `ApiError` of its refusal.

        It has a limit of its own and costs nothing. Returns the headers of this limit. A refusal
        names the `model`, if there is one.
        """
        limits = self._limits.find(caller, group)
        now = self._ledger.now()
        ask = Ask(request_id, limits.rates.draws(_ONE_CALL), (), LEASE_MS)
        try:
            verdict = await self._counters.admit(ask)
        except CountersError as error:
            raise _unavailable() from error
        match verdict:
            case Granted(levels=levels):
                return limits.rates.headers(levels, now)
            case Limited():
                raise too_many(verdict, caller, model, limits, now)
            case _:
                raise OverloadedError

    async def give_back_call(self, caller: Caller, group: str) -> dict[str, str]:
        """Undo the draw of `admit_call` for a refused request; return the headers of the rest."""
        rates = self._limits.find(caller, group).rates
        try:
            await self._counters.draw(rates.corrections({LimitType.REQUESTS: -1}))
        except CountersError as error:
            self._log.warning("counters not reached", reason=str(error))
        return await self.remaining_headers(caller, group)

    async def remaining_headers(self, caller: Caller, group: str) -> dict[str, str]:
        """Return the headers of the rest, and draw nothing; none if the counters are away."""
        rates = self._limits.find(caller, group).rates
        try:
            levels = await self._counters.levels(rates.draws({}))
        except CountersError:
            return {}
        return rates.headers(levels, self._ledger.now())


class SpendLimitReachedError(Exception):
    """A spend limit keeps a request of a batch for later. The message says which, and how long.

    `is_held`: there is money for it, as soon as requests that are running end.
    """

    def __init__(self, message: str, *, is_held: bool = False) -> None:
        super().__init__(message)
        self.is_held = is_held


def _kept_back(
    verdict: Exceeded | Busy, limits: AppliedLimits, now: datetime
) -> SpendLimitReachedError:
    cap = limits.caps[verdict.index]
    if isinstance(verdict, Busy):
        return SpendLimitReachedError(
            f"The money that is left under {named(cap)} is held for requests that are running.",
            is_held=True,
        )
    return SpendLimitReachedError(spend_error(cap, now).message)


def _unavailable() -> OverloadedError:
    """Return the refusal while the counters, the lock or the journal cannot be used."""
    return OverloadedError(headers={"retry-after": RETRY_AFTER_S})
