"""What a test has the server do instead of an answer: errors of every type, and broken ones."""

import re
from collections.abc import Mapping
from typing import Final, TypeAlias

import msgspec


class ApiFailure(msgspec.Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """An error in the API's envelope.

    `after` is text that the model says before it: a stream then ends with an `error` event, any
    other request gets the error alone. `delay` are seconds before it.
    """

    status: int
    type: str
    message: str
    headers: dict[str, str] = {}
    after: str | None = None
    delay: float = 0.0

    def __call__(  # noqa: PLR0913 - one for each detail
        self,
        message: str | None = None,
        *,
        retry_after: float | None = None,
        headers: Mapping[str, str] | None = None,
        status: int | None = None,
        after: str | None = None,
        delay: float | None = None,
    ) -> "ApiFailure":
        """Return the same error with other details. `retry_after` is in seconds.

        Raises `ValueError` for headers that HTTP cannot carry.
        """
        told = {**self.headers, **_headers(headers)}
        if retry_after is not None:
            told["retry-after"] = f"{retry_after:g}"
        return ApiFailure(
            status=self.status if status is None else status,
            type=self.type,
            message=self.message if message is None else message,
            headers=told,
            after=self.after if after is None else after,
            delay=self.delay if delay is None else delay,
        )


class RawFailure(msgspec.Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """An answer that is not the API's, such as that of a proxy: a status, headers, any body."""

    status: int = 502
    body: bytes = b""
    headers: dict[str, str] = {}
    delay: float = 0.0


class ConnectionLoss(msgspec.Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """The connection ends without an answer, or behind `after`, a text of the model.

    Of an answer that is no stream half is sent then.
    """

    after: str | None = None
    delay: float = 0.0

    def __call__(self, *, after: str | None = None, delay: float = 0.0) -> "ConnectionLoss":
        """Return the same with other details."""
        return ConnectionLoss(after=after, delay=delay)


Failure: TypeAlias = ApiFailure | RawFailure | ConnectionLoss


def _error(status: int, type_: str, message: str) -> ApiFailure:
    return ApiFailure(status=status, type=type_, message=message)


invalid_request_error: Final = _error(400, "invalid_request_error", "Invalid request")
authentication_error: Final = _error(401, "authentication_error", "invalid x-api-key")
billing_error: Final = _error(402, "billing_error", "Your credit balance is too low")
permission_error: Final = _error(403, "permission_error", "Permission denied")
not_found_error: Final = _error(404, "not_found_error", "Not found")
conflict_error: Final = _error(409, "conflict_error", "Conflict")
request_too_large: Final = _error(413, "request_too_large", "Request exceeds the maximum size")
rate_limit_error: Final = _error(429, "rate_limit_error", "Rate limited")
api_error: Final = _error(500, "api_error", "Internal server error")
timeout_error: Final = _error(504, "timeout_error", "Request timeout")
overloaded_error: Final = _error(529, "overloaded_error", "Overloaded")
connection_lost: Final = ConnectionLoss()

ERRORS: Final = {
    error.type: error
    for error in (
        invalid_request_error,
        authentication_error,
        billing_error,
        permission_error,
        not_found_error,
        conflict_error,
        request_too_large,
        rate_limit_error,
        api_error,
        timeout_error,
        overloaded_error,
    )
}
"""Every type of error of the API, with its usual status."""

_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_PAGE: Final = (
    "<html><head><title>502 Bad Gateway</title></head>"
    "<body><center><h1>502 Bad Gateway</h1></center></body></html>"
)


def raw(
    status: int = 502,
    body: str | bytes = _PAGE,
    *,
    content_type: str = "text/html",
    headers: Mapping[str, str] | None = None,
    delay: float = 0.0,
) -> RawFailure:
    """Return an answer with any body; by default the page of a proxy that reaches no server.

    With status 200 and `content_type="text/event-stream"` the body is a stream as it stands. Raises
    `ValueError` for headers that HTTP cannot carry.
    """
    told = _headers({"content-type": content_type, **(headers or {})})
    content = body.encode() if isinstance(body, str) else body
    return RawFailure(status=status, body=content, headers=told, delay=delay)


def _headers(given: Mapping[str, str] | None) -> dict[str, str]:
    """Return headers by their names in small letters. Raises `ValueError` for what is none."""
    for name, text in (given or {}).items():
        if not _NAME.fullmatch(name):
            raise ValueError(f"headers: {name!r} is no name of a header")
        if any(sign in "\r\n\0" or sign > "\xff" for sign in text):
            raise ValueError(f"headers: HTTP cannot carry the value of {name!r}: {text!r}")
    return {name.lower(): text for name, text in (given or {}).items()}
