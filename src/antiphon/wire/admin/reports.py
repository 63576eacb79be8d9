"""Answers of the usage report and the cost report of the Admin API."""

from typing import Generic, Literal, TypeAlias, TypeVar

from msgspec import UNSET, UnsetType

from antiphon.wire.base import AnswerStruct
from antiphon.wire.messages import CacheCreation


class ServerToolUse(AnswerStruct, kw_only=True, frozen=True):
    """Uses of the server's own tools."""

    web_search_requests: int = 0


class UsageResult(AnswerStruct, kw_only=True, frozen=True):
    """The tokens of a bucket. A dimension that the report is not grouped by is `None`.

    The Default workspace is `None` as well, and so is the key of a request without one. `speed`
    is there only in reports that are grouped by it.
    """

    uncached_input_tokens: int
    cache_read_input_tokens: int
    cache_creation: CacheCreation
    output_tokens: int
    server_tool_use: ServerToolUse = ServerToolUse()
    api_key_id: str | None = None
    workspace_id: str | None = None
    model: str | None = None
    service_tier: str | None = None
    context_window: str | None = None
    inference_geo: str | None = None
    account_id: str | None = None
    service_account_id: str | None = None
    speed: str | UnsetType = UNSET


class CostResult(AnswerStruct, kw_only=True, frozen=True):
    """A cost: `amount` is in cents, exact to the nano-dollar.

    The fields from `cost_type` on hold the parts of the description, and are `None` without it.
    """

    amount: str
    currency: Literal["USD"] = "USD"
    workspace_id: str | None = None
    description: str | None = None
    cost_type: Literal["tokens", "web_search"] | None = None
    token_type: str | None = None
    model: str | None = None
    service_tier: str | None = None
    context_window: str | None = None
    inference_geo: str | None = None


Result = TypeVar("Result", bound=AnswerStruct)


class ReportBucket(AnswerStruct, Generic[Result], kw_only=True, frozen=True):
    starting_at: str
    ending_at: str
    results: tuple[Result, ...]


class Report(AnswerStruct, Generic[Result], kw_only=True, frozen=True):
    """One page of buckets, the oldest first; `next_page` leads to those after them."""

    data: tuple[ReportBucket[Result], ...]
    has_more: bool
    next_page: str | None


UsageReport: TypeAlias = Report[UsageResult]
CostReport: TypeAlias = Report[CostResult]
