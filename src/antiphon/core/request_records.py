"""What the request log has of one finished request: facts and figures, never a text."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from antiphon.core.billing.ledger import LedgerEntry
from antiphon.core.billing.pricing import CacheTtl, Price
from antiphon.core.billing.usage import Outcome, TokenCounts
from antiphon.core.limits.refusals import RefusedBy
from antiphon.core.moments import microseconds_of
from antiphon.core.prompt_cache import CacheClaim, CachePlan, CachePoint

MESSAGES: Final = "/v1/messages"
"""The route of every message, also of those in batches."""

_MICROSECONDS = 1_000_000
_SUCCEEDED = 200
_WITHOUT_CALLER = (401, 403)
_FAILED = 500


class BreakpointUse(msgspec.Struct, frozen=True, kw_only=True):
    """A breakpoint that reaches the minimum: the tokens before it, and what became of it.

    `state` is `read` (the entry that was read reaches it), `written`, or `kept_none`: the engine
    kept nothing for it.
    """

    tokens: int
    ttl: CacheTtl
    state: str


class CacheUse(msgspec.Struct, frozen=True, kw_only=True):
    """What a request with breakpoints read from the prompt cache, and why not more.

    `planned_read` are the tokens that its plan read. `reason` is that of `x-antiphon-cache`;
    `None` if the plan was met.
    """

    read: int
    written: int
    planned_read: int
    from_disk: bool = False
    reason: str | None = None
    breakpoints: tuple[BreakpointUse, ...] = ()


class ParkedTime(msgspec.Struct, frozen=True, kw_only=True):
    """Microseconds for which the work on a request of a batch stood still for interactive ones.

    `prefill_us` are those before its first token, `decode_us` those after it.
    """

    prefill_us: int = 0
    decode_us: int = 0

    @property
    def total_us(self) -> int:
        return self.prefill_us + self.decode_us


class RequestFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What explains a request beyond its figures; kept only as far as there is something to say.

    `price` is the one at admission, in nano-dollars for a token. `parked` is how long a request of
    a batch stood still: no part of the times to its first token and from there to its end.
    """

    refused_by: RefusedBy | None = None
    cache: CacheUse | None = None
    price: Price | None = None
    parked: ParkedTime | None = None


NO_FACTS = RequestFacts()


def breakpoint_uses(plan: CachePlan | None, claim: CacheClaim | None) -> tuple[BreakpointUse, ...]:
    """Return what became of each breakpoint of a plan that reaches the minimum."""
    if plan is None or claim is None:
        return ()
    read = 0 if claim.read is None else claim.read.tokens
    written = {point.tokens for point in claim.writes}

    def state(point: CachePoint) -> str:
        if point.tokens <= read:
            return "read"
        return "written" if point.tokens in written else "kept_none"

    return tuple(
        BreakpointUse(tokens=point.tokens, ttl=point.ttl, state=state(point))
        for point in plan.writable
    )


