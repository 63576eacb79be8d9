"""Requests and answers of the Admin API: rate limits, spend limits and balances."""

from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta

from antiphon.wire.base import AnswerStruct, NonEmptyStr, Param

SpendPeriod: TypeAlias = Literal["daily", "weekly", "monthly"]
RateLimitType: TypeAlias = Literal[
    "requests_per_minute", "input_tokens_per_minute_cache_aware", "output_tokens_per_minute"
]

HIGHEST_RATE = 10**10


class ModelGroup(AnswerStruct, tag_field="type", tag="model_group", kw_only=True, frozen=True):
    """The models that share their limits."""

    id: str
    display_name: str


class TokenCountGroup(AnswerStruct, tag_field="type", tag="token_count", kw_only=True, frozen=True):
    """The counting of tokens."""

    id: str


class BatchGroup(AnswerStruct, tag_field="type", tag="batch", kw_only=True, frozen=True):
    """The calls of the endpoints of Message Batches."""

    id: str


class FilesGroup(AnswerStruct, tag_field="type", tag="files", kw_only=True, frozen=True):
    """The calls of the endpoints of files."""

    id: str


GroupInfo: TypeAlias = ModelGroup | TokenCountGroup | BatchGroup | FilesGroup


class LimitValue(AnswerStruct, kw_only=True, frozen=True):
    type: str
    value: int


class LimitSource(AnswerStruct, kw_only=True, frozen=True):
    """The level at which a limit was set."""

    type: Literal["organization", "workspace", "api_key"]


class NarrowerLimitValue(AnswerStruct, kw_only=True, frozen=True):
    """A limit of a workspace or a key, beside the organization's."""

    type: str
    value: int
    org_limit: int | None
    source: LimitSource


class RateLimitInfo(AnswerStruct, kw_only=True, frozen=True):
    """The organization's limits for one group."""

    type: Literal["rate_limit"] = "rate_limit"
    id: str
    group: GroupInfo
    models: tuple[str, ...] | None
    limits: tuple[LimitValue, ...]


class WorkspaceRateLimitInfo(AnswerStruct, kw_only=True, frozen=True):
    """A workspace's limits for one group."""

    type: Literal["workspace_rate_limit"] = "workspace_rate_limit"
    rate_limit_id: str
    workspace_id: str
    group: GroupInfo
    models: tuple[str, ...] | None
    limits: tuple[NarrowerLimitValue, ...]


class KeyRateLimitInfo(AnswerStruct, kw_only=True, frozen=True):
    """A key's limits for one group. Not a part of the Claude API."""

    type: Literal["api_key_rate_limit"] = "api_key_rate_limit"
    rate_limit_id: str
    api_key_id: str
    group: GroupInfo
    models: tuple[str, ...] | None
    limits: tuple[NarrowerLimitValue, ...]


class BucketInfo(AnswerStruct, kw_only=True, frozen=True):
    """How full a rate limit's bucket was: of `limit` a minute, `remaining` were left.

    The request log has it in this form. Not a part of the Claude API.
    """

    scope: str
    scope_id: str
    type: str
    limit: int
    remaining: int
    full_in_ms: int


class RateLevelInfo(AnswerStruct, kw_only=True, frozen=True):
    """How much of a rate limit is used now. Not a part of the Claude API.

    Of `limit` a minute, `remaining` are left; more come back all the time, until it is full at
    `full_at`, which is `null` if it is full now.
    """

    type: Literal["rate_limit_level"] = "rate_limit_level"
    rate_limit_id: str
    group: GroupInfo
    scope: dict[str, Any]
    limit_type: str
    limit: int
    used: int
    remaining: int
    full_at: str | None


class LimitParam(Param, kw_only=True, frozen=True):
    """A limit to set, or with `null` to clear."""

    type: RateLimitType
    value: Annotated[int, Meta(ge=1, le=HIGHEST_RATE)] | None


class SetLimitsParams(Param, kw_only=True, frozen=True):
    limits: Annotated[list[LimitParam], Meta(min_length=1, max_length=16)]


class OrganizationSpendScope(
    Param, tag_field="type", tag="organization", kw_only=True, frozen=True
):
    """The whole organization."""


class WorkspaceSpendScope(Param, tag_field="type", tag="workspace", kw_only=True, frozen=True):
    """One workspace."""

    workspace_id: NonEmptyStr


class KeySpendScope(Param, tag_field="type", tag="api_key", kw_only=True, frozen=True):
    """One key. Not a part of the Claude API."""

    api_key_id: NonEmptyStr


SpendScope: TypeAlias = OrganizationSpendScope | WorkspaceSpendScope | KeySpendScope


class SpendLimitInfo(AnswerStruct, kw_only=True, frozen=True):
    """A spend limit. `amount` is in cents, as a decimal string."""

    id: str
    type: Literal["spend_limit"] = "spend_limit"
    scope: dict[str, Any]
    amount: str
    currency: Literal["USD"] = "USD"
    period: SpendPeriod
    is_enabled: bool = True
    created_at: str
    updated_at: str


class CreateSpendLimitParams(Param, kw_only=True, frozen=True):
    """A limit to set. It replaces the amount of a limit of the same scope and period."""

    scope: SpendScope
    amount: str | None
    period: SpendPeriod = "monthly"


class UpdateSpendLimitParams(Param, kw_only=True, frozen=True):
    amount: str


class SpendActor(AnswerStruct, tag_field="type", tag="user_actor", kw_only=True, frozen=True):
    """A member. Removed members are not listed, so none is `deleted`."""

    user_id: str
    name: str | None
    email_address: str | None
    deleted: bool = False


class SpendSummary(AnswerStruct, kw_only=True, frozen=True):
    """A limit that applies to a member in a period, and the member's spending; in cents.

    `source` is the owner of the limit: the organization, or the server for its cap.
    """

    actor: SpendActor
    scope: dict[str, str]
    source: dict[str, str]
    spend_limit_id: str
    amount: str | None
    currency: Literal["USD"] = "USD"
    period: SpendPeriod
    period_to_date_spend: str


class BalanceInfo(AnswerStruct, kw_only=True, frozen=True):
    """The spending of a scope in the current period, and the rest of its limit; in cents.

    `held` is the most that its running requests may still cost. `limit` and `remaining` are `null`
    without a limit.
    """

    type: Literal["balance"] = "balance"
    scope: dict[str, Any]
    period: SpendPeriod
    starting_at: str
    ending_at: str
    currency: Literal["USD"] = "USD"
    spent: str
    held: str
    limit: str | None
    remaining: str | None
