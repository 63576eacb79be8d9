"""What was found in the web, sealed for its way through the caller.

Only this server opens a seal, and only for the workspace that it was made for. A seal cannot be
changed, and says nothing of what is inside but its length.
"""

import hmac
from base64 import b64decode, urlsafe_b64encode
from binascii import Error
from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from typing import Any, Final

_VERSION: Final = b"\x01"
_NONCE: Final = 12
_PURPOSE: Final = b"antiphon web results\0"
_ALIKE: Final = b"antiphon web results alike\0"
# What a seal is for is authenticated with it: one that was made for something else stays closed.
_TEXT: Final = _VERSION + b"text"
_INDEX: Final = _VERSION + b"index"
_MOST_WORKSPACES: Final = 1024


def is_installed() -> bool:
    """Return whether the library for seals is there: it is an extra."""
    return find_spec("cryptography") is not None


class Seals:
    """Seals and opens. `salt` stands for a workspace."""

    def __init__(self, signing_key: bytes, entropy: Callable[[int], bytes]) -> None:
        self._key = signing_key
        self._entropy = entropy
        self._cipher = lru_cache(maxsize=_MOST_WORKSPACES)(self._cipher_of)

    def seal(self, content: bytes, salt: str) -> str:
        """Seal the text of a result."""
        return self._sealed(content, salt, self._entropy(_NONCE)[:_NONCE], _TEXT)

    def seal_index(self, content: bytes, salt: str) -> str:
        """Seal what a citation refers to, which the caller may have written: nothing opens it.

        The same content has the same seal: prompts that are the same stay so.
        """
        own = hmac.digest(self._key, _ALIKE + salt.encode() + b"\0" + content, "sha256")
        return self._sealed(content, salt, own[:_NONCE], _INDEX)

    def _sealed(self, content: bytes, salt: str, nonce: bytes, purpose: bytes) -> str:
        sealed: bytes = self._cipher(salt).encrypt(nonce, content, purpose)
        return urlsafe_b64encode(_VERSION + nonce + sealed).decode("ascii")

    def open(self, sealed: str, salt: str) -> bytes | None:
        """Return the text inside; `None` if it was not sealed here for this workspace."""
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - an extra

        try:
            raw = b64decode(sealed.encode("ascii"), altchars=b"-_", validate=True)
        except (UnicodeEncodeError, Error):
            return None
        if raw[:1] != _VERSION or len(raw) <= _NONCE:
            return None
        nonce, content = raw[1 : 1 + _NONCE], raw[1 + _NONCE :]
        try:
            opened: bytes = self._cipher(salt).decrypt(nonce, content, _TEXT)
        except InvalidTag:
            return None
        return opened

    def _cipher_of(self, salt: str) -> Any:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - an extra

        return AESGCM(hmac.digest(self._key, _PURPOSE + salt.encode(), "sha256"))
