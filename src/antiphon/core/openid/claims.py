"""What a provider says of a person: whether it is for us, and what follows from it."""

import hmac
import re
from collections.abc import Collection, Iterator, Mapping
from math import isfinite
from typing import Any, Final, TypeAlias, TypeGuard, TypeVar

import msgspec

from antiphon.core.names import is_readable
from antiphon.core.openid.keys import UnacceptableError
from antiphon.core.openid.requests import SKEW_S

Claims: TypeAlias = Mapping[str, Any]
R = TypeVar("R", bound=str)

LONGEST_SUBJECT: Final = 255
_LONGEST_ADDRESS: Final = 254
_LONGEST_NAME: Final = 200
_ADDRESS: Final = re.compile(r"[^\s@]+@[^\s@]+")


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """What the ID token of a request has to say. `began_s` is in seconds since 1970."""

    issuer: str
    client_id: str
    nonce: str
    began_s: int


def check_id_token(claims: Claims, expected: Expected, now_s: float) -> str:
    """Return the subject of an ID token (OpenID Connect Core, 3.1.3.7).

    Raises `UnacceptableError` for a token of another issuer, for another program, of another
    request, or of another time. Its signature was checked before.
    """
    if claims.get("iss") != expected.issuer:
        raise UnacceptableError("it is of another issuer")
    _check_audience(claims, expected.client_id)
    nonce = claims.get("nonce")
    if not isinstance(nonce, str) or not hmac.compare_digest(
        nonce.encode("utf-8", "replace"), expected.nonce.encode()
    ):
        raise UnacceptableError("it is of another request (nonce)")
    _check_times(claims, expected.began_s, now_s)
    return subject_of(claims)


def _check_audience(claims: Claims, client_id: str) -> None:
    audience = claims.get("aud")
    several = isinstance(audience, list)
    if client_id not in (audience if isinstance(audience, list) else [audience]):
        raise UnacceptableError("it is for another program (aud)")
    # Of several programs, `azp` says which one has asked.
    if claims.get("azp", None if several and len(audience or ()) > 1 else client_id) != client_id:
        raise UnacceptableError("another program has asked for it (azp)")


def _check_times(claims: Claims, began_s: int, now_s: float) -> None:
    expires, issued, begins = (claims.get(name) for name in ("exp", "iat", "nbf"))
    # Each is asked whether it fits, as what is no number fits nowhere.
    if not (_is_number(expires) and expires > now_s - SKEW_S):
        raise UnacceptableError("it has expired")
    if not (_is_number(issued) and issued <= now_s + SKEW_S):
        raise UnacceptableError("it is of the future")
    if not issued >= began_s - SKEW_S:
        raise UnacceptableError("it is older than the request")
    if begins is not None and not (_is_number(begins) and begins <= now_s + SKEW_S):
        raise UnacceptableError("it does not count yet")


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def subject_of(claims: Claims) -> str:
    """Return who a person is at the provider, for ever. Raises `UnacceptableError`."""
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= LONGEST_SUBJECT:
        raise UnacceptableError("it names nobody (sub)")
    if not (subject.isascii() and subject.isprintable()):
        raise UnacceptableError("it names nobody (sub)")
    return subject


def verified_address(claims: Claims, *, trusted: bool = False) -> str | None:
    """Return the e-mail address of a person in lower case, if the provider has verified it.

    Whoever can state any address could else become any user. `trusted` accepts an address of
    which the provider says nothing, but none of which it says that it is not verified.
    """
    address, verified = claims.get("email"), claims.get("email_verified")
    if verified is None and trusted:
        verified = True
    # One large provider writes the truth value as a text.
    if verified is not True and verified != "true":
        return None
    if not isinstance(address, str) or len(address) > _LONGEST_ADDRESS:
        return None
    address = address.strip().lower()
    return address if address.isprintable() and _ADDRESS.fullmatch(address) else None


def may_come_in(
    claims: Claims, address: str | None, domains: Collection[str], required: Mapping[str, str]
) -> bool:
    """Return whether the settings let a person in: the domain of the address, and each claim.

    `*` is every domain; without `domains`, no address is needed.
    """
    domain = None if address is None else address.rpartition("@")[2]
    if domains and "*" not in domains and domain not in domains:
        return False
    return all(wanted in set(values_at(claims, name)) for name, wanted in required.items())


def role_of(claims: Claims, claim: str | None, roles: Mapping[str, R]) -> R | None:
    """Return the role that the provider gives: of several, the first in the order of the settings.

    `None` if it gives none.
    """
    if claim is None:
        return None
    values = set(values_at(claims, claim))
    return next((role for value, role in roles.items() if value in values), None)


def values_at(claims: Claims, name: str) -> Iterator[str]:
    """Yield the texts of a claim, which may be a list of them: `groups`, `realm_access.roles`.

    A name with dots is first taken as it is, and then as a path.
    """
    value: Any = claims.get(name)
    if value is None:
        value = claims
        for part in name.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, bool):
            yield "true" if one else "false"
        elif isinstance(one, str):
            yield one


def name_of(claims: Claims, address: str) -> str:
    """Return the name of a person: what the provider says, or the beginning of the address."""
    name = claims.get("name")
    if isinstance(name, str) and is_readable(name) and len(name.strip()) <= _LONGEST_NAME:
        return name.strip()
    return address.partition("@")[0]
