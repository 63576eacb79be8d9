"""The rules of the prompt cache, as functions of values; what is stored, and where, is not here.

    Prompt ─► chain ─► keys_to_find ─► an index of entries ─► plan ─► the engine ─► claim

1. `chain_of` gives each prefix of a prompt a key. Tenants, models and settings are in the keys, so
   one index may hold the entries of all.
2. The service asks its index for `keys_to_find`, and the engine for the size of the prompt.
3. `plan_of` says which entry to read and what to write. The end of the entry that is read moves
   (`refreshed`), and rate limits are asked for the planned usage without its reads.
4. The engine reads the prompt. It says how much it reused and which prefixes it keeps.
5. `claim_of` returns the usage that this proves: it is what the caller is told and billed. When the
   response begins, its entries are stored (`merged`), and not before.

Which breakpoints a request has, and which it may not have, is in `core.validation.breakpoints`;
their prices are in `core.billing`. The reasons are in docs/decisions/0028-prompt-caching.md.
"""

from antiphon.core.prompt_cache.chain import Chain, ChainRoot, chain_of
from antiphon.core.prompt_cache.claim import CacheClaim, claim_of
from antiphon.core.prompt_cache.diagnostics import (
    CacheMiss,
    Fingerprint,
    fingerprint_of,
    first_miss,
)
from antiphon.core.prompt_cache.entries import CacheEntry, merged, refreshed
from antiphon.core.prompt_cache.plan import (
    MINIMUM_TOKENS,
    CachePlan,
    CachePoint,
    keys_to_find,
    plan_of,
)

__all__ = [
    "MINIMUM_TOKENS",
    "CacheClaim",
    "CacheEntry",
    "CacheMiss",
    "CachePlan",
    "CachePoint",
    "Chain",
    "ChainRoot",
    "Fingerprint",
    "chain_of",
    "claim_of",
    "fingerprint_of",
    "first_miss",
    "keys_to_find",
    "merged",
    "plan_of",
    "refreshed",
]
