"""The usage report and the cost report."""

from antiphon.server.admin.buckets import SPAN, BucketReader
from antiphon.server.http.requests import Request
from antiphon.service.reports import Reports
from antiphon.wire.admin.reports import CostReport, UsageReport

_TIERS = ("standard", "batch", "priority", "priority_on_demand", "flex", "flex_discount")
_WINDOWS = ("0-200k", "200k-1M")
_GEOS = ("global", "us", "not_available")
_SPEEDS = ("standard", "fast")

# For each filter its dimension, and its values if they are known.
_FILTERS: dict[str, tuple[str, tuple[str, ...] | None]] = {
    "models": ("model", None),
    "api_key_ids": ("api_key_id", None),
    "workspace_ids": ("workspace_id", None),
    "account_ids": ("account_id", None),
    "service_account_ids": ("service_account_id", None),
    "service_tiers": ("service_tier", _TIERS),
    "context_window": ("context_window", _WINDOWS),
    "inference_geos": ("inference_geo", _GEOS),
    "speeds": ("speed", _SPEEDS),
}
_USAGE_GROUPS = tuple(sorted(dimension for dimension, _ in _FILTERS.values()))
_COST_GROUPS = ("workspace_id", "description")

USAGE_QUERY = (*SPAN, "group_by", *_FILTERS)
COST_QUERY = (*SPAN, "group_by")


class ReportEndpoints:
    """The endpoints of both reports."""

    def __init__(self, reports: Reports, buckets: BucketReader) -> None:
        self._reports = reports
        self._buckets = buckets

    async def show_usage(self, request: Request[None]) -> UsageReport:
        query = request.query
        asked = self._buckets.read(query)
        group_by = query.many("group_by", _USAGE_GROUPS)
        filters = {
            dimension: query.many(name, values) for name, (dimension, values) in _FILTERS.items()
        }
        return await self._reports.usage(asked, group_by, filters, request.reach)

    async def show_costs(self, request: Request[None]) -> CostReport:
        query = request.query
        asked = self._buckets.read(query, ("1d",))
        group_by = query.many("group_by", _COST_GROUPS)
        return await self._reports.costs(asked, group_by, request.reach)
