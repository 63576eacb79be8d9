"""The proofs of an upstream for its thinking, marked with the server and the model.

A conversation may move to another upstream, which would refuse a request with a signature that is
not its own. So each proof names the server and model that gave it, and only those get it back.
"""

from hashlib import sha256
from typing import Final

_SEPARATOR: Final = ":"
_LENGTH: Final = 12


class ProofEnvelope:
    """Marks and opens the proofs of one model of one server."""

    def __init__(self, url: str, model: str) -> None:
        digest = sha256(f"{url.rstrip('/').removesuffix('/v1')}\n{model}".encode()).hexdigest()
        self._mark = digest[:_LENGTH] + _SEPARATOR

    def proof(self, said: str) -> str:
        """Return a proof: the upstream's signature, marked."""
        return self._mark + said

    def said(self, proof: str) -> str | None:
        """Return the signature in a proof of this upstream, `None` for a proof of another one."""
        return proof.removeprefix(self._mark) if proof.startswith(self._mark) else None
