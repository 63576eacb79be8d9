"""The addresses of the public Internet: content is fetched only from these.

The tables stand here because those of Python differ between versions. IPv4 is public except for the
reserved networks; IPv6 is private except for the allocated networks.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

_NOT_PUBLIC_4: Final = tuple(
    map(
        IPv4Network,
        (
            *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
            *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24"),
            *("192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
            *("224.0.0.0/4", "240.0.0.0/4"),
            # A public address by number, but in one cloud it leads to the host of the machine.
            "168.63.129.16/32",
        ),
    )
)
_GIVEN_OUT_6: Final = IPv6Network("2000::/3")
# Protocols (Teredo among them), documentation.
_NOT_PUBLIC_6: Final = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "3fff::/20")))
_SIX_TO_FOUR: Final = IPv6Network("2002::/16")
_NAT64: Final = IPv6Network("64:ff9b::/96")
# The second half of an address that carries an IPv4 address through a tunnel (ISATAP).
_TUNNELS: Final = frozenset({0x0000_5EFE, 0x0200_5EFE})


def is_public(address: str) -> bool:
    """Return whether a text is an address of the public Internet."""
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    return _is_public_4(ip) if isinstance(ip, IPv4Address) else _is_public_6(ip)


def _is_public_4(ip: IPv4Address) -> bool:
    return not any(ip in network for network in _NOT_PUBLIC_4)


def _is_public_6(ip: IPv6Address) -> bool:
    number = int(ip)
    if ip.scope_id is not None:
        return False
    if ip in _NAT64:
        return _is_public_4(IPv4Address(number & 0xFFFF_FFFF))
    if ip in _SIX_TO_FOUR and not _is_public_4(IPv4Address(number >> 80 & 0xFFFF_FFFF)):
        return False
    if number >> 32 & 0xFFFF_FFFF in _TUNNELS and not _is_public_4(
        IPv4Address(number & 0xFFFF_FFFF)
    ):
        return False
    return ip in _GIVEN_OUT_6 and not any(ip in network for network in _NOT_PUBLIC_6)
