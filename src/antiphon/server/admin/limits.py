"""Rate limits, spend limits and balances: of the organization, its workspaces and its keys."""

from antiphon.core.errors import InvalidRequestError
from antiphon.core.limits.periods import PERIODS
from antiphon.core.pagination import page_by_tokens
from antiphon.server.http.requests import Request
from antiphon.service.admin.administration import Administration
from antiphon.wire.admin.limits import (
    CreateSpendLimitParams,
    KeyRateLimitInfo,
    RateLimitInfo,
    SetLimitsParams,
    SpendLimitInfo,
    UpdateSpendLimitParams,
    WorkspaceRateLimitInfo,
)
from antiphon.wire.admin.organizations import Deleted, TokenListing

_GROUP_TYPES = ("batch", "files", "model_group", "skills", "token_count", "web_search")
_SPEND_SCOPES = ("organization", "workspace", "api_key", "usage_tier")
_BALANCE_SCOPES = ("organization", "workspace", "api_key")
_MOST_MEMBERS = 100


class RateLimitEndpoints:
    """The endpoints of rate limits."""

    def __init__(self, administration: Administration) -> None:
        self._limits = administration.rate_limits
        self._levels = administration.rate_levels

    async def list_limits(self, request: Request[None]) -> TokenListing:
        query = request.query
        found = await self._limits.of_organization(
            query.choice("group_type", _GROUP_TYPES), query.one("model")
        )
        return page_by_tokens(found, query.by_tokens(whole=True))

    async def set_limits(self, request: Request[SetLimitsParams]) -> RateLimitInfo:
        return await self._limits.set_for_organization(
            request.actor, request.path("limit"), request.params.limits
        )

    async def list_levels(self, request: Request[None]) -> TokenListing:
        query = request.query
        scope = query.choice("scope", _BALANCE_SCOPES)
        return await self._levels.page(query.by_tokens(), scope, request.reach)

    async def list_workspace_limits(self, request: Request[None]) -> TokenListing:
        query = request.query
        found = await self._limits.of_workspace(
            request.path("workspace"),
            query.choice("group_type", _GROUP_TYPES),
            include_inherited=query.flag("include_inherited"),
            reach=request.reach,
        )
        return page_by_tokens(found, query.by_tokens(whole=True))

    async def set_workspace_limits(
        self, request: Request[SetLimitsParams]
    ) -> WorkspaceRateLimitInfo:
        limit_of = (request.path("workspace"), request.path("limit"))
        return await self._limits.set_for_workspace(request.actor, limit_of, request.params.limits)

    async def list_key_limits(self, request: Request[None]) -> TokenListing:
        found = await self._limits.of_key(request.path("key"), request.reach)
        return page_by_tokens(found, request.query.by_tokens(whole=True))

    async def set_key_limits(self, request: Request[SetLimitsParams]) -> KeyRateLimitInfo:
        limit_of = (request.path("key"), request.path("limit"))
        return await self._limits.set_for_key(request.actor, limit_of, request.params.limits)


class SpendLimitEndpoints:
    """The endpoints of spend limits and balances."""

    def __init__(self, administration: Administration) -> None:
        self._limits = administration.spend_limits
        self._balances = administration.balances
        self._spending = administration.spending

    async def list_limits(self, request: Request[None]) -> TokenListing:
        query = request.query
        scopes = query.many("scope_type", _SPEND_SCOPES)
        workspace_id = query.one("workspace_id")
        return await self._limits.page(query.by_tokens(), scopes, workspace_id, request.reach)

    async def create_limit(self, request: Request[CreateSpendLimitParams]) -> SpendLimitInfo:
        return await self._limits.set(request.actor, request.params)

    async def list_limits_of_members(self, request: Request[None]) -> TokenListing:
        query = request.query
        members = query.many("user_ids")
        if len(members) > _MOST_MEMBERS:
            raise InvalidRequestError(
                f"user_ids: List should have at most {_MOST_MEMBERS} items, not {len(members)}"
            )
        periods = query.many("period", PERIODS)
        return await self._spending.page(query.by_tokens(), members, periods)

    async def show_limit(self, request: Request[None]) -> SpendLimitInfo:
        return await self._limits.one(request.path("limit"), request.reach)

    async def change_limit(self, request: Request[UpdateSpendLimitParams]) -> SpendLimitInfo:
        amount = request.params.amount
        return await self._limits.change(request.actor, request.path("limit"), amount)

    async def delete_limit(self, request: Request[None]) -> Deleted:
        return await self._limits.clear(request.actor, request.path("limit"))

    async def list_balances(self, request: Request[None]) -> TokenListing:
        query = request.query
        scope = query.choice("scope", _BALANCE_SCOPES)
        cursor, only_used = query.by_tokens(whole=True), query.flag("used")
        return await self._balances.page(cursor, scope, request.reach, only_used=only_used)
