"""An admission request, and the admission: the one object that accounts for a request.

AdmissionRequest ─► Admitter ─► Admission: prompt, produced …, close
                                   ├─ its record: a slot of the journal, or of a batch in memory
                                   └─ its amounts of each type, used and drawn
"""

from collections.abc import Callable, Collection, Iterable
from datetime import datetime, timedelta
from typing import Any

import msgspec

from antiphon.core.billing.ledger import Closing, LedgerEntry, Opening
from antiphon.core.billing.pricing import FREE, CacheTtl, Price
from antiphon.core.billing.usage import Outcome, TokenCounts
from antiphon.core.limits.rate_limits import Amounts, LimitType, RateLimits
from antiphon.core.limits.values import Draw
from antiphon.core.request_records import microseconds
from antiphon.service.access import Caller
from antiphon.service.limits.records import Record, Records
from antiphon.wire.messages import ServiceTier

_INPUT, _OUTPUT = LimitType.INPUT, LimitType.OUTPUT


class AdmissionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The properties of a request that limits and prices depend on.

    `input_tokens` is the size of the prompt, or an upper bound of it if it is not `exact`.
    `max_output` is the most tokens of the answer; `caches` are the lifetimes of the cache entries
    that the prompt may write. `planned_reads` are the tokens of the prompt that its plan reads from
    the prompt cache: rate limits do not count them, but the worst case does. `retries` is the
    number of earlier tries, if the client states it. A request of a batch has its `batch_id`: no
    rate limit counts it, and `is_parked` tells whether it stands still for interactive ones.
    `note_first_token` gets the seconds from admission to the first token, `note_money_wait` those
    of a wait for money. A search of the web costs `search_price`.
    """

    caller: Caller
    request_id: str
    model: str
    served_model: str
    group: str
    price: Price
    input_tokens: int
    max_output: int
    exact: bool = True
    caches: Collection[CacheTtl] = ()
    planned_reads: int = 0
    retries: int | None = None
    batch_id: str | None = None
    is_parked: Callable[[], bool] = lambda: False
    note_first_token: Callable[[float], None] | None = None
    note_money_wait: Callable[[float], None] | None = None
    search_price: int = 0

    @property
    def tier(self) -> ServiceTier:
        """The tier, which decides about the price and the limits."""
        return "standard" if self.batch_id is None else "batch"

    @property
    def amounts(self) -> Amounts:
        """The amounts to draw at admission."""
        if self.batch_id is not None:
            return {}
        return {LimitType.REQUESTS: 1, _INPUT: self.input_tokens - self.planned_reads}

    def opening(self, now: datetime, money_s: float = 0.0) -> Opening:
        """Return the record of the request, which came at `now` and waited so long for money."""
        caller = self.caller
        return Opening(
            id=self.request_id,
            started_at=now,
            model=self.model,
            served_model=self.served_model,
            api_key_id=caller.key_id or None,
            # In the ledger and the reports the Default workspace is `None`.
            workspace_id=None if caller.in_default_workspace else caller.workspace_id,
            account_id=caller.key.created_by,
            batch_id=self.batch_id,
            service_tier=self.tier,
            price=self.price,
            money_us=microseconds(money_s),
            search_price=self.search_price,
        )


class Admission:
    """An admitted request: its record, and its amounts under the rate limits.

    `headers` report the rest of the limits to the caller; `input_tokens` is the size of the prompt
    from the admission request. `close` ends the admission; later calls change nothing. The
    counters settle it soon after, exactly once, even if the process is killed; that of a batch,
    once its entry is in the database. `is_parked` tells whether it stands still for others;
    `extensions` are the names of what the counters hold for it besides its own.
    """

    __slots__ = (
        "_drawn",
        "_first_token_at",
        "_note_first_token",
        "_opening",
        "_rates",
        "_record",
        "_records",
        "_used",
        "extensions",
        "headers",
        "input_tokens",
        "is_parked",
        "produced",
    )

    produced: Callable[[int, int], None]
    """Records all tokens produced so far, before the last of them is sent.

    Called for every token of every answer: from the second on it is the record's own function.
    """

    def __init__(  # noqa: PLR0913 - what an admission accounts for
        self,
        records: Records[Any],
        opening: Opening,
        rates: RateLimits,
        drawn: Amounts,
        headers: dict[str, str],
        *,
        input_tokens: int = 0,
        note_first_token: Callable[[float], None] | None = None,
        is_parked: Callable[[], bool] = lambda: False,
    ) -> None:
        """Open a record. Raises `StoreError` and `OSError`."""
        self.headers = headers
        self.input_tokens = input_tokens
        self.is_parked = is_parked
        self._records = records
        self._note_first_token = note_first_token
        self._opening = opening
        self._rates = rates
        self._drawn = drawn
        self._used = dict(drawn)
        self._first_token_at: datetime | None = None
        self.extensions: tuple[str, ...] = ()
        self._record: Record | None = records.open(opening)
        self.produced = self._first_produced

    @property
    def id(self) -> str:
        return self._opening.id

    @property
    def reservations(self) -> tuple[str, ...]:
        """The names of what the counters hold for it: its own, then those of its extensions."""
        return (self.id, *self.extensions)

    def extend(self, reservation: str) -> None:
        """Note that the counters hold more for it, under this name."""
        self.extensions += (reservation,)

    @property
    def opening(self) -> Opening:
        """What is recorded of it since its admission."""
        return self._opening

    @property
    def running(self) -> TokenCounts | None:
        """The tokens so far; `None` once it has ended."""
        return None if self._record is None else self._record.tokens

    @property
    def first_token_at(self) -> datetime | None:
        return self._first_token_at

    @property
    def price(self) -> Price:
        """The price of its tokens, also after its end."""
        return self._opening.price

    @property
    def reserved(self) -> bool:
        """Whether the counters hold money for it."""
        return self._opening.price != FREE or bool(self.extensions)

    def expect(self) -> None:
        """Record the size of the prompt before it is read: it is due if the process dies."""
        if self._record is not None:
            self._record.prompt(TokenCounts(input=self.input_tokens))

    def prompt(self, tokens: TokenCounts) -> None:
        """Record the real tokens of the prompt before they are reported; they are due from now."""
        if self._record is not None:
            self._used[_INPUT] = _limited_input(tokens)
            self._record.prompt(tokens)

    def searched(self) -> None:
        """Record a search of the web before its results are told; it is due from now."""
        if self._record is not None:
            self._record.searched(self._record.searches + 1)

    def _first_produced(self, output: int, thinking: int) -> None:
        record = self._record
        if record is None:
            return
        self._first_token_at = now = self._records.now()
        record.first_token(now)
        if self._note_first_token is not None:
            waited = timedelta(microseconds=self._opening.money_us)
            self._note_first_token((now - self._opening.started_at - waited).total_seconds())
        record.produced(output, thinking)
        self.produced = record.produced

    def close(
        self,
        outcome: Outcome,
        tokens: TokenCounts | None = None,
        *,
        stop_reason: str | None = None,
        error_type: str | None = None,
    ) -> LedgerEntry | None:
        """Write the bill and return it, or `None` if it has been written before.

        A bill in the journal cannot be lost. Without `tokens` the recorded amounts are due.
        """
        record, self._record = self._record, None
        if record is None:
            return None
        self.produced = _nothing_more
        closing = Closing(
            tokens=record.tokens if tokens is None else tokens,
            outcome=outcome,
            ended_at=self._records.now(),
            first_token_at=self._first_token_at,
            stop_reason=stop_reason,
            error_type=error_type,
            # Who paid for them is not the caller's concern if the request fails: it is free.
            web_searches=0 if outcome is Outcome.FAILED else record.searches,
        )
        self._used[_INPUT] = _limited_input(closing.tokens)
        self._used[_OUTPUT] = closing.tokens.output
        return self._records.close(record, self._opening, closing)

    def undrawn(self) -> tuple[Draw, ...]:
        """Return the draws of used amounts that were not drawn yet; negative ones give back."""
        used, drawn = self._used_now(), self._drawn
        return () if used == drawn else self._rates.corrections(used, drawn)

    def mark_drawn(self) -> None:
        """Record that the used amounts have been drawn."""
        self._drawn = dict(self._used_now())

    def _used_now(self) -> Amounts:
        if self._record is not None:
            # Output grows with every event, and is drawn now and then.
            self._used[_OUTPUT] = self._record.tokens.output
        return self._used


def _nothing_more(output: int, thinking: int) -> None:
    """Record nothing: the admission is closed, and its record may be another's."""


def draw_together(admissions: Iterable[Admission]) -> tuple[Draw, ...]:
    """Add up the undrawn amounts of these requests, bucket by bucket, and mark them as drawn."""
    found: dict[str, Draw] = {}
    for admission in admissions:
        undrawn = admission.undrawn()
        for draw in undrawn:
            before = found.get(draw.bucket)
            amount = draw.amount + (before.amount if before else 0)
            found[draw.bucket] = Draw(draw.bucket, draw.limit, amount)
        if undrawn:
            admission.mark_drawn()
    return tuple(found.values())


def _limited_input(tokens: TokenCounts) -> int:
    """Return the tokens of a prompt that the limits count: reads of the prompt cache are free."""
    return tokens.input + tokens.cache_write_5m + tokens.cache_write_1h
