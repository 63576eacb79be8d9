"""How each server is reached: what both kinds of connections are told, and make of it once."""

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

from antiphon.transport.base import Discreet, HttpRequest
from antiphon.transport.requests import Fields, HeadWriter, with_length
from antiphon.transport.targets import Origin, Target, parse_target

if TYPE_CHECKING:
    import ssl

    from antiphon.transport.proxies import Proxies, Proxy

Verify: TypeAlias = "bool | str | ssl.SSLContext"
"""Whose certificates are trusted: those of the system, nobody's in particular (`False`: any), those
of a file or folder of authorities, or what a context of the caller says."""
ProxyChoice: TypeAlias = str | Mapping[str, str] | None
"""The URL of a proxy for all servers, none, or variables such as those of the environment."""

MOST_REMEMBERED: Final = 256


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What connections may take. Times are in seconds, sizes in bytes."""

    max_connections: int = 1000
    """Of all servers together, with those that are idle."""
    max_idle: int = 100
    idle_s: float = 60.0
    """How long a connection is kept without a request."""
    largest_answer: int = 1024 * 1024 * 1024
    """The longest body that `read` puts together, decompressed."""


class Way(msgspec.Struct, frozen=True, gc=False):
    """How one URL is reached."""

    target: Target
    proxy: "Proxy | None"

    @property
    def origin(self) -> Origin:
        return self.target.origin

    @property
    def server(self) -> Origin:
        """Whom the socket is connected to."""
        return self.target.origin if self.proxy is None else self.proxy.origin

    @property
    def tunnelled(self) -> bool:
        return self.proxy is not None and self.target.origin.secure


class _Asked(Discreet, frozen=True, gc=False):
    """What was asked last, and what it became."""

    method: str
    url: str
    headers: Fields
    way: Way
    head: bytes


class Ways:
    """Finds and remembers how URLs are reached. May be used by many threads."""

    def __init__(self, verify: Verify, proxy: ProxyChoice) -> None:
        self._verify = verify
        self._proxies = _proxies(proxy)
        self._writer = HeadWriter()
        self._last: _Asked | None = None
        self._known: dict[str, Way] = {}
        self._lock = threading.Lock()
        self._context: ssl.SSLContext | None = None

    def of(self, request: HttpRequest) -> tuple[Way, bytes]:
        """Return the way of a request and its head.

        Who asks one URL again and again with one tuple of headers pays once for all but the length.
        Raises `ValueError` for a request that would not be one.
        """
        last = self._last
        # Headers are told by identity, as equal ones would have to be compared one by one.
        if (
            last is None
            or last.headers is not request.headers
            or last.method != request.method
            or last.url != request.url
        ):
            way = self.to(request.url)
            last = _Asked(
                request.method, request.url, request.headers, way, self.head(request, way)
            )
            self._last = last  # one assignment, as threads may share this
        return last.way, with_length(last.head, request)

    def to(self, url: str) -> Way:
        """Return the way to a URL. Raises `ValueError` if it is no URL of a server."""
        way = self._known.get(url)
        if way is None:
            target = parse_target(url)
            proxy = None if self._proxies is None else self._proxies.of(target.origin)
            way = Way(target, proxy)
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            self._known[url] = way
        return way

    def head(self, request: HttpRequest, way: Way) -> bytes:
        """Return the head of a request without its length, as `HeadWriter` does."""
        if way.proxy is None or way.tunnelled:
            return self._writer.write(request, way.target)
        return self._writer.write(request, way.target, absolute=True, more=way.proxy.headers)

    def notice_fork(self) -> None:
        """Let go of a lock that a thread of another process may hold."""
        self._lock = threading.Lock()

    def context(self) -> "ssl.SSLContext":
        """Return the one context of all secure connections."""
        with self._lock:  # the system's certificates take a hundredth of a second
            if self._context is None:
                self._context = _context(self._verify)
            return self._context


def _proxies(proxy: ProxyChoice) -> "Proxies | None":
    if proxy is None or (
        not isinstance(proxy, str)
        and not any(name.lower().endswith("_proxy") and proxy[name] for name in proxy)
    ):
        return None
    from antiphon.transport.proxies import Proxies  # noqa: PLC0415 - most programs have none

    return Proxies(proxy)


def _context(verify: Verify) -> "ssl.SSLContext":
    import ssl  # noqa: PLC0415 - 10 ms, and only for https
    from pathlib import Path  # noqa: PLC0415 - the same

    if isinstance(verify, ssl.SSLContext):
        return verify
    if isinstance(verify, str):
        folder = Path(verify).is_dir()
        context = ssl.create_default_context(
            cafile=None if folder else verify, capath=verify if folder else None
        )
    else:
        context = ssl.create_default_context()
        if not verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
    # The first versions of Python 3.11 take an end that anybody can make for the server's.
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    context.set_alpn_protocols(["http/1.1"])
    return context
