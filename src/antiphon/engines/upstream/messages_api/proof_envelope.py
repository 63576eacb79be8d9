"""Whose signature it is: an upstream's proof of what it thought, marked with where it came from.

A conversation may move to another upstream, which would refuse a request with a signature that is
not its own. So each proof says which server and model gave it, and only those get it back.
"""

from hashlib import sha256
from typing import Final

_SEPARATOR: Final = ":"
_LENGTH: Final = 12


class ProofEnvelope:
    """One model of one server."""

    def __init__(self, url: str, model: str) -> None:
        digest = sha256(f"{url.rstrip('/').removesuffix('/v1')}\n{model}".encode()).hexdigest()
        self._mark = digest[:_LENGTH] + _SEPARATOR

    def proof(self, said: str) -> str:
        """Mark what the upstream said."""
        return self._mark + said

    def said(self, proof: str) -> str | None:
        """Return what this upstream said, `None` if somebody else did."""
        return proof.removeprefix(self._mark) if proof.startswith(self._mark) else None
