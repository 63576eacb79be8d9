"""The prompt cache of a request: between its prompt, the index of entries, and its engine.

    begin ──► measured ──► admitted ──► claimed ──► begun
    │ the chain, │ the plan   │ refresh    │ what its engine   │ entries and fingerprint
    │ entries    │            │            │ proved: the usage │ into the index

The rules are `core.prompt_cache`. No fault of the cache refuses a request: without an index or a
chain, prompts are computed whole and are plain input.
"""

import hmac
from collections import Counter
from functools import lru_cache, partial
from typing import Final

import msgspec
from msgspec.structs import replace

from antiphon.core.billing.pricing import FREE, Price, cache_saving
from antiphon.core.billing.usage import TokenCounts
from antiphon.core.errors import InvalidRequestError
from antiphon.core.prompt import Confirmation, Prompt, PromptSize, Started
from antiphon.core.prompt_cache import (
    CacheClaim,
    CachePlan,
    Chain,
    ChainRoot,
    chain_of,
    claim_of,
    keys_to_find,
    plan_of,
)
from antiphon.core.request_records import CacheUse, breakpoint_uses
from antiphon.logs import EventLog
from antiphon.service.access import Caller, RequestContext
from antiphon.service.background import offload
from antiphon.service.cache_diagnosis import CacheDiagnosis
from antiphon.service.cache_register import EntryRegister
from antiphon.store.prompt_cache.base import CacheIndex, Found
from antiphon.wire.messages import CreateMessageParams, Diagnostics, ServiceTier

CACHE_HEADER: Final = "x-antiphon-cache"
"""What a request with breakpoints read from the prompt cache, and why not more."""

THOUGHTS_TAKEN_BACK: Final = "thoughts-taken-back"
"""Why an entry is not read: it holds thoughts that the model's template shows no more."""

HAD_LESS: Final = "engine-had-less"
KEPT_LESS: Final = "engine-kept-less"
"""Why a request read, or wrote, less of the prompt cache than its plan."""

_ENTRY: Final = b"antiphon prompt cache entry\0"
_SALT: Final = b"antiphon prompt cache salt\0"
# Workspaces whose salts stay in memory.
_MOST_SALTS: Final = 4096
_NOTHING: Final = Found(0, {})


class CachedModel(msgspec.Struct, frozen=True):
    """What the prompt cache depends on in a model.

    `keeps_prefixes`: its engine has a prompt cache with our rules. `upstream_caches`: the engine
    stands before a server whose prompt cache has rules of its own.
    """

    id: str
    minimum_tokens: int
    keeps_prefixes: bool
    upstream_caches: bool = False


class PromptCaching:
    """The prompt cache of a server.

    `shortfalls` counts the requests that read or wrote less than their plan, by reason. `register`
    has what this process knows of the entries of its requests.
    """

    def __init__(self, index: CacheIndex, signing_key: bytes) -> None:
        self.index = index
        self.shortfalls: Counter[str] = Counter()
        self.register = EntryRegister()
        self._signing_key = signing_key
        self._salt = lru_cache(maxsize=_MOST_SALTS)(partial(salt_of, signing_key))

    def salted(self, prompt: Prompt, caller: Caller) -> Prompt:
        """Return a prompt that shares prefixes with those of the caller's workspace alone.

        The salt says nothing of the workspace to whoever reads it. An engine keeps what it has
        computed for a prompt by its identity, so this comes before anything is counted.
        """
        return replace(prompt, cache_salt=self.salt(caller.organization_id, caller.workspace_id))

    def salt(self, organization_id: str, workspace_id: str | None) -> str:
        """Return what stands for a workspace in prompts, and in what engines keep of them."""
        return self._salt(organization_id, workspace_id)

    def entry_id(self, key: bytes) -> str:
        """Return the id of an entry for people. Keys are hashes of prompts, and stay here."""
        return f"cache_{hmac.digest(self._signing_key, _ENTRY + key, 'sha256').hex()[:24]}"

    async def begin(
        self,
        prompt: Prompt,
        params: CreateMessageParams,
        context: RequestContext,
        model: CachedModel,
    ) -> "CachedRequest":
        """Look up a prompt with breakpoints, or of a request that asks for diagnostics.

        Its documents are not text yet.
        """
        caches = model.keeps_prefixes and bool(prompt.breakpoints)
        chain = None
        if caches or params.diagnostics is not None:
            chain = await self._chain(prompt, params, context, model)
        found = _NOTHING
        if chain is not None and caches:
            found = await self.index.find(keys_to_find(chain))
        request = CachedRequest(
            self,
            context.request_id,
            prompt=prompt,
            model=model,
            chain=chain if caches else None,
            found=found,
        )
        if params.diagnostics is not None:
            diagnosis = CacheDiagnosis(self.index, context.caller, chain)
            previous = params.diagnostics.previous_message_id
            request.diagnostics = await diagnosis.compare(previous)
            request.diagnosis = diagnosis
        return request

    async def _chain(
        self,
        prompt: Prompt,
        params: CreateMessageParams,
        context: RequestContext,
        model: CachedModel,
    ) -> Chain | None:
        caller = context.caller
        root = ChainRoot(
            organization_id=caller.organization_id,
            workspace_id=caller.workspace_id or "",
            model=model.id,
            speed=params.speed or "standard",
        )
        try:
            return await offload(context.size, chain_of, prompt, root)
        except InvalidRequestError:
            # Nested too deeply to be hashed. Whether it can be answered is not for the cache.
            return None


