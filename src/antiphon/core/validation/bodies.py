"""The bodies of requests, by the version of the API that decodes them."""

import re
from collections.abc import Mapping, Sequence
from typing import Final, Generic, TypeVar

from antiphon.core.validation.versions import NEWEST, OLDEST
from antiphon.wire.decoding import BodyDecoder
from antiphon.wire.messages import SAMPLING, CreateMessageParams

P = TypeVar("P")

VERSIONS: Final = (OLDEST, NEWEST)

BETA_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]*\Z")
"""What can be the name of a beta. Those that are not in `wire.base.BETAS` have no effect."""


class Body(Generic[P]):
    """The body of a route: its type (`kind`), and the fields that a version no longer has."""

    __slots__ = ("_decoders", "kind")

    def __init__(self, kind: type[P], gone: Mapping[str, Sequence[str]] | None = None) -> None:
        without = gone or {}
        self.kind = kind
        self._decoders = {
            version: BodyDecoder(kind, without.get(version, ())) for version in VERSIONS
        }

    def decode(self, body: bytes, version: str, betas: frozenset[str]) -> P:
        """Decode a body of this version, with the keys of these betas. Raises `BodyError`."""
        return self._decoders[version].decode(body, betas)


MESSAGE_BODY: Final = Body(CreateMessageParams, gone={NEWEST: SAMPLING})
"""The body of a message, also of one in a batch. The newest version has no sampling parameters."""
