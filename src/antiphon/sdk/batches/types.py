"""What the calls of batches return, and what stands on the lines of results."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from antiphon.sdk.errors import APIStatusError
from antiphon.sdk.exchange import status_error
from antiphon.transport.base import Headers


class RequestCounts(msgspec.Struct, kw_only=True, frozen=True):
    """The requests of a batch by their state. Their sum is the number of its requests."""

    processing: int = 0
    succeeded: int = 0
    errored: int = 0
    canceled: int = 0
    expired: int = 0

    @property
    def total(self) -> int:
        return self.processing + self.succeeded + self.errored + self.canceled + self.expired


class MessageBatch(msgspec.Struct, kw_only=True, frozen=True):
    """A batch. `processing_status` is `in_progress`, `canceling` or `ended`.

    `cost` is in cents, and only Antiphon tells it; so are `waits_for` and `slowed_by`, which say
    why nothing, or little, of a batch runs now.
    """

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


class DeletedMessageBatch(msgspec.Struct, kw_only=True, frozen=True):
    id: str
    type: str = "message_batch_deleted"


class Succeeded(msgspec.Struct, kw_only=True, frozen=True):
    """A request that was answered; the only kind that is billed."""

    raw: msgspec.Raw
    type: Literal["succeeded"] = "succeeded"

    @property
    def message(self) -> Any:
        """The message, decoded when it is asked for."""
        return message_of(self.raw)


class Errored(msgspec.Struct, kw_only=True, frozen=True):
    """A request that failed. `error` is the whole envelope, as the API writes it."""

    error: dict[str, Any]
    type: Literal["errored"] = "errored"

    def exception(self) -> APIStatusError:
        """Return the error that the same request would have raised outside of a batch."""
        inner = self.error.get("error")
        kind = inner.get("type") if isinstance(inner, dict) else None
        status = STATUSES.get(kind, 500) if isinstance(kind, str) else 500
        return status_error(status, Headers(), msgspec.json.encode(self.error))


class Canceled(msgspec.Struct, kw_only=True, frozen=True):
    """A request that was not begun, as its batch was cancelled."""

    type: Literal["canceled"] = "canceled"


class Expired(msgspec.Struct, kw_only=True, frozen=True):
    """A request that was not answered within a day."""

    type: Literal["expired"] = "expired"


class UnknownResult(msgspec.Struct, kw_only=True, frozen=True):
    """A result of a type that this SDK does not know; `fields` has all of it."""

    type: str
    fields: dict[str, Any]


BatchResult = Succeeded | Errored | Canceled | Expired | UnknownResult


class BatchRow(msgspec.Struct, kw_only=True, frozen=True):
    """The result of one request of a batch. Rows come in any order: `custom_id` tells them apart.

    `result` is decoded up to the message, and the message when it is read.
    """

    custom_id: str
    result: BatchResult


class _Line(msgspec.Struct):
    custom_id: str
    result: msgspec.Raw


class _Result(msgspec.Struct):
    type: str
    message: msgspec.Raw = msgspec.Raw(b"null")
    error: dict[str, Any] = {}


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
    """Return the row of a line. Raises `msgspec.DecodeError` if it is none."""
    custom_id, result = read_line(line)
    return BatchRow(custom_id=custom_id, result=read_result(result))


def read_line(line: bytes) -> tuple[str, bytes]:
    """Return the `custom_id` of a line, and its result as it is written."""
    found = msgspec.json.decode(line, type=_Line)
    return found.custom_id, bytes(found.result)


def read_result(encoded: bytes) -> BatchResult:
    """Return a result. Raises `msgspec.DecodeError` if it is none."""
    found = msgspec.json.decode(encoded, type=_Result)
    match found.type:
        case "succeeded":
            return Succeeded(raw=found.message)
        case "errored":
            return Errored(error=found.error)
        case "canceled":
            return Canceled()
        case "expired":
            return Expired()
    return UnknownResult(type=found.type, fields=msgspec.json.decode(encoded))


def message_of(raw: msgspec.Raw | bytes) -> Any:
    """Return the message of a result."""
    return msgspec.json.decode(raw)
