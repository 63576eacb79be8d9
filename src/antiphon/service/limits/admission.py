"""What is asked of the limits, and a request that they let begin, until it has its bill."""

from collections.abc import Collection, Iterable
from datetime import datetime

import msgspec

from antiphon.core.billing.ledger import Opening
from antiphon.core.billing.pricing import CacheTtl, Price
from antiphon.core.billing.usage import Outcome, TokenCounts
from antiphon.core.limits.rate_limits import LimitType, corrections
from antiphon.core.limits.values import Draw
from antiphon.service.access import Caller
from antiphon.service.ledger import Entry
from antiphon.service.limits.applied import AppliedLimits


class AdmissionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked, as far as limits and prices care.

    `input_tokens` is the size of the prompt, or if it is not `exact` a number that the size does
    not exceed. `max_output` is the most that may be answered; `caches` are the lifetimes of the
    cache entries that the prompt may write. `retries` is how often this was tried before, if the
    client says so.
    """

    request_id: str
    model: str
    served_model: str
    group: str
    price: Price
    input_tokens: int
    max_output: int
    exact: bool = True
    caches: Collection[CacheTtl] = ()
    retries: int | None = None


class Admission(msgspec.Struct, eq=False):
    """A request that may begin. `headers` tell its caller what is left of the limits.

    `holds` says that something is set aside for it, until it is settled.
    """

    plan: AppliedLimits
    headers: dict[str, str]
    entry: Entry
    input_tokens: int
    input: int
    input_drawn: int
    holds: bool
    output: int = 0
    drawn: int = 0

    def prompt(self, tokens: TokenCounts) -> None:
        """Keep what the prompt really costs, before the caller is told."""
        self.input = _limited_input(tokens)
        self.entry.prompt(tokens)

    def produced(self, output: int, thinking: int) -> None:
        """Keep how much has been produced by now, in all, before the caller is sent it."""
        self.output = output
        self.entry.produced(output, thinking)

    def close(
        self,
        outcome: Outcome,
        tokens: TokenCounts,
        *,
        stop_reason: str | None = None,
        error_type: str | None = None,
    ) -> None:
        """Write the bill. Nothing of it is lost from here on; the counters hear of it soon."""
        self.output = tokens.output
        self.input = _limited_input(tokens)
        self.entry.close(outcome, tokens, stop_reason=stop_reason, error_type=error_type)

    def undrawn(self) -> tuple[Draw, ...]:
        """Return what was produced and not yet drawn, and what is wrong about the input."""
        output = corrections(self.plan.rates, LimitType.OUTPUT, self.output - self.drawn)
        rest = corrections(self.plan.rates, LimitType.INPUT, self.input - self.input_drawn)
        return output + rest

    def mark_drawn(self) -> None:
        """Keep that there is nothing more to draw for now."""
        self.drawn, self.input_drawn = self.output, self.input


def opening_of(caller: Caller, question: AdmissionRequest, now: datetime) -> Opening:
    """Return what the ledger knows of a request when it begins."""
    return Opening(
        id=question.request_id,
        started_at=now,
        model=question.model,
        served_model=question.served_model,
        api_key_id=caller.key_id,
        # The ledger and the reports know the Default workspace as none.
        workspace_id=None if caller.in_default_workspace else caller.workspace_id,
        account_id=caller.key.created_by,
        price=question.price,
    )


def undrawn_of(grants: Iterable[Admission]) -> tuple[Draw, ...]:
    """Add up what the requests have produced, bucket by bucket, as drawn."""
    found: dict[str, Draw] = {}
    for grant in grants:
        for draw in grant.undrawn():
            before = found.get(draw.bucket)
            amount = draw.amount + (before.amount if before else 0)
            found[draw.bucket] = Draw(draw.bucket, draw.limit, amount)
        grant.mark_drawn()
    return tuple(found.values())


def _limited_input(tokens: TokenCounts) -> int:
    """Return what a prompt draws from the limits: reads of the prompt cache are free."""
    return tokens.prompt - tokens.cache_read
