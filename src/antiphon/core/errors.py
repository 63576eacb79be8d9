"""The catalogue of errors that callers can meet: one class for each `error.type` that is sent.

    ApiError
    ├── InvalidRequestError   400  the request cannot be done as it is
    │   ├── MethodNotAllowed  405  the path exists, the method does not
    │   └── RequestHeadTooLarge 431  path, query and headers
    ├── AuthenticationError   401  no key, or an unknown one
    ├── PermissionError_      403  the key is known and not allowed
    ├── NotFoundError         404  no such path, model or object
    ├── ConflictError         409  another process changed the object in the same moment
    ├── RequestTooLarge       413  the body is too large
    ├── RateLimitError        429  a rate limit, or the cap of the server
    ├── InternalError         500  `api_error`: the engine broke, or a defect
    ├── TimeoutError_         504  the engine took too long
    └── OverloadedError       529  not now; the same request may pass later

`billing_error` (402) of the API is not among them: a spend limit is a 400 or a 429.

Messages tell the caller what to change and name the field as the reference does.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from antiphon.core.limits.refusals import RefusedBy
from antiphon.wire.errors import ErrorDetail

LONGEST_SENTENCE: Final = 4096
"""The most characters of an error's message; the longest without a caller's text has 1,000."""


class ApiError(Exception):
    """An answer that is an error: `status` and `type` are the wire's.

    `error_code` names the cause for programs, and `details` holds its values. `refused_by` is the
    limit that refuses the request, for the request log.
    """

    status: ClassVar[int] = 500
    type: ClassVar[str] = "api_error"
    default_message: ClassVar[str] = "Internal server error"

    def __init__(
        self,
        message: str | None = None,
        *,
        error_code: str | None = None,
        details: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.message = self.default_message if message is None else message
        self.error_code = error_code
        self.details = dict(details or {})
        self.headers = dict(headers or {})
        self.refused_by: RefusedBy | None = None
        super().__init__(self.message)


class InvalidRequestError(ApiError):
    status = 400
    type = "invalid_request_error"
    default_message = "Invalid request"


class MethodNotAllowed(InvalidRequestError):
    status = 405
    default_message = "Method Not Allowed"


class RequestHeadTooLarge(InvalidRequestError):
    status = 431
    default_message = "The path and the headers of the request are too long"


class AuthenticationError(ApiError):
    status = 401
    type = "authentication_error"
    default_message = "Authentication error"


class PermissionError_(ApiError):
    status = 403
    type = "permission_error"
    default_message = "Permission denied"


class NotFoundError(ApiError):
    status = 404
    type = "not_found_error"
    default_message = "Not found"


class ConflictError(ApiError):
    status = 409
    type = "conflict_error"
    default_message = "Conflict"


class RequestTooLarge(ApiError):
    status = 413
    type = "request_too_large"
    default_message = "Request exceeds the maximum size"


class RateLimitError(ApiError):
    status = 429
    type = "rate_limit_error"
    default_message = "Rate limited"


class InternalError(ApiError):
    pass


class TimeoutError_(ApiError):
    status = 504
    type = "timeout_error"
    default_message = "Request timeout"


class OverloadedError(ApiError):
    status = 529
    type = "overloaded_error"
    default_message = "Overloaded"


NESTED = "The request is nested too deeply"
"""The message about a request on which a rule has recursed too far."""


def error_detail(error: ApiError) -> ErrorDetail:
    """Return an error in the form of bodies, of a stream's last event, and of batch results."""
    # Claude Code recognizes messages only if `details` is present.
    details = {"error_code": error.error_code, **error.details} if error.error_code else None
    return ErrorDetail(type=error.type, message=bounded(error.message), details=details)


def bounded(text: str) -> str:
    """Return a sentence with its middle left out if it is very long.

    A sentence shortens each text of a caller that it repeats, but it may repeat many.
    """
    if len(text) <= LONGEST_SENTENCE:
        return text
    return f"{text[: LONGEST_SENTENCE // 2]} … {text[-LONGEST_SENTENCE // 2 :]}"