class RunNote(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a run of a request of a batch beyond its ledger entry.

    `gate_s` and `money_s` are the seconds that the request has waited since its worker took it in
    hand: before its model, and for money that running requests held. `None` is a wait that it did
    not come to. `engine_number` is 0 where there is one engine, or it is not known.
    """

    gate_s: float | None = None
    money_s: float | None = None
    engine_number: int = 0
    facts: RequestFacts = NO_FACTS

    def after(self, before: "RunNote") -> "RunNote":
        """Return the note of a request that was run before: it has waited for both."""
        return msgspec.structs.replace(
            self,
            gate_s=_together(before.gate_s, self.gate_s),
            money_s=_together(before.money_s, self.money_s),
        )


NO_NOTE = RunNote()


class RequestRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One finished request.

    Of a refused request what was known of it is there. `workspace_id` and `api_key_id` are empty if
    there is none, or for the Default workspace; so is `model`. Times are in microseconds: the whole
    request, the wait at the gate of its model, the wait for money that running requests held, from
    there to the first token, and from that to the end. The last two are without the time for which
    it was parked, as far as that is known. `cost` is in nano-dollars.

    `engine` is the engine that answered, and `engine_number` its place among several of the model.
    `account_id` is the user of a request without a key.
    """

    id: str
    ended_at: datetime
    route: str
    status: int
    error_type: str | None = None
    api_key_id: str = ""
    workspace_id: str = ""
    model: str = ""
    served_model: str | None = None
    streamed: bool = False
    batch_id: str | None = None
    duration_us: int
    queue_us: int | None = None
    money_us: int | None = None
    prefill_us: int | None = None
    decode_us: int | None = None
    tokens: TokenCounts = TokenCounts()
    cost: int = 0
    engine: str | None = None
    engine_number: int | None = None
    account_id: str | None = None
    facts: RequestFacts = NO_FACTS

    @property
    def of_nobody(self) -> bool:
        """Whether it was refused because its caller is not known."""
        unknown = not self.api_key_id and self.account_id is None
        return unknown and self.status in _WITHOUT_CALLER

    @property
    def admitted(self) -> bool:
        """Whether it is in the ledger."""
        return self.served_model is not None


def microseconds(seconds: float) -> int:
    """Return a duration in whole microseconds, not below zero."""
    return max(0, round(seconds * _MICROSECONDS))


def phases(entry: LedgerEntry) -> tuple[int | None, int | None]:
    """Return the times of a request to its first token, and from there to its end.

    The first is without its wait for money.
    """
    if entry.first_token_at is None:
        return None, None
    prefill = _between(entry.started_at, entry.first_token_at)
    decode = _between(entry.first_token_at, entry.ended_at)
    return max(0, prefill - entry.money_us), decode


def _without(time_us: int | None, parked_us: int) -> int | None:
    return None if time_us is None else max(0, time_us - parked_us)


def _together(one: float | None, other: float | None) -> float | None:
    return other if one is None else one + (other or 0.0)


def engine_that_answered(engines: Sequence[str], number: int) -> tuple[str | None, int | None]:
    """Return the engine of a model that answered, and its place among several.

    `number` is 0 where there is one. Before the first token of several, it is open which of them
    answers.
    """
    known = number or len(engines) == 1
    return (engines[number - 1] if known else None), number or None


def _between(start: datetime, end: datetime) -> int:
    # Clocks go back sometimes.
    return max(0, microseconds_of(end - start))


def record_of_run(entry: LedgerEntry, note: RunNote, engines: Sequence[str]) -> RequestRecord:
    """Return the record of a request of a batch; `engines` are those of its model.

    The whole of it is the run that is billed, and the waits before that.
    """
    told = record_of_entry(entry)
    engine, number = engine_that_answered(engines, note.engine_number)
    waited = microseconds((note.gate_s or 0.0) + (note.money_s or 0.0))
    parked = note.facts.parked or ParkedTime()
    return msgspec.structs.replace(
        told,
        duration_us=told.duration_us + waited,
        queue_us=None if note.gate_s is None else microseconds(note.gate_s),
        money_us=None if note.money_s is None else microseconds(note.money_s),
        prefill_us=_without(told.prefill_us, parked.prefill_us),
        decode_us=_without(told.decode_us, parked.decode_us),
        engine=engine,
        engine_number=number,
        facts=note.facts,
    )


def record_of_entry(entry: LedgerEntry) -> RequestRecord:
    """Return what the ledger tells of a request that has no record of its own."""
    prefill, decode = phases(entry)
    return RequestRecord(
        id=entry.id,
        ended_at=entry.ended_at,
        route=MESSAGES,
        status=_SUCCEEDED if entry.outcome is Outcome.COMPLETED else _FAILED,
        error_type=entry.error_type,
        api_key_id=entry.api_key_id or "",
        workspace_id=entry.workspace_id or "",
        model=entry.model,
        served_model=entry.served_model,
        batch_id=entry.batch_id,
        account_id=None if entry.api_key_id else entry.account_id,
        duration_us=_between(entry.started_at, entry.ended_at),
        money_us=entry.money_us or None,
        prefill_us=prefill,
        decode_us=decode,
        tokens=entry.tokens,
        cost=entry.costs.total,
    )
