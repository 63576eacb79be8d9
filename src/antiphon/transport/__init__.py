"""HTTP/1.1 from the side of the client: what the SDK and the engines for upstreams send with.

`Connections` blocks, `AsyncConnections` is for asyncio; each is imported when it is asked for.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from antiphon.transport.asynchronous import AsyncConnections
    from antiphon.transport.blocking import Connections
    from antiphon.transport.ways import Limits

__all__ = ["AsyncConnections", "Connections", "Limits"]


def __getattr__(name: str) -> Any:
    if name == "Connections":
        from antiphon.transport.blocking import Connections  # noqa: PLC0415 - as below

        return Connections
    if name == "AsyncConnections":
        from antiphon.transport.asynchronous import AsyncConnections  # noqa: PLC0415 - asyncio

        return AsyncConnections
    if name == "Limits":
        from antiphon.transport.ways import Limits  # noqa: PLC0415 - as above

        return Limits
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
