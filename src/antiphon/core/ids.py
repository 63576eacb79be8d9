"""Public ids of objects, and the secrets of API keys.

Randomness is an argument, so everything here is a function of its arguments.
"""

import hmac
from base64 import urlsafe_b64encode
from functools import lru_cache
from hashlib import sha256
from typing import Final
from uuid import UUID

ID_ENTROPY = 22
SECRET_ENTROPY = 32
SECRET_PREFIX = "sk-antiphon-"  # noqa: S105 - what every secret starts with is none
ADMIN_SECRET_PREFIX = SECRET_PREFIX + "admin-"
SHORTEST_SECRET = 16
LONGEST_SECRET = 512

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_CHARACTERS = (_ALPHABET * 5)[:256].encode("ascii")
_RANDOM_LENGTH = 43


def message_id(entropy: bytes) -> str:
    """`msg_01` and 22 characters."""
    return public_id("msg_01", entropy)


def batch_id(entropy: bytes) -> str:
    """`msgbatch_01` and 22 characters."""
    return public_id("msgbatch_01", entropy)


def request_id(seconds: float, entropy: bytes) -> str:
    """`req_011C` and 20 characters, of which the first six tell the second since 1970.

    So ids of requests that end together stand together in the indexes of the database. Those of an
    index that is in no order are each on another page, which has to be written: that cost more
    than all else of a row.
    """
    return public_id("req_011C" + _second(int(seconds)), entropy[:14])


def file_id(seconds: float, entropy: bytes) -> str:
    """`file_011C` and 20 characters, in order as `request_id`."""
    return public_id("file_011C" + _second(int(seconds)), entropy[:14])


def run_id(seconds: float, entropy: bytes) -> str:
    """`workerreq_01` and 22 characters, in order as `request_id`: a request of a batch."""
    return public_id("workerreq_01" + _second(int(seconds)), entropy[:16])


def tool_use_id(entropy: bytes) -> str:
    """`toolu_01` and 22 characters."""
    return public_id("toolu_01", entropy)


def server_tool_use_id(entropy: bytes) -> str:
    """`srvtoolu_01` and 22 characters."""
    return public_id("srvtoolu_01", entropy)


MODELS_OWN: Final = 12
"""The maximum length of an identifier of a model's own in the id of a call."""


def with_identifier(call: str, identifier: str) -> str:
    """Return the id of a call with the model's own identifier at its end, if it has room for it.

    What stands before it is as random as before, so a model may write the same one twice.
    """
    if not identifier or len(identifier) > MODELS_OWN:
        return call
    return call[: -len(identifier)] + identifier


def identifier_in(call: str, length: int) -> str | None:
    """Return the model's own identifier of this length from the id of a call.

    Any id that ends with so many letters and digits has one, `None` is for all others: a call that
    was made elsewhere has the end of its id, the same each time.
    """
    own = call[-length:]
    return own if len(own) == length and own.isascii() and own.isalnum() else None


def api_key_id(entropy: bytes) -> str:
    """`apikey_01` and 22 characters."""
    return public_id("apikey_01", entropy)


def workspace_id(entropy: bytes) -> str:
    """`wrkspc_01` and 22 characters."""
    return public_id("wrkspc_01", entropy)


def user_id(entropy: bytes) -> str:
    """`user_01` and 22 characters."""
    return public_id("user_01", entropy)


def invite_id(entropy: bytes) -> str:
    """`invite_01` and 22 characters."""
    return public_id("invite_01", entropy)


def spend_limit_id(entropy: bytes) -> str:
    """`spl_01` and 22 characters."""
    return public_id("spl_01", entropy)


def increase_request_id(entropy: bytes) -> str:
    """`limreq_01` and 22 characters."""
    return public_id("limreq_01", entropy)


def audit_entry_id(entropy: bytes) -> str:
    """`audit_01` and 22 characters."""
    return public_id("audit_01", entropy)


def organization_id(entropy: bytes) -> str:
    """Write 16 random bytes as a UUID (version 4, RFC 9562)."""
    return str(UUID(bytes=entropy[:16], version=4))


def public_id(prefix: str, entropy: bytes) -> str:
    """Write a character of base58 after `prefix` for each byte of `entropy`.

    Two ids are made for every request, so this is one table look-up a byte and no arithmetic. A
    byte has 256 values and the alphabet 58, so some characters are a little more frequent: 20 of
    them still hold more than 113 bits, and 14 more than 79.
    """
    return prefix + entropy.translate(_CHARACTERS).decode("ascii")


@lru_cache(maxsize=1)
def _second(second: int) -> str:
    """Write a second since 1970 in base58, whose order is that of time until the year 3176."""
    characters = ""
    for _ in range(6):
        second, place = divmod(second, len(_ALPHABET))
        characters = _ALPHABET[place] + characters
    return characters


def make_secret(entropy: bytes, prefix: str = SECRET_PREFIX) -> str:
    """Make the secret of a key out of 32 random bytes: 256 bits, 43 characters."""
    if len(entropy) != SECRET_ENTROPY:
        raise ValueError(f"A secret is made of {SECRET_ENTROPY} random bytes")
    return prefix + urlsafe_b64encode(entropy).rstrip(b"=").decode("ascii")


def repeatable_entropy(credential: str, nonce: bytes) -> bytes:
    """Derive the 32 bytes of a secret; only the same credential and nonce give them again.

    The nonce is random and may be stored: without the credential it tells nothing about the bytes.
    """
    return hmac.digest(credential.encode("utf-8", "surrogatepass"), nonce, "sha256")


def checked_secret(secret: str) -> str:
    """Return a secret that a person chose. Raises a `ValueError` that does not contain it."""
    if not SHORTEST_SECRET <= len(secret) <= LONGEST_SECRET:
        raise ValueError(
            f"An API key has {SHORTEST_SECRET} to {LONGEST_SECRET} characters, "
            f"and this one has {len(secret)}"
        )
    if not all("!" <= character <= "~" for character in secret):
        raise ValueError("An API key consists of visible ASCII characters without spaces")
    return secret


def hash_secret(secret: str) -> bytes:
    """Digest a secret for storage and look-up.

    SHA-256 and no salt, on purpose: slow hashes make guessing expensive, and 256 random bits
    cannot be guessed; a slow hash would only make every request slow. A secret that a person chose
    is as hard to guess as that person made it.
    """
    return sha256(secret.encode("utf-8", "surrogatepass")).digest()


def hint(secret: str) -> str:
    """Shorten a secret to what its owner recognizes: `sk-antiphon-R2D...igAA`.

    At most a quarter of a chosen secret is shown.
    """
    for prefix in (ADMIN_SECRET_PREFIX, SECRET_PREFIX):
        if secret.startswith(prefix) and len(secret) >= len(prefix) + _RANDOM_LENGTH:
            return f"{secret[: len(prefix) + 3]}...{secret[-4:]}"
    shown = min(4, len(secret) // 8)
    return f"{secret[:shown]}...{secret[len(secret) - shown :]}"
