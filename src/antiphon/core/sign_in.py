"""The rules of signing in: passwords, how often somebody may try, and from where.

Nothing here reads a clock: times are arguments, in seconds of any clock that never goes back.
"""

from collections.abc import Collection
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final
from unicodedata import normalize

import msgspec

LONGEST_WAIT_S: Final = 900.0
"""The longest pause before the next try."""
FORGOTTEN_AFTER_S: Final = 3600.0
"""The time without a failed try after which earlier ones do not count any more."""
FREE_TRIES: Final = 5
FREE_TRIES_OF_AN_ADDRESS: Final = 20
"""Offices share an address, so it has more tries than an account before it has to pause."""
# Providers give a customer at least so many leading bits of an IPv6 address.
_CUSTOMER_BITS = 64
_MOST_DOUBLINGS = 10


def password_bytes(password: str) -> bytes:
    """Return what is hashed for a password: the same for every way to write its characters.

    NFKC, as NIST SP 800-63B recommends: keyboards differ in how they compose an accent.
    """
    return normalize("NFKC", password).encode("utf-8", "surrogatepass")


class Failures(msgspec.Struct, frozen=True):
    """The failed tries of one account or address, and the time of the last one in seconds."""

    count: int
    last_s: float


def wait_s(failures: Failures | None, free: int, now_s: float) -> float:
    """Return how many seconds the next try has to wait; 0 if it may be made now.

    After `free` failures each one doubles the pause, from a second up to `LONGEST_WAIT_S`.
    """
    if failures is None or failures.count < free or is_forgotten(failures, now_s):
        return 0.0
    pause = min(2.0 ** min(failures.count - free, _MOST_DOUBLINGS), LONGEST_WAIT_S)
    return max(0.0, failures.last_s + pause - now_s)


def is_forgotten(failures: Failures, now_s: float) -> bool:
    """Return whether these failures do not count any more."""
    return now_s - failures.last_s >= FORGOTTEN_AFTER_S


def after_failure(failures: Failures | None, now_s: float) -> Failures:
    """Return the failures with one more."""
    if failures is None or is_forgotten(failures, now_s):
        return Failures(1, now_s)
    return Failures(failures.count + 1, now_s)


def client_address(peer: str, forwarded: str | None, proxies: Collection[str]) -> str:
    """Return from where a request comes, as failed tries are counted.

    `forwarded` is `x-forwarded-for`. Each proxy adds at its end whom it has the request from, so
    the last address that is no proxy of ours is the client; what stands before it may be invented.
    An IPv6 address counts as its network of 64 bits, which one customer has.
    """
    networks = [ip_network(proxy, strict=False) for proxy in proxies]
    hops = [peer, *reversed((forwarded or "").split(","))]
    found: IPv4Address | IPv6Address | None = None
    for hop in hops:
        try:
            address = _address(hop.strip())
        except ValueError:
            break
        found = address
        if not any(address in network for network in networks):
            break
    if isinstance(found, IPv6Address):
        return str(IPv6Network((found, _CUSTOMER_BITS), strict=False))
    return str(found or "unknown")


def _address(text: str) -> IPv4Address | IPv6Address:
    address = ip_address(text)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
