"""Cache diagnostics of one request: what its answer says of the prompt cache, and what is kept.

Fingerprints are kept for requests that ask for diagnostics, under the workspace of the caller and
the id of the answer, so that no other workspace finds them.
"""

from hashlib import sha256
from typing import Final

import msgspec

from antiphon.core.prompt_cache import CacheMiss, Chain, fingerprint_of, first_miss
from antiphon.service.access import Caller
from antiphon.store.prompt_cache.base import CacheIndex
from antiphon.wire.messages import CacheMissReason, Diagnostics

_FINGERPRINT: Final = b"antiphon cache fingerprint\0"


class CacheDiagnosis:
    """The diagnostics of a request whose prompt has this chain; `None` for one without a chain."""

    def __init__(self, index: CacheIndex, caller: Caller, chain: Chain | None) -> None:
        self._index = index
        self._caller = caller
        self._chain = chain

    async def compare(self, previous: str | None) -> Diagnostics | None:
        """Compare the prompt with that of an earlier answer, by its id.

        Returns `None` for the first request of a conversation, and where nothing has changed.
        """
        miss = None if previous is None else await self._miss(previous)
        if miss is None:
            return None
        reason = CacheMissReason(type=miss.type)
        if miss.missed_tokens is not None:
            reason = CacheMissReason(type=miss.type, cache_missed_input_tokens=miss.missed_tokens)
        return Diagnostics(cache_miss_reason=reason)

    async def _miss(self, previous: str) -> CacheMiss | None:
        if self._chain is None:
            return CacheMiss("unavailable")
        before = await self._index.fingerprint(self._key(previous))
        if before is None:
            return CacheMiss("previous_message_not_found")
        return first_miss(before, self._chain)

    async def keep(self, message_id: str, tokens: int) -> None:
        """Keep the fingerprint of the prompt, of so many tokens, for later requests."""
        if self._chain is not None:
            fingerprint = fingerprint_of(self._chain, tokens)
            await self._index.keep_fingerprint(self._key(message_id), fingerprint)

    def _key(self, message_id: str) -> bytes:
        caller = self._caller
        named = msgspec.json.encode([caller.organization_id, caller.workspace_id, message_id])
        return sha256(_FINGERPRINT + named).digest()
