"""The frame of every request: its id, the error boundary, the rules for browsers, its log line."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import anyio
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from antiphon.core.claude_code import bearable_wait
from antiphon.core.errors import (
    NESTED,
    ApiError,
    AuthenticationError,
    InternalError,
    InvalidRequestError,
    MethodNotAllowed,
    NotFoundError,
    OverloadedError,
    PermissionError_,
    RateLimitError,
    bounded,
    error_detail,
)
from antiphon.logs import EventLog
from antiphon.server.console_files import PREFIX
from antiphon.server.http.browser import CONSOLE_HEADER, OWN_PAGES, is_of_console
from antiphon.server.http.exchange import ClientGoneError, Exchange
from antiphon.store.database.errors import DatabaseUnavailableError
from antiphon.wire.decoding import BodyError
from antiphon.wire.errors import ErrorEnvelope, shortened
from antiphon.wire.events import ErrorEvent
from antiphon.wire.sse import EventEncoder

EXCHANGE = "antiphon.exchange"
BROWSER_OPT_IN = b"anthropic-dangerous-direct-browser-access"
# Routes that are asked every few seconds, by programs that watch the server.
PROBES = frozenset({"/health", "/ready", "/metrics"})


class Boundary:
    """The outermost application: makes an `Exchange` for each request, and ensures an answer."""

    def __init__(
        self,
        app: ASGIApp,
        new_request_id: Callable[[], str],
        *records: Callable[[Exchange], None],
    ) -> None:
        """Each of `records` gets each request after its end."""
        self._app = app
        self._records = records
        self._new_request_id = new_request_id
        self._encoder = EventEncoder()
        self._log = EventLog("antiphon.requests")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        exchange = Exchange(scope, receive, send, self._new_request_id())
        scope[EXCHANGE] = exchange
        # With it, Starlette raises a 405 instead of answering in plain text.
        scope["app"] = self
        try:
            if exchange.header(b"origin") is None or not await self._answered_browser(exchange):
                await self._app(scope, receive, send)
        except ClientGoneError:
            exchange.gone = True
        except asyncio.CancelledError:
            # The server cancels requests that outlive the grace time of a shutdown, and logs a
            # traceback if that goes on. Their tasks end here: at the latest with the event loop,
            # which cancels those whose callers do not read once more.
            with anyio.CancelScope(shield=True), suppress(asyncio.CancelledError):
                await self._answer(exchange, OverloadedError("The server is shutting down."))
        except Exception as error:  # noqa: BLE001 - this is the error boundary
            await self._fail(exchange, error)
        finally:
            self._write_log(exchange)
            for record in self._records:
                record(exchange)
            # The exchange refers to its scope: a cycle lives until a garbage collection.
            del scope[EXCHANGE]

    async def _fail(self, exchange: Exchange, error: BaseException) -> None:
        failure = as_api_error(error)
        if failure.status >= FIRST_SERVER_ERROR:
            self._log_cause(exchange, error)
        await self._answer(exchange, failure)

    async def _answer(self, exchange: Exchange, failure: ApiError) -> None:
        exchange.fields["error_type"] = failure.type
        exchange.refused_by = failure.refused_by
        if not exchange.started:
            told = headers(failure)
            if failure.status == RateLimitError.status and RETRY_AFTER in told:
                agent = exchange.header(b"user-agent")
                told[RETRY_AFTER] = bearable_wait(told[RETRY_AFTER], agent)
            exchange.headers |= told
            await exchange.respond(failure.status, envelope(failure, exchange.request_id))
        elif exchange.streaming:
            # After the first byte an error is an event, and nothing follows it.
            event = ErrorEvent(error=error_detail(failure), request_id=exchange.request_id)
            await exchange.write(self._encoder.encode(event), more=False)

    def _log_cause(self, exchange: Exchange, error: BaseException) -> None:
        """Log a cause that is hidden from the caller: an engine's reason, or a defect."""
        cause = error.__cause__ if isinstance(error, ApiError) else error
        foreseen = isinstance(error, ApiError | DatabaseUnavailableError)
        self._log.error(
            "request failed",
            request_id=exchange.request_id,
            reason=bounded(f"{type(cause).__name__}: {cause}" if cause else str(error)),
            exc_info=None if foreseen else error,
        )

    async def _answered_browser(self, exchange: Exchange) -> bool:
        """Apply the rules for requests from web pages; return whether the answer is written."""
        if exchange.scope["method"] == "GET" and exchange.scope["path"].startswith(PREFIX):
            # A browser states an origin for the scripts of a page. No other page can read these
            # files, as their answers have no header that allows it.
            return False
        if is_of_console(exchange):
            # Of its own pages alone, whose session it may have: no other page gets a header that
            # lets it read the answer. Its own rules are checked with its cookie.
            return False
        if exchange.scope["method"] == "OPTIONS":
            asked = exchange.header(b"access-control-request-headers") or "*"
            if CONSOLE_HEADER.decode() in asked.lower():
                raise PermissionError_(OWN_PAGES)
            exchange.headers |= {
                "access-control-allow-origin": "*",
                "access-control-allow-methods": "GET, POST, DELETE, OPTIONS",
                "access-control-allow-headers": asked,
                "access-control-max-age": "600",
            }
            await exchange.send_nothing()
            return True
        if exchange.header(BROWSER_OPT_IN) != "true":
            raise AuthenticationError(f"CORS requests must set '{BROWSER_OPT_IN.decode()}' header")
        exchange.headers["access-control-allow-origin"] = "*"
        exchange.headers["access-control-expose-headers"] = "*"
        return False

    def _write_log(self, exchange: Exchange) -> None:
        log = self._log.debug if exchange.route in PROBES else self._log.info
        log(
            "request",
            request_id=exchange.request_id,
            method=exchange.scope["method"],
            path=shortened(exchange.scope["path"]),
            route=exchange.route,
            status=exchange.status or None,
            **exchange.fields,
            **({"hung_up": True} if exchange.gone else {}),
            duration_ms=exchange.age_ms(),
        )


