"""Signatures of thinking: proof, when a block comes back, that it came from here as it is.

A signature holds the digest of the whole thinking and a keyed digest over that. So it can be
checked as well for a caller who was sent the signature alone (`display: omitted`): text that such
a caller leaves empty is what was sent, any other text must be the one that was signed.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from hashlib import sha256
from hmac import compare_digest, digest

VERSION = b"\x01"
_DIGEST = 32
_SIZE = len(VERSION) + 2 * _DIGEST


def sign_thinking(key: bytes, thinking: str) -> str:
    """Return the signature of what a model thought."""
    content = sha256(thinking.encode()).digest()
    return urlsafe_b64encode(VERSION + content + _mark(key, content)).decode("ascii")


def is_signed(key: bytes, thinking: str, signature: str) -> bool:
    """Tell whether this signature was made here for this thinking, or for thinking not shown."""
    try:
        raw = urlsafe_b64decode(signature.encode("ascii"))
    except (UnicodeEncodeError, Error):
        return False
    version, content, mark = raw[:1], raw[1 : 1 + _DIGEST], raw[1 + _DIGEST :]
    if len(raw) != _SIZE or version != VERSION:
        return False
    same = not thinking or compare_digest(sha256(thinking.encode()).digest(), content)
    return compare_digest(_mark(key, content), mark) and same


def _mark(key: bytes, content: bytes) -> bytes:
    return digest(key, b"thinking" + VERSION + content, "sha256")
