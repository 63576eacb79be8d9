"""Answers about requests: the request log, what explains a request, and the activity.

The API has none of these: all shapes are ours.
"""

from collections.abc import Mapping
from typing import Literal

from antiphon.wire.admin.limits import BucketInfo
from antiphon.wire.admin.reports import Report
from antiphon.wire.base import AnswerStruct
from antiphon.wire.messages import CacheCreation
from antiphon.wire.money import Money


class RequestLatency(AnswerStruct, kw_only=True, frozen=True):
    """Milliseconds: the whole request, and of it the waits, the prompt, the answer.

    `queue_ms` is the wait at the gate of the model, `money_ms` the one for money that running
    requests held, `parked_ms` the time for which the work on a request of a batch stood still for
    interactive ones. `prefill_ms` is from the admission to the first token, `decode_ms` from there
    to the end, both without `parked_ms`. What is not known, or was not come to, is `None`.
    """

    total_ms: float
    queue_ms: float | None = None
    money_ms: float | None = None
    parked_ms: float | None = None
    prefill_ms: float | None = None
    decode_ms: float | None = None


class RequestUsage(AnswerStruct, kw_only=True, frozen=True):
    """The tokens that are billed; `thinking_tokens` are a part of `output_tokens`."""

    input_tokens: int
    cache_creation: CacheCreation
    cache_read_input_tokens: int
    output_tokens: int
    thinking_tokens: int


class RequestInfo(AnswerStruct, kw_only=True, frozen=True):
    """One finished request. `workspace_id` is `None` for the Default workspace.

    `account_id` is the user of a request without a key. `cost` is `None` for callers who may not
    see costs.
    """

    id: str
    type: Literal["request"] = "request"
    ended_at: str
    route: str
    status: int
    error_type: str | None
    api_key_id: str | None
    workspace_id: str | None
    model: str | None
    served_model: str | None
    streamed: bool
    batch_id: str | None
    account_id: str | None
    latency: RequestLatency
    usage: RequestUsage
    cost: Money | None


class Named(AnswerStruct, kw_only=True, frozen=True):
    """An object, with its present name; `None` if it is gone."""

    id: str
    name: str | None


class RefusedByInfo(AnswerStruct, kw_only=True, frozen=True):
    """The limit that refused a request.

    `type` is the type of a rate limit, or the period of a spend limit. `limit` is an amount a
    minute, a number of waiting requests, or cents, which are `None` for callers who may not see
    costs. `held`: there is money, which requests hold that were running.
    """

    kind: str
    limit: str | int | None
    scope: str | None
    scope_id: str | None
    type: str | None
    held: bool
    retry_after_ms: int | None
    buckets: tuple[BucketInfo, ...]


class BreakpointInfo(AnswerStruct, kw_only=True, frozen=True):
    """A breakpoint: the tokens before it, and whether they were read, written, or not kept."""

    tokens: int
    ttl: str
    state: str


class CacheUseInfo(AnswerStruct, kw_only=True, frozen=True):
    """What a request did with the prompt cache; `reason` says why it read no more."""

    read_tokens: int
    written_tokens: int
    planned_read_tokens: int
    source: Literal["memory", "disk"] | None
    reason: str | None
    breakpoints: tuple[BreakpointInfo, ...]


class RequestCost(AnswerStruct, kw_only=True, frozen=True):
    """One line of a bill: so many tokens at so many dollars a million, in cents.

    `dollars_per_million` is `None` where the price is not recorded.
    """

    token_type: str
    tokens: int
    dollars_per_million: str | None
    amount: str


class RequestExplanation(RequestInfo, kw_only=True, frozen=True):
    """A request, and why it went as it did, as far as it is recorded.

    `engines` are the engines of the model that answers, `engine` is the one that answered, and
    `engine_number` its place among several. `recorded` says whether the request is in the request
    log, or only in the ledger, which knows less.
    """

    recorded: bool
    api_key: Named | None
    workspace: Named | None
    account: Named | None
    engines: tuple[str, ...]
    engine: str | None
    engine_number: int | None
    refused_by: RefusedByInfo | None
    cache: CacheUseInfo | None
    costs: tuple[RequestCost, ...]


class FirstTokenTimes(AnswerStruct, kw_only=True, frozen=True):
    """Milliseconds from admission to the first token; percentiles are told from classes."""

    mean_ms: int
    p50_ms: int
    p95_ms: int


class ActivityResult(AnswerStruct, kw_only=True, frozen=True):
    """What happened in a bucket. A dimension that it is not grouped by is `None`.

    `requests` are all, of which `refused` were not admitted; `errors` counts them by type, also
    those after admission. `cache_read_share` is the share of the prompts' tokens that was read.
    `cost` and `saved` are `None` for callers who may not see costs.
    """

    requests: int
    refused: int
    errors: Mapping[str, int]
    uncached_input_tokens: int
    cache_creation_input_tokens: int
    cache_read_input_tokens: int
    output_tokens: int
    cache_read_share: float | None
    cost: Money | None
    saved: Money | None
    first_token: FirstTokenTimes | None
    api_key_id: str | None = None
    workspace_id: str | None = None
    model: str | None = None


class ActivityReport(Report[ActivityResult], kw_only=True, frozen=True):
    """The activity; `total` is that of all its buckets and groups."""

    total: ActivityResult


class RunningRequest(AnswerStruct, kw_only=True, frozen=True):
    """A request that is running: what is known of it before its end.

    `is_parked`: it is of a batch, and stands still for interactive requests.
    """

    id: str
    type: Literal["running_request"] = "running_request"
    started_at: str
    first_token_at: str | None
    api_key_id: str | None
    account_id: str | None
    workspace_id: str | None
    model: str
    served_model: str
    batch_id: str | None
    input_tokens: int
    output_tokens: int
    is_parked: bool


class ModelQueue(AnswerStruct, kw_only=True, frozen=True):
    """How many interactive requests of a model run, and how many wait for their turn."""

    id: str
    running: int
    waiting: int


class RunningRequests(AnswerStruct, kw_only=True, frozen=True):
    """What runs in the process that answers: `total` requests, the longest running first."""

    data: tuple[RunningRequest, ...]
    total: int
    models: tuple[ModelQueue, ...]
