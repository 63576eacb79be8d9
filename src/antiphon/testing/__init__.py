"""Tests of programs that use the Claude API, against the real server, in their own process.

    with antiphon.testing.server() as server:
        server.answers("Good morning")
        message = server.client().messages.create(…)

Nothing is imported before it is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from antiphon.testing.answers import Answer as Answer
    from antiphon.testing.answers import answer as answer
    from antiphon.testing.answers import refusal as refusal
    from antiphon.testing.answers import thinking as thinking
    from antiphon.testing.answers import tool_call as tool_call
    from antiphon.testing.clock import Clock as Clock
    from antiphon.testing.failures import api_error as api_error
    from antiphon.testing.failures import authentication_error as authentication_error
    from antiphon.testing.failures import billing_error as billing_error
    from antiphon.testing.failures import conflict_error as conflict_error
    from antiphon.testing.failures import connection_lost as connection_lost
    from antiphon.testing.failures import invalid_request_error as invalid_request_error
    from antiphon.testing.failures import not_found_error as not_found_error
    from antiphon.testing.failures import overloaded_error as overloaded_error
    from antiphon.testing.failures import permission_error as permission_error
    from antiphon.testing.failures import rate_limit_error as rate_limit_error
    from antiphon.testing.failures import raw as raw
    from antiphon.testing.failures import request_too_large as request_too_large
    from antiphon.testing.failures import timeout_error as timeout_error
    from antiphon.testing.instance import MissingExtraError as MissingExtraError
    from antiphon.testing.instance import Server as Server
    from antiphon.testing.instance import UnusedAnswersError as UnusedAnswersError
    from antiphon.testing.instance import server as server
    from antiphon.testing.requests import RecordedRequest as RecordedRequest
    from antiphon.testing.tape import Cassette as Cassette
    from antiphon.testing.tape import CassetteMismatchError as CassetteMismatchError
    from antiphon.testing.tape import cassette as cassette
    from antiphon.testing.tape_file import CassetteError as CassetteError

_PLACES: Final = {
    "answers": ("Answer", "answer", "refusal", "thinking", "tool_call"),
    "clock": ("Clock",),
    "failures": (
        "api_error",
        "authentication_error",
        "billing_error",
        "conflict_error",
        "connection_lost",
        "invalid_request_error",
        "not_found_error",
        "overloaded_error",
        "permission_error",
        "rate_limit_error",
        "raw",
        "request_too_large",
        "timeout_error",
    ),
    "instance": ("MissingExtraError", "Server", "UnusedAnswersError", "server"),
    "requests": ("RecordedRequest",),
    "tape": ("Cassette", "CassetteMismatchError", "cassette"),
    "tape_file": ("CassetteError",),
}
_MODULES: Final = {name: module for module, names in _PLACES.items() for name in names}

__all__ = sorted(_MODULES)  # noqa: PLE0605 - each is in the block above


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
