"""What a refused caller is told, and what the request log has of it."""

from datetime import datetime

from antiphon.core.billing.pricing import worst_case
from antiphon.core.errors import RateLimitError
from antiphon.core.limits.rate_limits import rate_limit_error
from antiphon.core.limits.refusals import RefusedBy
from antiphon.core.limits.spend import Attempt, SpendCap, Told
from antiphon.core.limits.values import Hold, Limited, Scope
from antiphon.service.access import Caller
from antiphon.service.limits.admission import AdmissionRequest
from antiphon.service.limits.applied import AppliedLimits
from antiphon.store.counters.base import Counters, CountersError
from antiphon.wire.admin.limits import BucketInfo


def worst_case_of(request: AdmissionRequest, max_output: int) -> int:
    """Return the most nano-dollars that a request can cost with an answer of so many tokens."""
    return worst_case(request.price, request.input_tokens, max_output, request.caches, request.tier)


async def told_of(request: AdmissionRequest, cap: SpendCap, hold: Hold, counters: Counters) -> Told:
    """Return what the caller of a request may know of the spend limit that refuses it."""
    caller = request.caller
    left = None
    try:
        (balance,) = await counters.balance((hold.account,))
        left = cap.amount - balance.spent
    except CountersError:
        # The refusal stands; what would fit is not known now.
        pass
    return Told(
        amount=cap.scope != Scope.ORGANIZATION or caller.sees_organizations_limits,
        key_name=caller.key.name,
        attempt=Attempt(hold.amount, worst_case_of(request, min(1, request.max_output)), left),
    )


def too_many(
    verdict: Limited, caller: Caller, model: str | None, limits: AppliedLimits, now: datetime
) -> RateLimitError:
    """Return the refusal of a rate limit, with the levels of all buckets of the caller."""
    refusal = rate_limit_error(
        limits.rates.limits[verdict.index],
        verdict.retry_after_ms,
        organization_id=caller.organization_id,
        model=model,
    )
    refusal.headers |= limits.rates.headers(verdict.levels, now)
    levels = tuple(
        BucketInfo(
            scope=limit.scope,
            scope_id=limit.scope_id,
            type=limit.type,
            limit=limit.limit,
            remaining=level.remaining,
            full_in_ms=level.full_in_ms,
        )
        for limit, level in zip(limits.rates.limits, verdict.levels, strict=True)
    )
    refusing = limits.rates.limits[verdict.index]
    refusal.refused_by = RefusedBy(
        kind="rate_limit",
        limit=refusing.limit,
        scope=refusing.scope,
        scope_id=refusing.scope_id,
        type=refusing.type,
        retry_after_ms=verdict.retry_after_ms,
        buckets=levels,
    )
    return refusal


def by_money(cap: SpendCap, *, held: bool) -> RefusedBy:
    """Return what the request log has of a spend limit that refused."""
    return RefusedBy(
        kind="spend_limit",
        limit=cap.amount,
        scope=Scope(cap.scope),
        scope_id=cap.scope_id,
        type=cap.period,
        held=held,
    )