class CachedRequest:
    """The use that one request makes of the prompt cache.

    `diagnosis` is there if the request asks for one; its result is `diagnostics`. `claim` is known
    from `claimed` on, and only for an engine that keeps prefixes.
    """

    def __init__(  # noqa: PLR0913 - what the use of a cache is made of
        self,
        caching: PromptCaching,
        request_id: str,
        *,
        prompt: Prompt,
        model: CachedModel,
        chain: Chain | None,
        found: Found,
    ) -> None:
        self.diagnosis: CacheDiagnosis | None = None
        self.diagnostics: Diagnostics | None = None
        self.claim: CacheClaim | None = None
        self._caching = caching
        self._request_id = request_id
        self._index = caching.index
        self._has_breakpoints = bool(prompt.breakpoints)
        self._model = model
        self._chain = chain
        self._found = found
        self._size: PromptSize | None = None
        self._plan: CachePlan | None = None
        self._refreshed: bytes | None = None
        self._confirmed = Confirmation(0)
        self._salt = prompt.cache_salt
        self._tokens = 0

    @property
    def planned_reads(self) -> int:
        """The tokens that the plan reads; 0 until there is one."""
        return self._plan.usage.cache_read if self._plan else 0

    def measured(self, size: PromptSize) -> None:
        """Make the plan, now that the engine has counted the prompt."""
        if self._chain is not None:
            self._plan = self._planned(self._chain, size)

    async def admitted(self) -> None:
        """Begin the life of the entry to read again, before the engine works: that may take long.

        A request that is refused hits nothing, so it does not come here.
        """
        if self._plan is not None and self._plan.read is not None:
            await self._refresh(self._plan.read.key)

    def claimed(self, started: Started) -> Started:
        """Return the beginning of an answer with what may be claimed of its plan.

        It stays as it is for an engine that keeps no prefixes and states counts of its own.
        """
        self._tokens = started.input_tokens
        confirmed = started.confirmed
        if self._chain is None or confirmed is None:
            return started
        size = PromptSize(started.input_tokens, confirmed.breakpoints)
        if self._plan is None or size != self._size:
            # Of several engines, only the one that answers knows the sizes.
            self._plan = self._planned(self._chain, size)
        self._confirmed = confirmed
        self.claim = claim = claim_of(self._plan, confirmed)
        self._compare(self._plan, claim, confirmed)
        return replace(
            started,
            cache_read_tokens=claim.usage.cache_read,
            cache_write_5m_tokens=claim.usage.cache_write_5m,
            cache_write_1h_tokens=claim.usage.cache_write_1h,
        )

    def claimed_again(self, started: Started) -> Started:
        """Return the beginning of a further round of the same answer, with what it reads.

        Its prompt begins as the first one, so it reads up to the last place that the first one has
        read or written, as far as the engine still had it. It writes nothing.
        """
        claim, confirmed = self.claim, started.confirmed
        if claim is None or confirmed is None:
            return started
        points = [*claim.writes, *([] if claim.read is None else [claim.read])]
        sizes = (point.tokens for point in points if point.tokens <= confirmed.reused)
        return replace(started, cache_read_tokens=max(sizes, default=0))

    async def begun(
        self, message_id: str, price: Price = FREE, tier: ServiceTier = "standard"
    ) -> None:
        """Store what the request has written: its response begins now, and is not a failure.

        `price` and `tier` are those by which it is billed.
        """
        if self.claim is not None:
            if self.claim.read is not None:
                await self._refresh(self.claim.read.key)
            begun_at = self._found.now
            if self.claim.writes:
                # An entry lives at least its time from now on: to read a prompt may have taken
                # longer than that, and nobody may pay for what is over when it is stored.
                begun_at = (await self._index.find(())).now
                await self._index.store(self.claim.entries(begun_at))
            self._register(self.claim, begun_at, price, tier)
        if self.diagnosis is not None:
            await self.diagnosis.keep(message_id, self._tokens)

    def header(self, tokens: TokenCounts | None) -> str | None:
        """Return what to tell of the cache in a header; nothing for a prompt without breakpoints.

        `tokens` are those of the prompt. Before they are known, it is what the plan reads.
        """
        if not self._has_breakpoints:
            return None
        if tokens is None:
            return None if self._plan is None else f"planned={self.planned_reads}"
        written = tokens.cache_write_5m + tokens.cache_write_1h
        parts = [f"read={tokens.cache_read}", f"written={written}", f"input={tokens.input}"]
        if self.claim is not None and self.claim.read is not None:
            parts.insert(1, f"from={'disk' if self._confirmed.restored else 'memory'}")
        if reason := self._reason(tokens.cache_read + written):
            parts.append(f"reason={reason}")
        return "; ".join(parts)

    def use(self, tokens: TokenCounts) -> CacheUse | None:
        """Return what explains the use of the cache; nothing for a prompt without breakpoints.

        `tokens` are those of the prompt, nothing if its engine has not begun.
        """
        if not self._has_breakpoints:
            return None
        written = tokens.cache_write_5m + tokens.cache_write_1h
        return CacheUse(
            read=tokens.cache_read,
            written=written,
            planned_read=self.planned_reads,
            from_disk=self._confirmed.restored,
            reason=self._reason(tokens.cache_read + written),
            breakpoints=breakpoint_uses(self._plan, self.claim),
        )

    def _planned(self, chain: Chain, size: PromptSize) -> CachePlan:
        self._size = size
        minimum = self._model.minimum_tokens
        found = self._found
        try:
            return plan_of(chain, found.entries, size, now=found.now, minimum_tokens=minimum)
        except ValueError as error:
            # A defect of the engine. Nothing may be claimed of sizes that cannot be.
            self._log("the sizes of an engine cannot be", fault=str(error))
            return CachePlan(size.tokens)

    async def _refresh(self, key: bytes) -> None:
        if key != self._refreshed:
            self._refreshed = key
            await self._index.refresh(key, self._found.now)

    def _register(self, claim: CacheClaim, begun_at: int, price: Price, tier: ServiceTier) -> None:
        """Note the use of each entry, with its part of what the request saves."""
        register, model, end = self._caching.register, self._model.id, 0
        card = price.card(claim.usage.prompt)
        if claim.read is not None:
            end = claim.read.tokens
            saved = cache_saving(card, TokenCounts(cache_read=end), tier)
            register.note_read(claim.read.key, self._salt, model, self._found.now, saved=saved)
        for point in claim.writes:
            # A write pays for the tokens behind the one before it.
            counts = {f"cache_write_{point.ttl}": point.tokens - end}
            saved, end = cache_saving(card, TokenCounts(**counts), tier), point.tokens
            register.note_written(point.key, self._salt, model, begun_at, saved=saved)

    def _compare(self, plan: CachePlan, claim: CacheClaim, confirmed: Confirmation) -> None:
        """Count and log a claim that is less than its plan: memory or slots are short.

        A claim is never more than the engine reused: `claim_of` sees to that. Of thoughts that a
        template takes back nobody can do anything, so they are told and not counted.
        """
        reason = _shortfall(plan, claim, confirmed)
        if reason not in (None, THOUGHTS_TAKEN_BACK):
            self._caching.shortfalls[reason] += 1
            self._log(
                "less cached than planned",
                reason=reason,
                planned_reads=plan.usage.cache_read,
                reads=claim.usage.cache_read,
                reused=confirmed.reused,
                planned_writes=len(plan.writes),
                writes=len(claim.writes),
            )

    def _reason(self, cached: int) -> str | None:
        """Return why no more was read; `None` if the plan was met, or an upstream has decided."""
        plan, claim = self._plan, self.claim
        if claim is None or plan is None:
            return None if cached or self._model.upstream_caches else "engine-keeps-none"
        if shortfall := _shortfall(plan, claim, self._confirmed):
            return shortfall
        if claim.read is not None:
            return None
        return "no-entry" if plan.writable else "below-minimum"

    def _log(self, event: str, **fields: object) -> None:
        log = EventLog(__name__)
        log.warning(event, request_id=self._request_id, model=self._model.id, **fields)


def _shortfall(plan: CachePlan, claim: CacheClaim, confirmed: Confirmation) -> str | None:
    if claim.read != plan.read:
        # The engine had all up to the first thought that the template shows no more.
        if 0 < confirmed.stays <= confirmed.reused and confirmed.stays < plan.usage.cache_read:
            return THOUGHTS_TAKEN_BACK
        return HAD_LESS
    return None if claim.writes == plan.writes else KEPT_LESS


def salt_of(signing_key: bytes, organization_id: str, workspace_id: str | None) -> str:
    """Return the salt of a workspace, by which its prefixes are told apart from others'."""
    named = msgspec.json.encode([organization_id, workspace_id])
    return hmac.digest(signing_key, _SALT + named, "sha256").hex()
