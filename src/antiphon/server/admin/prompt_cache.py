"""The prompt cache: what it saved, what is in it, and its entries."""

from typing import Final

from antiphon.server.admin.buckets import SPAN, BucketReader
from antiphon.server.http.queries import BY_TOKENS
from antiphon.server.http.requests import Request
from antiphon.service.prompt_cache_report import PromptCacheReport
from antiphon.wire.admin.organizations import TokenListing
from antiphon.wire.admin.prompt_cache import CacheReportResult, PromptCacheInfo
from antiphon.wire.admin.reports import Report

_GROUPS: Final = ("model", "workspace_id")

CACHE_ENTRY_QUERY: Final = (*BY_TOKENS, "model", "workspace_id")
CACHE_REPORT_QUERY: Final = (*SPAN, "group_by", "models", "workspace_ids")


class PromptCacheEndpoints:
    """The endpoints of the prompt cache."""

    def __init__(self, cache: PromptCacheReport, buckets: BucketReader) -> None:
        self._cache = cache
        self._buckets = buckets

    async def show_state(self, request: Request[None]) -> PromptCacheInfo:
        return await self._cache.state(request.reach)

    async def list_entries(self, request: Request[None]) -> TokenListing:
        query = request.query
        return await self._cache.entries(
            request.reach,
            query.by_tokens(),
            workspace=query.one("workspace_id"),
            model=query.one("model"),
        )

    async def show_report(self, request: Request[None]) -> Report[CacheReportResult]:
        query = request.query
        asked = self._buckets.read(query)
        filters = {
            "model": query.many("models"),
            "workspace_id": query.many("workspace_ids"),
        }
        group_by = query.many("group_by", _GROUPS)
        return await self._cache.report(asked, group_by, filters, request.reach)
