"""The errors of both kinds of connections: each says what happened, with whom, and which bound."""

import errno
import os
import socket

from antiphon.transport.base import (
    ConnectError,
    ConnectionLost,
    ConnectTimeout,
    ProtocolError,
    TlsError,
    TransportError,
    TransportTimeout,
)
from antiphon.transport.targets import Origin
from antiphon.transport.ways import Way


def all_in_use(most: int, timeout: float | None) -> ConnectTimeout:
    """Say that there are as many connections as may be."""
    return ConnectTimeout(f"all {most} connections are in use, and none was free in {timeout:g} s")


def already_closed() -> TransportError:
    """Say that a request came after `close`."""
    return TransportError("the connections of this client are closed")


def unreachable(way: Way, error: OSError) -> ConnectError:
    """Say that no address of the server, or of its proxy, takes a connection."""
    return ConnectError(f"no connection to {_whom(way)}: {reason(error)}")


def connect_timeout(way: Way, timeout: float | None) -> ConnectTimeout:
    """Say that the time for a connection ran out."""
    return ConnectTimeout(f"no connection to {_whom(way)} in {timeout:g} s")


def insecure(origin: Origin, error: OSError) -> TlsError:
    """Say that tLS was not agreed on."""
    return TlsError(f"no secure connection to {origin}: {reason(error)}")


def no_tunnel(way: Way, what: str) -> ConnectError:
    """Say that the proxy does not let a connection through."""
    return ConnectError(f"the proxy {way.server} opens no tunnel to {way.origin}: {what}")


def no_answer(origin: Origin, timeout: float | None) -> TransportTimeout:
    """Say that the time for the head ran out."""
    return TransportTimeout(f"no answer from {origin} in {timeout:g} s")


def no_more(origin: Origin, timeout: float | None) -> TransportTimeout:
    """Say that the time for the next piece of a body ran out."""
    return TransportTimeout(f"nothing more of the answer came from {origin} in {timeout:g} s")


def not_whole(origin: Origin, timeout: float | None) -> TransportTimeout:
    """Say that the time for a whole body ran out."""
    return TransportTimeout(f"the answer from {origin} was not whole in {timeout:g} s")


def lost(origin: Origin, error: BaseException | None, *, begun: bool, kept: bool) -> ConnectionLost:
    """Return the error of a connection that ended too early, with an error or without one."""
    why = f" ({reason(error)})" if error is not None else ""
    if begun:
        return ConnectionLost(f"{origin} ended the connection in the middle of its answer{why}")
    again = ", which was kept from an earlier request," if kept else ""
    return ConnectionLost(f"{origin} ended the connection{again} without an answer{why}", kept=kept)


def was_closed() -> ConnectionLost:
    """Say that an answer is read which was closed, or whose connection was lost, before its end."""
    return ConnectionLost("the answer was closed before its end")


def too_long(origin: Origin, most: int) -> ProtocolError:
    """Say that the body is past its bound."""
    return ProtocolError(f"the answer from {origin} has more than {most} bytes")


def broken(origin: Origin, error: ProtocolError) -> ProtocolError:
    """Say that what a server sent could not be read."""
    return ProtocolError(f"{origin}: {error}")


def ran_out(error: OSError) -> bool:
    """Return whether a time of ours ran out; the system's own errors of that kind have numbers."""
    return isinstance(error, TimeoutError) and error.errno is None


def reason(error: BaseException) -> str:
    """Return what the system says of an error."""
    if isinstance(error, OSError) and not hasattr(error, "library"):  # which errors of TLS have
        number = error.errno
        if (
            number is not None
            and number in errno.errorcode
            and not isinstance(error, socket.gaierror)
        ):
            return os.strerror(number)  # asyncio writes its own words over the system's
    said = getattr(error, "verify_message", None) or getattr(error, "strerror", None)
    return said or str(error) or type(error).__name__


def _whom(way: Way) -> str:
    return str(way.origin) if way.proxy is None else f"the proxy {way.server}"
