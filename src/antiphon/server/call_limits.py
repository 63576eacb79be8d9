"""The rate limit of a group of endpoints: a draw for each call, and its headers on each answer."""

from functools import wraps
from typing import Any, TypeVar

from antiphon.core.errors import ApiError
from antiphon.server.http.exchange import Exchange
from antiphon.server.http.requests import Request
from antiphon.server.http.routing import Handler
from antiphon.service.access import Caller
from antiphon.service.limits.admitter import Admitter
from antiphon.wire.decoding import BodyError

P = TypeVar("P")

# Every answer with headers of limits has this header.
LIMIT_HEADER = "anthropic-ratelimit-requests-limit"


class CallLimit:
    """The limit of one group of endpoints, in `core.limits.rate_limits.CALL_GROUPS`."""

    def __init__(self, admitter: Admitter, group: str) -> None:
        self._admitter = admitter
        self._group = group

    def counted(self, handler: Handler[P]) -> Handler[P]:
        """Return a handler that draws one call first. Raises `RateLimitError` beyond the limit."""

        @wraps(handler)
        async def call(request: Request[P]) -> Any:
            exchange, caller = request.exchange, request.caller
            exchange.headers |= await self._admitter.admit_call(
                caller, exchange.request_id, self._group
            )
            return await handler(request)

        return call

    async def add_headers(
        self, exchange: Exchange, caller: Caller, error: ApiError | BodyError
    ) -> None:
        """Add the headers of the limit to a refusal without them."""
        if lacks_limits(exchange, error):
            exchange.headers |= await self._admitter.remaining_headers(caller, self._group)


def lacks_limits(exchange: Exchange, error: ApiError | BodyError) -> bool:
    """Return whether headers of limits can still be added to a refusal, and have to be."""
    own = error.headers if isinstance(error, ApiError) else {}
    return not exchange.started and LIMIT_HEADER not in {**own, **exchange.headers}
