"""Checks the signature of an ID token, by PyJWT; its exceptions end here."""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import msgspec

from antiphon.core.openid.keys import UnacceptableError, algorithm_of, keys_for

LONGEST_TOKEN = 32 * 1024


def is_installed() -> bool:
    """Return whether the libraries for signatures are there: they are an extra."""
    return all(find_spec(name) is not None for name in ("jwt", "cryptography"))


def header_of(token: str) -> dict[str, Any]:
    """Return the header of a token, unchecked. Raises `UnacceptableError`."""
    from jwt import PyJWS, PyJWTError  # noqa: PLC0415 - 100 ms, and an extra

    if len(token) > LONGEST_TOKEN:
        raise UnacceptableError("it is too long")
    try:
        return PyJWS().get_unverified_header(token)
    except (PyJWTError, ValueError, RecursionError) as error:
        raise UnacceptableError("it is no token") from error


def signed_claims(token: str, keys: Sequence[Any]) -> dict[str, Any] | None:
    """Return the claims of a token that one of these keys has signed.

    `None` if no key fits, so another list of keys may have one. Raises `UnacceptableError` for a
    signature that is wrong, or of no allowed kind.
    """
    from jwt import PyJWK, PyJWS, PyJWTError  # noqa: PLC0415 - 100 ms, and an extra

    header = header_of(token)
    algorithm = algorithm_of(header)
    fitting = keys_for(keys, header)
    for key in fitting:
        try:
            payload = PyJWS(algorithms=[algorithm]).decode(
                token, PyJWK(key, algorithm), algorithms=[algorithm]
            )
        except (PyJWTError, ValueError, TypeError, RecursionError):
            continue
        return _object(payload)
    if fitting:
        raise UnacceptableError("its signature is wrong")
    return None


def _object(payload: bytes) -> dict[str, Any]:
    try:
        claims = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnacceptableError("its claims are no JSON") from error
    if not isinstance(claims, dict):
        raise UnacceptableError("its claims are no JSON object")
    return claims
