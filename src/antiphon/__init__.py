"""The Claude API on your own machines: its server, and a client of it and of the hosted API.

    import antiphon

    client = antiphon.Client()
    message = client.messages.create(model="…", max_tokens=1024, messages=[…])

Names are imported when they are used, so this import is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from antiphon.sdk.async_client import AsyncClient
    from antiphon.sdk.call import Timeout
    from antiphon.sdk.client import Client
    from antiphon.sdk.errors import (
        AntiphonError,
        APIConnectionError,
        APIError,
        APIResponseValidationError,
        APIStatusError,
        APITimeoutError,
        AuthenticationError,
        BadRequestError,
        ConflictError,
        CredentialsError,
        InternalServerError,
        NotFoundError,
        OverloadedError,
        PaymentRequiredError,
        PermissionDeniedError,
        RateLimitError,
        RequestTooLargeError,
        UnprocessableEntityError,
    )

__version__ = "0.1.0"

_ERRORS = "antiphon.sdk.errors"
_PLACES = {
    "Client": "antiphon.sdk.client",
    "AsyncClient": "antiphon.sdk.async_client",
    "Timeout": "antiphon.sdk.call",
    "AntiphonError": _ERRORS,
    "APIConnectionError": _ERRORS,
    "APIError": _ERRORS,
    "APIResponseValidationError": _ERRORS,
    "APIStatusError": _ERRORS,
    "APITimeoutError": _ERRORS,
    "AuthenticationError": _ERRORS,
    "BadRequestError": _ERRORS,
    "ConflictError": _ERRORS,
    "CredentialsError": _ERRORS,
    "InternalServerError": _ERRORS,
    "NotFoundError": _ERRORS,
    "OverloadedError": _ERRORS,
    "PaymentRequiredError": _ERRORS,
    "PermissionDeniedError": _ERRORS,
    "RateLimitError": _ERRORS,
    "RequestTooLargeError": _ERRORS,
    "UnprocessableEntityError": _ERRORS,
}

__all__ = [
    "APIConnectionError",
    "APIError",
    "APIResponseValidationError",
    "APIStatusError",
    "APITimeoutError",
    "AntiphonError",
    "AsyncClient",
    "AuthenticationError",
    "BadRequestError",
    "Client",
    "ConflictError",
    "CredentialsError",
    "InternalServerError",
    "NotFoundError",
    "OverloadedError",
    "PaymentRequiredError",
    "PermissionDeniedError",
    "RateLimitError",
    "RequestTooLargeError",
    "Timeout",
    "UnprocessableEntityError",
    "__version__",
]


def __getattr__(name: str) -> Any:
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module 'antiphon' has no attribute {name!r}")
    return getattr(import_module(place), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
