"""The domains that a caller allows or blocks: `example.com`, `docs.example.com/guides/*/intro`.

A domain has all of its subdomains in it. A path is the beginning of a path; one `*` in it stands
for any text. Domains are written without a scheme.
"""

import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import unquote, urlsplit

import msgspec

MOST_DOMAINS: Final = 100
LONGEST: Final = 255

_SLASHES: Final = re.compile(r"[/\\]")
_DOMAIN: Final = re.compile(r"([a-z0-9_-]+\.)*[a-z0-9_-]+\Z", re.IGNORECASE)


class Domains(msgspec.Struct, frozen=True):
    """What may be read: of `allowed` something, or nothing of `blocked`.

    A URL is to be in the form in which it is fetched: with a host in ASCII, and no `..` in its
    path. One that cannot be read is in no domain, and not permitted.
    """

    allowed: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()

    def permit(self, url: str) -> bool:
        """Return whether this URL may be read."""
        if not _can_be_read(url) or ((self.allowed or self.blocked) and _leads_up(url)):
            return False
        if self.allowed:
            return any(is_in(url, one) for one in self.allowed)
        return not any(is_in(url, one) for one in self.blocked)

    @property
    def fault(self) -> str | None:
        """The first domain that is none; `None` if there is none."""
        return next((one for one in (*self.allowed, *self.blocked) if not is_domain(one)), None)


def domains_of(allowed: Sequence[str] | None, blocked: Sequence[str] | None) -> Domains:
    """Return the domains of a tool's parameters."""
    return Domains(tuple(allowed or ()), tuple(blocked or ()))


def is_domain(text: str) -> bool:
    """Return whether a text is a domain, with or without a path."""
    host, _, path = text.partition("/")
    return len(text) <= LONGEST and _DOMAIN.match(host) is not None and path.count("*") <= 1


def _can_be_read(url: str) -> bool:
    try:
        return urlsplit(url).hostname is not None
    except ValueError:
        return False


def _leads_up(url: str) -> bool:
    """Return whether a path has a `..` that only its server reads, as in `/a%2F..%2Fb`."""
    return ".." in _SLASHES.split(unquote(urlsplit(url).path))


def is_in(url: str, domain: str) -> bool:
    """Return whether a URL is in a domain."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".").lower()
    except ValueError:
        return False
    name, _, path = domain.partition("/")
    name = name.lower()
    if host != name and not host.endswith(f".{name}"):
        return False
    # `ä` and `%C3%A4` are the same path.
    before, star, after = f"/{unquote(path)}".partition("*")
    own = unquote(parts.path) or "/"
    if not own.startswith(before) and own + "/" != before:
        return False
    return not star or after in own[len(before) :]
