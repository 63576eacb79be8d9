"""A prompt cache made of its rules, with a dict as its index and characters as tokens."""

from typing import Any

import msgspec

from antiphon.core.blocks import Path, inner_blocks
from antiphon.core.late_tools import OfferedTools
from antiphon.core.prompt import Confirmation, Prompt, PromptSize
from antiphon.core.prompt_cache import (
    CacheClaim,
    CacheEntry,
    CachePlan,
    ChainRoot,
    chain_of,
    claim_of,
    keys_to_find,
    merged,
    plan_of,
    refreshed,
)
from antiphon.wire.content import BlockParam
from support.requests import ABLE, prompt

LOADING = msgspec.structs.replace(ABLE, loads_tools=True)
ROOT = ChainRoot(organization_id="org", workspace_id="wrkspc", model="m")


def size_of(prompt: Prompt) -> PromptSize:
    """Count a prompt: a token for each character of a text or of the description of a tool."""
    ends: dict[tuple[int | None, Path], int] = {}
    total = 0
    offered = OfferedTools(prompt.tools)

    def add(turn: int, path: Path, block: BlockParam) -> None:
        nonlocal total
        described = offered.read(block)
        total += len(getattr(block, "text", "")) + len((described and described.description) or "")
        for index, inner in enumerate(inner_blocks(block)):
            add(turn, (*path, index), inner)
        ends[turn, path] = total

    for index, tool in enumerate(prompt.tools):
        total += 0 if tool.deferred else len(tool.description or "")
        ends[None, (index,)] = total
    for number, turn in enumerate(prompt.turns):
        for index, block in enumerate(turn.content):
            add(number, (index,), block)
    return PromptSize(total, tuple(ends[one.turn, one.path] for one in prompt.breakpoints))


class Running(msgspec.Struct, frozen=True):
    """A request between its start and its response."""

    plan: CachePlan
    started_at: int


class Cache:
    """An index of entries, and what a service does with it."""

    def __init__(self, minimum_tokens: int = 512) -> None:
        self.entries: dict[bytes, CacheEntry] = {}
        self._minimum_tokens = minimum_tokens

    def start(self, prompt: Prompt, now: int = 0, root: ChainRoot = ROOT) -> Running:
        chain = chain_of(prompt, root)
        found = {key: self.entries[key] for key in keys_to_find(chain) if key in self.entries}
        size = size_of(prompt)
        plan = plan_of(chain, found, size, now=now, minimum_tokens=self._minimum_tokens)
        self._refresh(plan.read, now)
        return Running(plan, now)

    def respond(
        self, running: Running, confirmed: Confirmation | None = None, now: int | None = None
    ) -> CacheClaim:
        """Begin the response; by default the engine reuses and stores all that is planned."""
        if confirmed is None:
            confirmed = everything(running.plan)
        claim = claim_of(running.plan, confirmed)
        started_at = running.started_at
        self._refresh(claim.read, started_at)
        for key, entry in claim.entries(started_at).items():
            before = self.entries.get(key)
            self.entries[key] = merged(before, entry, started_at if now is None else now)
        return claim

    def ask(self, prompt: Prompt, now: int = 0, root: ChainRoot = ROOT) -> CacheClaim:
        return self.respond(self.start(prompt, now, root))

    def _refresh(self, read: Any, started_at: int) -> None:
        if read is not None:
            self.entries[read.key] = refreshed(self.entries[read.key], started_at)


def everything(plan: CachePlan) -> Confirmation:
    """Return the answer of an engine that forgets nothing and keeps each breakpoint."""
    return Confirmation(plan.tokens, frozenset(point.tokens for point in plan.writable))


def words(count: int, letter: str = "x") -> str:
    """Return a text of so many tokens."""
    return letter * count


def marked(count: int, ttl: str | None = "5m", letter: str = "x") -> dict[str, Any]:
    """Return a text block of so many tokens, with a breakpoint."""
    mark = {} if ttl is None else {"cache_control": {"type": "ephemeral", "ttl": ttl}}
    return {"type": "text", "text": words(count, letter), **mark}


def prompt_of(*messages: dict[str, Any], **fields: Any) -> Prompt:
    """Return the prompt of a request to a model that can do everything."""
    return prompt(*messages, capabilities=LOADING, **fields)


def usage(
    input_tokens: int = 0, read: int = 0, write_5m: int = 0, write_1h: int = 0
) -> tuple[int, int, int, int]:
    """Return a usage as `seen` does."""
    return input_tokens, read, write_5m, write_1h


def seen(claim: CacheClaim) -> tuple[int, int, int, int]:
    """Return the usage of a claim: input, read, written for minutes, written for an hour."""
    tokens = claim.usage
    return tokens.input, tokens.cache_read, tokens.cache_write_5m, tokens.cache_write_1h
