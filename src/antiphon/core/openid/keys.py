"""Which key of a provider can have signed an ID token."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

# The algorithms of public keys, with the type and the curve of a key. Neither `none` nor HS256 is
# among them: with the latter, a provider's public key would be a secret that everybody knows.
ALGORITHMS: Final[Mapping[str, tuple[str, str | None]]] = {
    **{f"{family}{bits}": ("RSA", None) for family in ("RS", "PS") for bits in (256, 384, 512)},
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
}
MOST_KEYS: Final = 64
"""The keys of a provider that are looked at."""
MOST_TRIED: Final = 4
"""The keys that are tried for a token which does not name its key."""
# A modulus of 2,048 to 8,192 bits in base64url: a shorter one can be broken, a longer one keeps a
# core busy.
_MODULUS_CHARACTERS: Final = range(2048 // 8 * 4 // 3, 8192 // 8 * 4 // 3 + 3)
_MOST_EXPONENT_CHARACTERS: Final = 8
# The types of an ID token. Others, such as `at+jwt` and `logout+jwt`, are for something else.
_TYPES: Final = frozenset({"JWT", "APPLICATION/JWT"})


class UnacceptableError(Exception):
    """An ID token that is not accepted. The reason is for the log of the operator."""


def algorithm_of(header: Mapping[str, Any]) -> str:
    """Return the algorithm of a token. Raises `UnacceptableError` for one that is not allowed."""
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise UnacceptableError("its algorithm is none of public keys")
    kind = header.get("typ")
    if kind is not None and (not isinstance(kind, str) or kind.upper() not in _TYPES):
        raise UnacceptableError("it is a token of another type")
    if "crit" in header:
        raise UnacceptableError("its header has extensions")
    return algorithm


def keys_for(keys: Sequence[Any], header: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the keys that may have signed a token with this header. Raises `UnacceptableError`.

    A token that names its key has at most the keys of this name; one that names none is tried
    with a few.
    """
    algorithm = algorithm_of(header)
    wanted = header.get("kid")
    fitting = [key for key in keys[:MOST_KEYS] if _fits(key, algorithm)]
    if wanted is not None:
        fitting = [key for key in fitting if key.get("kid") == wanted]
    return fitting[:MOST_TRIED]


def _fits(key: Any, algorithm: str) -> bool:
    if not isinstance(key, dict):
        return False
    kind, curve = ALGORITHMS[algorithm]
    if key.get("kty") != kind or key.get("use", "sig") != "sig":
        return False
    if key.get("alg", algorithm) != algorithm:
        return False
    if curve is not None:
        return bool(key.get("crv") == curve)
    modulus, exponent = key.get("n"), key.get("e")
    if not isinstance(modulus, str) or not isinstance(exponent, str):
        return False
    return len(modulus) in _MODULUS_CHARACTERS and len(exponent) <= _MOST_EXPONENT_CHARACTERS
