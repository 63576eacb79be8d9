"""Answers about the prompt cache: what it saved, what is in it, and its entries.

The API has none of these: all shapes are ours.
"""

from collections.abc import Mapping
from typing import Literal, TypeAlias

from antiphon.wire.base import AnswerStruct
from antiphon.wire.messages import CacheCreation
from antiphon.wire.money import Money

CachedBy: TypeAlias = Literal["engine", "upstream"]


class CacheReportResult(AnswerStruct, kw_only=True, frozen=True):
    """What the prompt cache did in a bucket. A dimension that it is not grouped by is `None`.

    `cache_read_requests` of the `requests` have read from the cache. `cache_read_share` is the
    share of the prompts' tokens that was read. `saved` is what the prompts would have cost as plain
    input, less what they did cost: it is negative where writes cost more than reads saved.
    """

    requests: int
    cache_read_requests: int
    uncached_input_tokens: int
    cache_read_input_tokens: int
    cache_creation: CacheCreation
    cache_read_share: float | None
    saved: Money
    workspace_id: str | None = None
    model: str | None = None


class CacheEntryInfo(AnswerStruct, kw_only=True, frozen=True):
    """A prefix that requests can read. `workspace_id` is `None` for the Default workspace.

    `ttl`, `written_at`, `hits` and `saved` are `None` for one that this process knows by its
    snapshot alone; `snapshot_bytes` is `None` for one without a snapshot. `saved` is what its reads
    cost less than plain input so far, without what its writes cost more.
    """

    id: str
    type: Literal["prompt_cache_entry"] = "prompt_cache_entry"
    model: str
    workspace_id: str | None
    tokens: int
    ttl: str | None
    written_at: str | None
    last_used_at: str
    expires_at: str
    hits: int | None
    saved: Money | None
    snapshot_bytes: int | None


class CachedModelInfo(AnswerStruct, kw_only=True, frozen=True):
    """What is kept of the prompts of one model.

    `cached_by` says who keeps prefixes: an engine here, by the API's rules, or the server behind
    it; `None`: nobody, or the model is loading. `snapshot_bytes` is the sum over what the caller
    sees, `snapshot_bytes_limit` the most that all together may take, `None` without snapshots.
    `mismatches` counts prompts of which an engine had less than it knew of; `None` where it does
    not tell, or the caller does not see every workspace.
    """

    id: str
    type: Literal["prompt_cache_model"] = "prompt_cache_model"
    cached_by: CachedBy | None
    minimum_tokens: int
    entries: int
    tokens: int
    snapshots: int
    snapshot_bytes: int
    snapshot_bytes_limit: int | None
    mismatches: int | None


class PromptCacheInfo(AnswerStruct, kw_only=True, frozen=True):
    """The prompt cache as it is now: the sums of its entries, and each model.

    `less_cached_than_planned` counts requests since the start, by the reason; `None` for a caller
    who does not see every workspace.
    """

    type: Literal["prompt_cache"] = "prompt_cache"
    entries: int
    tokens: int
    snapshot_bytes: int
    less_cached_than_planned: Mapping[str, int] | None
    models: tuple[CachedModelInfo, ...]
