"""The proofs of an upstream for its thinking, marked with the server and the model.

A conversation may move to another upstream, which would refuse a request with a signature that is
not its own. So each proof names its server and model, and only those get it back.
"""

from hashlib import sha256
from typing import Final

_SEPARATOR: Final = ":"
_LENGTH: Final = 12


class ProofEnvelope:
    """Closes and opens the proofs of one model of one server."""

    def __init__(self, url: str, model: str) -> None:
        digest = sha256(f"{url.rstrip('/').removesuffix('/v1')}\n{model}".encode()).hexdigest()
        self._mark = digest[:_LENGTH] + _SEPARATOR

    def close(self, signature: str) -> str:
        """Return a proof: the upstream's signature with the mark of the upstream."""
        return self._mark + signature

    def open(self, proof: str) -> str | None:
        """Return the signature in a proof of this upstream, `None` for a proof of another one."""
        return proof.removeprefix(self._mark) if proof.startswith(self._mark) else None
