"""The request log, the explanation of a request, what runs now, and the activity."""

from typing import Final

from antiphon.server.admin.buckets import SPAN, BucketReader
from antiphon.server.http.queries import BY_TOKENS
from antiphon.server.http.requests import Request
from antiphon.server.http.selections import SPAN_QUERY, read_span
from antiphon.service.activity import Activity
from antiphon.service.requests import Requests
from antiphon.service.running import Running
from antiphon.wire.admin.organizations import TokenListing
from antiphon.wire.admin.requests import ActivityReport, RequestExplanation, RunningRequests

_CLASSES: Final = {"2xx": 2, "4xx": 4, "5xx": 5}
_NAMES: Final = ("error_type", "api_key_id", "model", "workspace_id")
_GROUPS: Final = ("api_key_id", "model", "workspace_id")

REQUEST_QUERY: Final = (*BY_TOKENS, *_NAMES, "status_class", *SPAN_QUERY)
ACTIVITY_QUERY: Final = (*SPAN, "group_by", "api_key_ids", "models", "workspace_ids")


class RequestEndpoints:
    """The endpoints of finished and of running requests."""

    def __init__(
        self, requests: Requests, activity: Activity, running: Running, buckets: BucketReader
    ) -> None:
        self._requests = requests
        self._buckets = buckets
        self._activity = activity
        self._running = running

    async def list_requests(self, request: Request[None]) -> TokenListing:
        query = request.query
        chosen = query.choice("status_class", _CLASSES)
        return await self._requests.page(
            query.by_tokens(),
            span=read_span(query),
            filters={
                **{name: query.one(name) for name in _NAMES},
                "status_class": None if chosen is None else _CLASSES[chosen],
            },
            reach=request.reach,
        )

    async def explain(self, request: Request[None]) -> RequestExplanation:
        return await self._requests.explain(request.path("request"), request.reach)

    async def show_running(self, request: Request[None]) -> RunningRequests:
        return await self._running.show(request.reach)

    async def show_activity(self, request: Request[None]) -> ActivityReport:
        query = request.query
        asked = self._buckets.read(query)
        filters = {
            "api_key_id": query.many("api_key_ids"),
            "model": query.many("models"),
            "workspace_id": query.many("workspace_ids"),
        }
        groups = query.many("group_by", _GROUPS)
        return await self._activity.report(asked, groups, filters, request.reach)
