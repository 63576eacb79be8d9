"""The request log, the explanation of a request, what runs now, and the activity."""

from datetime import datetime
from typing import Final

from antiphon.core.billing.reports import WIDTHS, Span, query_moment
from antiphon.core.errors import InvalidRequestError
from antiphon.server.admin.reports import SPAN, asked_width
from antiphon.server.http.queries import BY_TOKENS, Query
from antiphon.server.http.requests import Request
from antiphon.service.activity import Activity
from antiphon.service.requests import Requests
from antiphon.service.running import Running
from antiphon.wire.admin.organizations import TokenListing
from antiphon.wire.admin.requests import ActivityReport, RequestExplanation, RunningRequests

_CLASSES: Final = {"2xx": 2, "4xx": 4, "5xx": 5}
_NAMES: Final = ("error_type", "api_key_id", "model", "workspace_id")
_GROUPS: Final = ("api_key_id", "model", "workspace_id")

REQUEST_QUERY: Final = (*BY_TOKENS, *_NAMES, "status_class", "starting_at", "ending_at")
ACTIVITY_QUERY: Final = (*SPAN, "group_by", "api_key_ids", "models", "workspace_ids")


class RequestEndpoints:
    """The endpoints of finished and of running requests."""

    def __init__(self, requests: Requests, activity: Activity, running: Running) -> None:
        self._requests = requests
        self._activity = activity
        self._running = running

    async def list_requests(self, request: Request[None]) -> TokenListing:
        query = request.query
        chosen = query.choice("status_class", _CLASSES)
        start, end = _moment(query, "starting_at"), _moment(query, "ending_at")
        if start is not None and end is not None and end <= start:
            raise InvalidRequestError("ending_at: Input should be after `starting_at`")
        return await self._requests.page(
            limit=query.limit(),
            token=query.one("page"),
            span=(start, end),
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
        asked = self._activity.buckets(asked_width(query, tuple(WIDTHS)), Span.of(query.one))
        filters = {
            "api_key_id": query.many("api_key_ids"),
            "model": query.many("models"),
            "workspace_id": query.many("workspace_ids"),
        }
        groups = query.many("group_by", _GROUPS)
        return await self._activity.report(asked, groups, filters, request.reach)


def _moment(query: Query, name: str) -> datetime | None:
    text = query.one(name)
    return None if text is None else query_moment(name, text)
