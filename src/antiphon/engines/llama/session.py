"""The connections to one llama.cpp."""

from typing import TYPE_CHECKING, Final, Self

from antiphon.transport import AsyncConnections, Limits
from antiphon.transport.base import AsyncResponseStream, HttpRequest, TransportError

if TYPE_CHECKING:
    from types import TracebackType

CONNECT_S: Final = 5.0
HEALTH_S: Final = 5.0
FIRST_ERROR: Final = 400
MOST_CONNECTIONS: Final = 100_000
"""The slots and the gate bound the requests, and the connections with them."""


class LlamaSession:
    """Sends requests to one llama.cpp, which may be at a new address after a restart.

    Each has a connection of its own: llama.cpp announces that it keeps connections, but closes
    some, and a request sent into one is lost, and may not be sent again because it may have been
    read.
    """

    def __init__(self, api_key: str | None) -> None:
        self.api_key = api_key
        key = () if api_key is None else (("authorization", f"Bearer {api_key}"),)
        self._headers = (("content-type", "application/json"), ("connection", "close"), *key)
        limits = Limits(max_connections=MOST_CONNECTIONS, max_idle=0)
        self._connections = AsyncConnections(limits=limits)

    async def send(
        self,
        method: str,
        url: str,
        body: bytes | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - of the transport, which has one timer
    ) -> AsyncResponseStream:
        """Send a request; return its answer when the head has come. Raises `TransportError`."""
        request = HttpRequest(method=method, url=url, headers=self._headers, body=body or b"")
        return await self._connections.open(request, connect_timeout=CONNECT_S, timeout=timeout)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: "TracebackType | None",
    ) -> None:
        self._connections.close()


def open_session(api_key: str | None) -> LlamaSession:
    """Open the connections to one llama.cpp, without a time limit for answers."""
    return LlamaSession(api_key)


async def is_healthy(session: LlamaSession, address: str) -> bool:
    """Return whether a server is healthy; one that answers too slowly is not."""
    try:
        response = await session.send("GET", f"{address}/health", timeout=HEALTH_S)
    except (TransportError, OSError, ValueError):
        return False
    response.close()
    return response.status < FIRST_ERROR
