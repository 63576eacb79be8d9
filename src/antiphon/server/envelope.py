"""The envelope of errors, and what stands in the head beside it: the same whoever refuses."""

from antiphon.core.errors import ApiError
from antiphon.wire.errors import ErrorDetail, ErrorEnvelope

# Statuses below 500 that may pass when the same request is sent again.
RETRYABLE = frozenset({408, 409, 429})
FIRST_SERVER_ERROR = 500


def envelope(error: ApiError, request_id: str) -> ErrorEnvelope:
    """Return the body of an answer that is an error."""
    return ErrorEnvelope(error=detail(error), request_id=request_id)


def detail(error: ApiError) -> ErrorDetail:
    """Return what is wrong, as the body of an answer and the last event of a stream say it."""
    # Claude Code knows the sentences that it reads only where `details` stands beside them.
    details = {"error_code": error.error_code, **error.details} if error.error_code else None
    return ErrorDetail(type=error.type, message=error.message, details=details)


def headers(error: ApiError) -> dict[str, str]:
    """Return what the head of such an answer says; SDKs obey it before the status."""
    may_pass = error.status in RETRYABLE or error.status >= FIRST_SERVER_ERROR
    return {**error.headers, "x-should-retry": "true" if may_pass else "false"}
