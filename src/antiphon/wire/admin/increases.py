"""Requests and answers about increase requests. The API has none of these: all shapes are ours."""

from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta

from antiphon.wire.admin.limits import RateLimitType, SpendPeriod, SpendScope
from antiphon.wire.base import AnswerStruct, NonEmptyStr, Param

LONGEST_TEXT = 1000

Sentence: TypeAlias = Annotated[str, Meta(min_length=1, max_length=LONGEST_TEXT)]
# In this order the decoder says of another value that it is no integer.
Amount: TypeAlias = str | int


class RateLimitTarget(Param, tag_field="type", tag="rate_limit", kw_only=True, frozen=True):
    """A rate limit: of one type, for one group, of one scope."""

    scope: SpendScope
    rate_limit_id: NonEmptyStr
    limit_type: RateLimitType


class SpendLimitTarget(Param, tag_field="type", tag="spend_limit", kw_only=True, frozen=True):
    """A spend limit: of one scope in one period."""

    scope: SpendScope
    period: SpendPeriod


LimitTarget: TypeAlias = RateLimitTarget | SpendLimitTarget


class AskForIncreaseParams(Param, kw_only=True, frozen=True):
    """The limit, the amount it should have, and why.

    `requested` is a number a minute for a rate limit, cents as a decimal string for a spend limit.
    """

    limit: LimitTarget
    requested: Amount
    reason: Sentence


class GrantIncreaseParams(Param, kw_only=True, frozen=True):
    """The amount to grant, without one the requested; `answer` is a sentence to the asker."""

    granted: Amount | None = None
    answer: Sentence | None = None


class RefuseIncreaseParams(Param, kw_only=True, frozen=True):
    """The sentence that says why not."""

    answer: Sentence


class IncreaseInfo(AnswerStruct, kw_only=True, frozen=True):
    """An increase request.

    Amounts are numbers a minute for a rate limit, cents as decimal strings for a spend limit.
    `limit` has the form in which it was asked for. `current` is the limit now; it is `None` without
    one, and for whoever no longer sees it. `asked_by` and `ended_by` are actors, as in the audit
    log.
    """

    id: str
    type: Literal["limit_increase_request"] = "limit_increase_request"
    status: Literal["open", "granted", "refused", "withdrawn", "replaced"]
    limit: dict[str, Any]
    current: Amount | None
    requested: Amount
    granted: Amount | None
    reason: str
    answer: str | None
    asked_by: dict[str, Any]
    asked_at: str
    ended_by: dict[str, Any] | None
    ended_at: str | None
    replaced_by: str | None
