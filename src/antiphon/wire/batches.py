"""Requests, answers and results of `/v1/messages/batches`.

Timestamps are RFC 3339 with microseconds, in UTC.
"""

from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

from antiphon.wire.base import AnswerStruct, Param
from antiphon.wire.errors import ErrorEnvelope
from antiphon.wire.money import Money

MOST_REQUESTS: Final = 100_000
"""The most requests of one batch."""

ProcessingStatus: TypeAlias = Literal["in_progress", "canceling", "ended"]
CustomId: TypeAlias = Annotated[
    str,
    Meta(
        max_length=64,
        pattern=r"^[a-zA-Z0-9_-]{1,64}\Z",
        extra={"pattern": "String should match pattern '^[a-zA-Z0-9_-]{1,64}$'"},
    ),
]


class BatchRequestParams(Param, kw_only=True, frozen=True):
    """One request of a batch. What `params` hold is checked when the request is processed."""

    custom_id: CustomId
    params: dict[str, Any]


class CreateBatchParams(Param, kw_only=True, frozen=True):
    """The body of `POST /v1/messages/batches`, which `wire.batch_body` decodes in pieces."""

    requests: Annotated[list[BatchRequestParams], Meta(min_length=1, max_length=MOST_REQUESTS)]


class RequestCounts(AnswerStruct, kw_only=True, frozen=True):
    """The requests of a batch by their state. The sum is always the number of its requests."""

    processing: int
    succeeded: int = 0
    errored: int = 0
    canceled: int = 0
    expired: int = 0


class MessageBatch(AnswerStruct, kw_only=True, frozen=True):
    """A batch. `results_url` is there once the batch has ended.

    All keys are always present but our own: `waits_for` says why no request of the batch runs,
    `slowed_by` why few of them run at once, and `cost`, once there is any,
    what its requests have cost.
    """

    id: str
    type: Literal["message_batch"] = "message_batch"
    processing_status: ProcessingStatus
    request_counts: RequestCounts
    ended_at: str | None
    created_at: str
    expires_at: str
    cancel_initiated_at: str | None
    archived_at: str | None
    results_url: str | None
    waits_for: str | msgspec.UnsetType = msgspec.UNSET
    slowed_by: str | msgspec.UnsetType = msgspec.UNSET
    cost: Money | msgspec.UnsetType = msgspec.UNSET


class BatchPage(AnswerStruct, kw_only=True, frozen=True):
    """One page of a listing; `first_id` and `last_id` are the cursors to the pages beside it."""

    data: tuple[MessageBatch, ...]
    has_more: bool
    first_id: str | None
    last_id: str | None


class DeletedBatch(AnswerStruct, kw_only=True, frozen=True):
    """The answer to a deletion."""

    id: str
    type: Literal["message_batch_deleted"] = "message_batch_deleted"


class Succeeded(AnswerStruct, tag_field="type", tag="succeeded", kw_only=True, frozen=True):
    """The message that answers a request, as it is encoded."""

    message: msgspec.Raw


class Errored(AnswerStruct, tag_field="type", tag="errored", kw_only=True, frozen=True):
    """The error of a request, in a whole envelope."""

    error: ErrorEnvelope


class Canceled(AnswerStruct, tag_field="type", tag="canceled", kw_only=True, frozen=True):
    """The batch was canceled before the request was processed."""


class Expired(AnswerStruct, tag_field="type", tag="expired", kw_only=True, frozen=True):
    """The batch expired before the request was processed."""


BatchResult: TypeAlias = Succeeded | Errored | Canceled | Expired


class ResultLine(AnswerStruct, kw_only=True, frozen=True):
    """One line of the results."""

    custom_id: str
    result: BatchResult | msgspec.Raw


def result_line(custom_id: str, result: BatchResult | msgspec.Raw) -> bytes:
    """Return one line of JSON Lines, with its end.

    A result or message that is encoded already is copied as it is, and must not contain line breaks
    between its values; msgspec writes none.
    """
    return msgspec.json.encode(ResultLine(custom_id=custom_id, result=result)) + b"\n"
