"""The endpoints of increase requests: asking, listing, deciding. They are none of the API's."""

from typing import get_args

from antiphon.core.limits.increases import IncreaseStatus
from antiphon.server.http.requests import Request
from antiphon.service.admin.administration import Administration
from antiphon.wire.admin.increases import (
    AskForIncreaseParams,
    GrantIncreaseParams,
    IncreaseInfo,
    RefuseIncreaseParams,
)
from antiphon.wire.admin.organizations import NoParams, TokenListing

_STATUSES = get_args(IncreaseStatus)


class IncreaseEndpoints:
    """Increase requests. Users who see a part of the organization see their own."""

    def __init__(self, administration: Administration) -> None:
        self._increases = administration.increases

    async def list_requests(self, request: Request[None]) -> TokenListing:
        query = request.query
        statuses = query.many("statuses", _STATUSES)
        return await self._increases.page(query.by_tokens(), statuses, request.reach)

    async def ask(self, request: Request[AskForIncreaseParams]) -> IncreaseInfo:
        return await self._increases.ask(request.actor, request.params, request.reach)

    async def show(self, request: Request[None]) -> IncreaseInfo:
        return await self._increases.one(request.path("request"), request.reach)

    async def grant(self, request: Request[GrantIncreaseParams]) -> IncreaseInfo:
        return await self._increases.grant(request.actor, request.path("request"), request.params)

    async def refuse(self, request: Request[RefuseIncreaseParams]) -> IncreaseInfo:
        answer = request.params.answer
        return await self._increases.refuse(request.actor, request.path("request"), answer)

    async def withdraw(self, request: Request[NoParams]) -> IncreaseInfo:
        return await self._increases.withdraw(request.actor, request.path("request"), request.reach)
