"""The addresses of a provider: which ones may be asked, and where a browser is sent."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode, urlsplit

WELL_KNOWN: Final = "/.well-known/openid-configuration"
# Their traffic stays on this machine.
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


def is_safe(address: str) -> bool:
    """Return whether what is sent to an address cannot be read on the way: https, or loopback."""
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError:
        return False
    if not parts.hostname or not address.isprintable() or "@" in parts.netloc:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)


def discovery_address(issuer: str) -> str:
    """Return where an issuer describes itself (OpenID Connect Discovery, 4)."""
    return issuer.rstrip("/") + WELL_KNOWN


def with_query(address: str, parameters: Mapping[str, str]) -> str:
    """Return an address with parameters after those that it has."""
    address = address.partition("#")[0]
    return f"{address}{'&' if '?' in address else '?'}{urlencode(parameters)}"
