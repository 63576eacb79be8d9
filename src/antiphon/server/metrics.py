"""`GET /metrics`, at an address of its own: what Prometheus reads of one process.

It is no route of the API. Several processes share the port of the API, and each has sums of its
own; and a proxy that lets the world reach the API does not let it reach the metrics.
"""

import asyncio
import hmac
import os
import socket
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

from starlette.types import ASGIApp

from antiphon.core.errors import AuthenticationError
from antiphon.core.metrics.exposition import (
    OPEN_METRICS_TYPE,
    TEXT_TYPE,
    wants_open_metrics,
    written,
)
from antiphon.server.http.boundary import Boundary
from antiphon.server.http.exchange import Exchange
from antiphon.server.http.routing import Route, Router
from antiphon.server.run import ServeError, Server, address_of, bind, http_config
from antiphon.service.access import credential
from antiphon.service.background import ended
from antiphon.service.metrics.readings import read_metrics
from antiphon.service.platform import Platform
from antiphon.telemetry_settings import MetricsSettings

PATH: Final = "/metrics"
# A reader sends a short head, and takes what it has asked for.
_PATIENCE_S: Final = 10.0
_GRACE_S: Final = 1.0


class MetricsEndpoint:
    """The endpoint of the metrics of one process."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        token = platform.settings.metrics.token
        self._token = None if token is None else token.reveal().encode()

    async def show(self, exchange: Exchange) -> None:
        """Write all metrics. Raises `AuthenticationError` without the token of the settings."""
        self._check(exchange)
        open_metrics = wants_open_metrics(exchange.header(b"accept"))
        text = written(await read_metrics(self._platform), open_metrics=open_metrics)
        kind = OPEN_METRICS_TYPE if open_metrics else TEXT_TYPE
        await exchange.send_whole(200, kind, text.encode())

    def _check(self, exchange: Exchange) -> None:
        if self._token is None:
            return
        header = exchange.header(b"authorization")
        if header is None:
            raise AuthenticationError("authorization: the token of the metrics is required")
        sent, refusal = credential(None, header)
        if not hmac.compare_digest(sent.encode(), self._token):
            raise AuthenticationError(refusal)


def metrics_app(platform: Platform) -> ASGIApp:
    """Return the ASGI application of the metrics. Its own requests are in none of them."""
    route = Route(f"GET {PATH}", None, MetricsEndpoint(platform).show)

    async def answer(found: Route, exchange: Exchange) -> None:
        await found.handler(exchange)

    return Boundary(Router((route,), answer), platform.new_request_id)


@contextmanager
def bound_metrics(
    settings: MetricsSettings, process: int = 0
) -> Generator[socket.socket | None, None, None]:
    """Listen where the settings say until the end of the block; yields `None` if they say nothing.

    `process` is the number of this one among several: each has the port behind that of the one
    before it. Raises `ServeError`.
    """
    if settings.listen is None:
        yield None
        return
    host, port = settings.address(process)
    try:
        listener = bind(host, port)
    except ServeError as error:
        raise ServeError(
            f"cannot listen on {address_of(host, port)} for metrics: {_reason(error)}. Choose "
            "another address with listen in [metrics], or ANTIPHON_METRICS_LISTEN"
        ) from error
    with listener:
        yield listener


@asynccontextmanager
async def serving_metrics(
    platform: Platform, listener: socket.socket | None
) -> AsyncGenerator[str | None]:
    """Serve the metrics until the end of the block; yields their URL. Does nothing for `None`."""
    if listener is None:
        yield None
        return
    config = http_config(metrics_app(platform), _GRACE_S, _PATIENCE_S, _PATIENCE_S)
    server = _MetricsServer(config, platform, _ignore)
    serving = asyncio.create_task(server.serve([listener]), name="antiphon-metrics")
    try:
        host, port = listener.getsockname()[:2]
        yield f"http://{address_of(host, port)}{PATH}"
    finally:
        server.end()
        await ended(serving)
        serving.result()


def _reason(error: ServeError) -> str:
    cause = error.__cause__
    number = cause.errno if isinstance(cause, OSError) else None
    # Names that lead nowhere have numbers of their own, below zero.
    known = os.strerror(number) if number is not None and number > 0 else "there is no such name"
    return known[:1].lower() + known[1:]


class _MetricsServer(Server):
    """A server that leaves the signals to the one of the API."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def _ignore(_: int) -> None:
    """Say nothing at a stop."""