def as_api_error(error: BaseException) -> ApiError:
    """Return the API error for an exception; for an unexpected one a 500."""
    match error:
        case ApiError():
            return error
        case BodyError() | RecursionError():
            # JSON of nearly a thousand levels is decoded with little on the stack, and some of it
            # is written or walked with more. Nothing else here recurses so far.
            is_body = isinstance(error, BodyError)
            return InvalidRequestError(str(error) if is_body else NESTED)
        case DatabaseUnavailableError():
            # The reason names a host or a path, which is for the operator: see the log.
            return OverloadedError(
                "The server cannot use its database. Please try again in a moment.",
                headers={"retry-after": RETRY_AFTER_S},
            )
        case HTTPException(status_code=405, headers=allowed):
            return MethodNotAllowed(headers={"allow": (allowed or {})["Allow"]})
        case HTTPException(status_code=404):
            return NotFoundError("Not Found")
        case _:
            return InternalError()


RETRY_AFTER = "retry-after"
# The pause before another try while the database is away, in seconds.
RETRY_AFTER_S = "5"
# Statuses below 500 after which the same request may succeed later.
RETRYABLE = frozenset({408, 409, 429})
FIRST_SERVER_ERROR = 500


def envelope(error: ApiError, request_id: str) -> ErrorEnvelope:
    """Return the body of an error."""
    return ErrorEnvelope(error=error_detail(error), request_id=request_id)


def headers(error: ApiError) -> dict[str, str]:
    """Return the headers of an error; SDKs obey `x-should-retry` before the status."""
    may_pass = error.status in RETRYABLE or error.status >= FIRST_SERVER_ERROR
    return {**error.headers, "x-should-retry": "true" if may_pass else "false"}
