"""Where a request goes: a URL taken apart."""

import re
from typing import Any, Final

import httptools
import msgspec

from antiphon.transport.base import Discreet

_PORTS: Final = {"http": 80, "https": 443}
_LONGEST: Final = 8 * 1024
_NO_URL: Final = (
    "this is no URL of a server: it needs http:// or https://, a host, and only visible ASCII"
    f" signs, {_LONGEST} of them at most"
)
_PATH: Final = re.compile(r"[!-~]*")


class Origin(msgspec.Struct, frozen=True, gc=False, cache_hash=True):
    """A server: connections are kept by it. `str` writes it as a URL without a path."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """The host and the port, an IPv6 address in brackets."""
        return f"{bracketed(self.host)}:{self.port}"

    @property
    def secure(self) -> bool:
        return self.scheme == "https"

    def __str__(self) -> str:
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{bracketed(self.host)}{port}"


class Target(Discreet, frozen=True, gc=False):
    """A URL as a request needs it: `host` is the header's value, `path` has the query.

    `authorization` is what a name and a password in the URL become.
    """

    origin: Origin
    host: str
    path: str
    authorization: str | None = None

    def _shown(self) -> dict[str, Any]:
        return {"origin": self.origin, "path": self.path}


def parse_target(url: str) -> Target:
    """Take the URL of a request apart. Raises `ValueError`, which never shows the URL's secrets."""
    scheme, host, port, path, userinfo = _split(url)
    if scheme not in _PORTS:
        raise ValueError(f"a URL begins with http:// or https://, not with {scheme + '://'!r}")
    origin = Origin(scheme, host, port or _PORTS[scheme])
    return Target(origin, str(origin).partition("://")[2], path, basic(userinfo))


def parse_proxy(url: str) -> tuple[Origin, str | None]:
    """Return the server of a proxy's URL, and what a name and a password in it become."""
    if url.lower().startswith("socks"):
        raise ValueError("a proxy that speaks SOCKS is not supported; one that speaks HTTP is")
    scheme, host, port, _, userinfo = _split(url if "://" in url else f"http://{url}")
    if scheme != "http":
        raise ValueError(f"the proxy at {host} is reached by {scheme}://, but only http:// can be")
    return Origin(scheme, host, port or 80), basic(userinfo)


def basic(userinfo: str) -> str | None:
    """Return the credentials of a URL as the value of a header (RFC 7617)."""
    if not userinfo:
        return None
    import base64  # noqa: PLC0415 - few URLs have credentials
    from urllib.parse import unquote  # noqa: PLC0415 - the same

    name, _, password = userinfo.partition(":")
    both = f"{unquote(name)}:{unquote(password)}".encode()
    return f"Basic {base64.b64encode(both).decode()}"


def bracketed(host: str) -> str:
    """Return a host as it stands in a URL."""
    return f"[{host}]" if ":" in host else host


def _split(url: str) -> tuple[str, str, int | None, str, str]:
    """Return scheme, host, port, path with query, and userinfo."""
    try:
        parsed = httptools.parse_url(url[: _LONGEST + 1].encode("ascii"))
    except (httptools.HttpParserInvalidURLError, UnicodeEncodeError):
        raise ValueError(_NO_URL) from None
    if len(url) > _LONGEST or not parsed.schema or not parsed.host:
        raise ValueError(_NO_URL)
    path = (parsed.path or b"/").decode()
    if parsed.query:
        path = f"{path}?{parsed.query.decode()}"
    if not _PATH.fullmatch(path):
        raise ValueError(f"the path of the URL of {parsed.host.decode()} has a space or a control")
    userinfo = (parsed.userinfo or b"").decode()
    host = parsed.host.decode().lower()
    return parsed.schema.decode().lower(), host, parsed.port, path, userinfo
