"""What the calls of batches return, and what stands on the lines of results."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, TypeAlias

import msgspec

from antiphon.sdk.call import MOST_SHOWN
from antiphon.sdk.errors import APIResponseValidationError, APIStatusError
from antiphon.sdk.exchange import status_error
from antiphon.sdk.types.base import Answered, Unknown
from antiphon.sdk.types.decoding import decode_answer
from antiphon.sdk.types.message import Message
from antiphon.transport.base import Headers


class RequestCounts(Answered, kw_only=True, frozen=True):
    """The requests of a batch by their state. Their sum is the number of its requests."""

    processing: int = 0
    succeeded: int = 0
    errored: int = 0
    canceled: int = 0
    expired: int = 0

    @property
    def total(self) -> int:
        return self.processing + self.succeeded + self.errored + self.canceled + self.expired


class MessageBatch(Answered, kw_only=True, frozen=True):
    """A batch. `processing_status` is `in_progress`, `canceling` or `ended`.

    `cost` is in cents, and only Antiphon tells it; so are `waits_for` and `slowed_by`, which say
    why nothing, or little, of a batch runs now.
    """

    nested = ("request_counts",)

    id: str
    type: str = "message_batch"
    processing_status: str = "in_progress"
    request_counts: RequestCounts = RequestCounts()
    created_at: str = ""
    expires_at: str = ""
    ended_at: str | None = None
    cancel_initiated_at: str | None = None
    archived_at: str | None = None
    results_url: str | None = None
    waits_for: str | None = None
    slowed_by: str | None = None
    cost: dict[str, Any] | None = None

    @property
    def has_ended(self) -> bool:
        return self.processing_status == "ended"


class DeletedMessageBatch(Answered, kw_only=True, frozen=True):
    id: str
    type: str = "message_batch_deleted"


class ErrorObject(Answered, kw_only=True, frozen=True):
    """An error as the API writes it."""

    type: str = "api_error"
    message: str = ""
    details: dict[str, Any] | None = None


class ErrorResponse(Answered, kw_only=True, frozen=True):
    """The envelope around an error."""

    nested = ("error",)

    type: str = "error"
    error: ErrorObject = ErrorObject()
    request_id: str | None = None


class Succeeded(Answered, tag_field="type", tag="succeeded", kw_only=True, frozen=True):
    """A request that was answered; the only kind that is billed."""

    nested = ("message",)

    type: ClassVar[Literal["succeeded"]] = "succeeded"
    message: Message


class Errored(Answered, tag_field="type", tag="errored", kw_only=True, frozen=True):
    """A request that failed."""

    nested = ("error",)

    type: ClassVar[Literal["errored"]] = "errored"
    error: ErrorResponse

    def exception(self) -> APIStatusError:
        """Return the error that the same request would have raised outside of a batch."""
        status = STATUSES.get(self.error.error.type, 500)
        return status_error(status, Headers(), msgspec.json.encode(self.error.to_dict()))


class Canceled(Answered, tag_field="type", tag="canceled", kw_only=True, frozen=True):
    """A request that was not begun, as its batch was cancelled."""

    type: ClassVar[Literal["canceled"]] = "canceled"


class Expired(Answered, tag_field="type", tag="expired", kw_only=True, frozen=True):
    """A request that was not answered within a day."""

    type: ClassVar[Literal["expired"]] = "expired"


class UnknownResult(Unknown, tag_field="type", tag="\0result", kw_only=True, frozen=True):
    """A result of a type that this SDK does not know."""


BatchResult: TypeAlias = Succeeded | Errored | Canceled | Expired | UnknownResult


class BatchRow(Answered, kw_only=True, frozen=True):
    """The result of one request of a batch. Rows have no order: `custom_id` tells them apart."""

    nested = ("result",)

    custom_id: str
    result: BatchResult


class _Line(msgspec.Struct):
    custom_id: str
    result: msgspec.Raw


STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""The status of each type of error, as the API sends them."""


def read_row(line: bytes) -> BatchRow:
    """Return the row of a line. Raises `APIResponseValidationError` if it is none."""
    try:
        return decode_answer(BatchRow, line)
    except msgspec.DecodeError as error:
        raise _no_row(line, error) from error


def read_line(line: bytes) -> tuple[str, bytes]:
    """Return the `custom_id` of a line, and its result as it is written.

    Raises `APIResponseValidationError` for another line.
    """
    try:
        found = msgspec.json.decode(line, type=_Line)
    except msgspec.DecodeError as error:
        raise _no_row(line, error) from error
    return found.custom_id, bytes(found.result)


def _no_row(line: bytes, error: msgspec.DecodeError) -> APIResponseValidationError:
    shown = line[:MOST_SHOWN].decode("utf-8", "replace")
    return APIResponseValidationError(
        f"a line of results is none of the API: {error}. It begins with: {shown!r}",
        status_code=200,
        request_id=None,
    )


def row_of(custom_id: str, result: bytes) -> BatchRow:
    """Return the row of a result as it is written."""
    return read_row(msgspec.json.encode({"custom_id": custom_id, "result": msgspec.Raw(result)}))
