"""The rules of the `Idempotency-Key` header, for every endpoint that takes one."""

from typing import Final

from antiphon.core.errors import InvalidRequestError

LONGEST_KEY: Final = 255


def check_key(key: str) -> None:
    """Raise `InvalidRequestError` for what cannot be a key."""
    if not (key.isascii() and key.isprintable() and 0 < len(key) <= LONGEST_KEY):
        raise InvalidRequestError(
            f"Idempotency-Key: Input should be 1 to {LONGEST_KEY} printable ASCII characters"
        )


def check_same(asked_before: object, asked: object) -> None:
    """Raise `InvalidRequestError` if a key comes with another request than before.

    Both are what decides the effect of a request, or digests of that.
    """
    if asked_before != asked:
        raise InvalidRequestError("Idempotency-Key: it has been used for another request")
