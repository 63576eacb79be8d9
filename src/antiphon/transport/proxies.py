"""Which proxy stands before a server, by the variables that programs agree on."""

import ipaddress
from collections.abc import Mapping
from typing import Any

from antiphon.transport.base import Discreet
from antiphon.transport.targets import Origin, parse_proxy


class Proxy(Discreet, frozen=True, gc=False):
    """A proxy that is reached by plain HTTP. `headers` say who asks it."""

    origin: Origin
    headers: tuple[tuple[str, str], ...] = ()

    def _shown(self) -> dict[str, Any]:
        return {"origin": self.origin}


class Proxies:
    """Chooses the proxy of each server.

    Of a URL: that one, for all servers. Of a mapping: what `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`
    and `NO_PROXY` in it say, in capital letters or small ones, which come first. Raises
    `ValueError` for a URL that is none, and for a kind of proxy that is not supported.
    """

    def __init__(self, given: str | Mapping[str, str] | None) -> None:
        if given is None or isinstance(given, str):
            every = None if given is None else _proxy(given)
            self._by_scheme = {"http": every, "https": every}
            self._exceptions: list[str] = []
            return
        # What a web server's script gets as `HTTP_PROXY` is a header of its caller.
        names = ("http_proxy",) if "REQUEST_METHOD" in given else ("http_proxy", "HTTP_PROXY")
        every = _named(given, "all_proxy", "ALL_PROXY")
        self._by_scheme = {
            "http": _named(given, *names) or every,
            "https": _named(given, "https_proxy", "HTTPS_PROXY") or every,
        }
        listed = given.get("no_proxy") or given.get("NO_PROXY") or ""
        self._exceptions = [one for part in listed.split(",") if (one := part.strip().lower())]

    def of(self, origin: Origin) -> Proxy | None:
        """Return the proxy through which a server is reached."""
        proxy = self._by_scheme[origin.scheme]
        if proxy is None or any(_covers(one, origin) for one in self._exceptions):
            return None
        return proxy


def _named(given: Mapping[str, str], *names: str) -> Proxy | None:
    for name in names:
        if url := given.get(name):
            return _proxy(url)
    return None


def _proxy(url: str) -> Proxy:
    origin, credentials = parse_proxy(url)
    if credentials is None:
        return Proxy(origin)
    return Proxy(origin, (("proxy-authorization", credentials),))


def _covers(exception: str, origin: Origin) -> bool:
    """Return whether an entry of `NO_PROXY` names a server.

    An entry is `*`, a domain (with all below it), an address, or a network such as `10.0.0.0/8`;
    behind the first three there may be a port.
    """
    if exception in ("*", origin.host):
        return True
    if "/" in exception:
        return _in_network(exception, origin.host)
    host, colon, port = exception.rpartition(":")
    if colon and port.isascii() and port.isdigit() and (":" not in host or host.endswith("]")):
        if int(port) != origin.port:
            return False
        exception = host
    exception = exception.strip("[]").removeprefix("*").removeprefix(".")
    return exception == origin.host or (bool(exception) and origin.host.endswith(f".{exception}"))


def _in_network(network: str, host: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False
