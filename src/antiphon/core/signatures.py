"""Signatures of thinking: proof, when a block comes back, that it came from here as it is.

A signature holds the digest of the whole thinking and a keyed digest over that. So it can be
checked as well for a caller who was sent the signature alone (`display: omitted`): text that such
a caller leaves empty is what was sent, any other text must be the one that was signed.

Where an engine has a proof of its own for what it thought, the signature carries it, so that the
engine gets it back with the conversation: version 2 is version 1 with the proof at its end, which
the keyed digest then covers. Thinking that cannot be read (`redacted_thinking`) is such a
signature of no text.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from hashlib import sha256
from hmac import compare_digest, digest

PLAIN = b"\x01"
PROVEN = b"\x02"
_DIGEST = 32
_SIZE = 1 + 2 * _DIGEST


def sign_thinking(key: bytes, thinking: str, proof: str = "") -> str:
    """Return the signature of what a model thought, with the engine's own `proof` inside."""
    version = PROVEN if proof else PLAIN
    content, tail = sha256(thinking.encode()).digest(), proof.encode()
    mark = _mark(key, version + content + tail)
    return urlsafe_b64encode(version + content + mark + tail).decode("ascii")


def is_signed(key: bytes, thinking: str, signature: str) -> bool:
    """Tell whether this signature was made here for this thinking, or for thinking not shown."""
    return is_signature_of(key, thinking, signature) or (
        not thinking and _opened(key, signature) is not None
    )


def is_signature_of(key: bytes, thinking: str, signature: str) -> bool:
    """Tell whether this signature was made here for exactly this thinking."""
    raw = _opened(key, signature)
    content = sha256(thinking.encode()).digest()
    return raw is not None and compare_digest(content, raw[1 : 1 + _DIGEST])


def proof_in(key: bytes, signature: str) -> str | None:
    """Return the proof inside of a signature, empty if none is; `None` if it is not from here."""
    raw = _opened(key, signature)
    return None if raw is None else raw[_SIZE:].decode()


def _opened(key: bytes, signature: str) -> bytes | None:
    try:
        raw = urlsafe_b64decode(signature.encode("ascii"))
    except (UnicodeEncodeError, Error):
        return None
    version, content, mark, tail = (
        raw[:1],
        raw[1 : 1 + _DIGEST],
        raw[1 + _DIGEST : _SIZE],
        raw[_SIZE:],
    )
    if len(raw) < _SIZE or version != (PROVEN if tail else PLAIN):
        return None
    return raw if compare_digest(_mark(key, version + content + tail), mark) else None


def _mark(key: bytes, content: bytes) -> bytes:
    return digest(key, b"thinking" + content, "sha256")
