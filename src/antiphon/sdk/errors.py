"""The errors of the SDK. Names are those of the official SDKs, so that moving is one import.

    AntiphonError
    ├── APIError
    │   ├── APIConnectionError        no answer, or not all of it
    │   │   ├── APITimeoutError       not in time
    │   │   └── IncompleteStreamError a stream that broke off
    │   ├── APIResponseValidationError   an answer that is none of the API
    │   └── APIStatusError            an answer that is an error
    │       ├── BadRequestError 400 … one class for each status below
    │       └── InternalServerError   500 and above
    │           └── OverloadedError 529 …
    └── CredentialsError              no key

A program decides by class, `type` and `error_code`; the text is for people.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from antiphon.transport.base import Headers

if TYPE_CHECKING:
    from antiphon.sdk.types.message import Message

# What an error in the middle of a stream would have been as an answer.
STATUS_OF_TYPE: Mapping[str, int] = MappingProxyType(
    {
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
)


class AntiphonError(Exception):
    """Anything that this SDK raises itself, except for wrong arguments."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Errors travel between processes; by default only their text would.
        return _remade, (type(self), self.args, self.__dict__)


class CredentialsError(AntiphonError):
    """A call needs a key, and the client has none."""


class APIError(AntiphonError):
    """A call of the API failed.

    `partial` is what had come of a message that `messages.stream` was reading, if it had begun.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message
        self.partial: Message | None = None


class APIConnectionError(APIError):
    """No whole answer came: no connection, or a lost one. `__cause__` has the transport's error."""


class APITimeoutError(APIConnectionError):
    """No whole answer came in time; the text says which time ran out."""


class IncompleteStreamError(APIConnectionError):
    """A stream broke off before its end. What came before is in `partial`."""


class APIResponseValidationError(APIError):
    """An answer with the status of a success is not one of the API, as of a proxy in between."""

    def __init__(self, message: str, *, status_code: int, request_id: str | None) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.request_id = request_id


class ErrorResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The answer that an error was, as it came."""

    status_code: int
    headers: Headers
    content: bytes = b""

    @property
    def text(self) -> str:
        return self.content.decode("utf-8", "replace")

    def json(self) -> Any:
        """Return the decoded body. Raises `msgspec.DecodeError` if it is no JSON."""
        return msgspec.json.decode(self.content)


class APIStatusError(APIError):
    """The answer is an error.

    `type` is the error's on the wire and `error_code` its cause for programs, both `None` if the
    answer has none. `body` is the decoded JSON, or the text of another body. `retries` says how
    often the call was repeated.
    """

    statuses: ClassVar[int] = 0

    def __init__(  # noqa: PLR0913 - each is a fact of the answer
        self,
        message: str,
        *,
        status_code: int,
        headers: Headers,
        body: Any,
        type: str | None,  # noqa: A002 - the wire's name
        details: Mapping[str, Any],
        retries: int = 0,
        content: bytes = b"",
    ) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.headers = headers
        self.body = body
        self.type = type
        self.details = details
        self.retries = retries
        self._content = content

    @property
    def response(self) -> ErrorResponse:
        """The answer as it came; of an error in the middle of a stream, that event."""
        return ErrorResponse(
            status_code=self.status_code, headers=self.headers, content=self._content
        )

    @property
    def request_id(self) -> str | None:
        in_body = self.body.get("request_id") if isinstance(self.body, dict) else None
        return self.headers.get("request-id") or (in_body if isinstance(in_body, str) else None)

    @property
    def error_code(self) -> str | None:
        code = self.details.get("error_code")
        return code if isinstance(code, str) else None

    def __str__(self) -> str:
        told = f"{self.status_code} {self.type}" if self.type else str(self.status_code)
        request = f" ({self.request_id})" if self.request_id else ""
        after = f" after {self.retries + 1} attempts" if self.retries else ""
        return f"{told}: {self.message}{request}{after}"


class BadRequestError(APIStatusError):
    statuses = 400


class AuthenticationError(APIStatusError):
    statuses = 401


class PaymentRequiredError(APIStatusError):
    statuses = 402


class PermissionDeniedError(APIStatusError):
    statuses = 403


class NotFoundError(APIStatusError):
    statuses = 404


class RequestTimeoutError(APIStatusError):
    statuses = 408


class ConflictError(APIStatusError):
    statuses = 409


class PreconditionFailedError(APIStatusError):
    statuses = 412


class RequestTooLargeError(APIStatusError):
    statuses = 413


class UnprocessableEntityError(APIStatusError):
    statuses = 422


class RateLimitError(APIStatusError):
    statuses = 429


class RequestHeaderFieldsTooLargeError(APIStatusError):
    statuses = 431


class ClientClosedRequestError(APIStatusError):
    statuses = 499


class InternalServerError(APIStatusError):
    """500 and above."""

    statuses = 500


class HTTPNotImplementedError(InternalServerError):
    statuses = 501


class ServiceUnavailableError(InternalServerError):
    statuses = 503


class GatewayTimeoutError(InternalServerError):
    statuses = 504


class OverloadedError(InternalServerError):
    statuses = 529


# The names of the official SDKs that have another one here.
AnthropicError = AntiphonError
ContentTooLargeError = RequestTooLargeError
DeadlineExceededError = GatewayTimeoutError


def _remade(
    kind: type[AntiphonError], args: tuple[Any, ...], facts: dict[str, Any]
) -> AntiphonError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(facts)
    return error


def class_of(status: int) -> type[APIStatusError]:
    """Return the class of errors for a status of 400 and above."""
    kinds = (*APIStatusError.__subclasses__(), *InternalServerError.__subclasses__())
    # A program may have subclasses of its own.
    by_status = {kind.statuses: kind for kind in kinds if kind.__module__ == __name__}
    return by_status.get(status, InternalServerError if status >= 500 else APIStatusError)  # noqa: PLR2004


def status_of(kind: str) -> int:
    """Return the status of an error in the middle of a stream, by its type on the wire."""
    return STATUS_OF_TYPE.get(kind, 500)
