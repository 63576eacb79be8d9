"""The Admin API: what each route of `/v1/organizations` does. Only admin keys come in."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import chain
from typing import Any, TypeAlias, TypeVar, get_args

from antiphon.core.errors import InvalidRequestError
from antiphon.core.limits.periods import PERIODS
from antiphon.core.pagination import page_by_tokens
from antiphon.core.validation.versions import OLDEST
from antiphon.server.http.exchange import Exchange
from antiphon.server.http.queries import Query, read_body, read_version
from antiphon.server.reports import COST_PARAMETERS, USAGE_PARAMETERS, ReportEndpoints
from antiphon.service.access import credential
from antiphon.service.admin.idempotency import Idempotency
from antiphon.service.admin.keys import KeyFilter
from antiphon.service.admin.transactions import Actor
from antiphon.service.platform import Platform
from antiphon.store.accounts import KeyKind
from antiphon.wire.admin.keys import CreateKeyParams, KeyState, RotateKeyParams, UpdateKeyParams
from antiphon.wire.admin.limits import (
    CreateSpendLimitParams,
    SetLimitsParams,
    UpdateSpendLimitParams,
)
from antiphon.wire.admin.organizations import (
    AcceptInviteParams,
    AddMemberParams,
    CreateInviteParams,
    CreateWorkspaceParams,
    InviteStatus,
    NoParams,
    Role,
    TokenListing,
    UpdateMemberParams,
    UpdateUserParams,
    UpdateWorkspaceParams,
)
from antiphon.wire.admin.versions import as_of_2023_06_01
from antiphon.wire.decoding import BodyDecoder

Handler: TypeAlias = Callable[["AdminRequest"], Awaitable[Any]]
T = TypeVar("T")

HOUSE = "/v1/organizations"
GROUP_TYPES = ("batch", "files", "model_group", "skills", "token_count", "web_search")
LISTED = ("limit", "after_id", "before_id")
PAGED = ("limit", "page")
MOST_MEMBERS = 100
# What may stand in the query of a GET; in every other query is nothing.
PARAMETERS: Mapping[str, Sequence[str]] = {
    "/users": (*LISTED, "email", "roles"),
    "/invites": (*LISTED, "email", "roles", "statuses"),
    "/audit_log": (*PAGED, "object_id"),
    "/workspaces": (*LISTED, "include_archived", "include_default", "ids"),
    "/workspaces/{workspace}/members": LISTED,
    "/api_keys": (*LISTED, "status", "workspace_id", "created_by_user_id"),
    "/rate_limits": (*PAGED, "group_type", "model"),
    "/workspaces/{workspace}/rate_limits": (*PAGED, "group_type", "include_inherited"),
    "/api_keys/{key}/rate_limits": PAGED,
    "/spend_limits": (*PAGED, "scope_type", "workspace_id"),
    "/spend_limits/effective": (*PAGED, "period", "user_ids"),
    "/balances": (*PAGED, "scope"),
    "/usage_report/messages": USAGE_PARAMETERS,
    "/cost_report": COST_PARAMETERS,
}


class AdminRequest:
    """A request of an admin key, with nothing in its query that its route does not know."""

    def __init__(self, exchange: Exchange, actor: Actor, body: bytes, known: Sequence[str]) -> None:
        self.actor = actor
        self.query = Query(exchange.query(), known)
        self._exchange = exchange
        self._body = body

    def path(self, name: str) -> str:
        """Return a part of the path."""
        value: str = self._exchange.scope["path_params"][name]
        return value

    def once(self) -> Idempotency | None:
        """Return what the sender calls this request, so that it is not done twice."""
        called = self._exchange.header(b"idempotency-key")
        if called is None:
            return None
        secret, _ = credential(
            self._exchange.header(b"x-api-key"), self._exchange.header(b"authorization")
        )
        path: str = self._exchange.scope["path"]
        return Idempotency(called, path.encode() + b"\0" + self._body, secret)

    def decode(self, decoder: BodyDecoder[T]) -> T:
        """Decode the body; one that is empty is an empty object."""
        return decoder.decode(self._body or b"{}")


class AdminEndpoints:
    """All of them, over one platform."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._people = platform.administration.people
        self._workspaces = platform.administration.workspaces
        self._keys = platform.administration.keys
        self._rates = platform.administration.rate_limits
        self._spend = platform.administration.spend_limits
        self._balances = platform.administration.balances
        self._audit = platform.administration.audit
        self._limits = BodyDecoder(SetLimitsParams)

    def routes(self) -> Sequence[tuple[str, str, Callable[[Exchange], Awaitable[None]]]]:
        """Return every route: method, path, action."""
        table = (
            *self._people_routes(),
            *self._workspace_routes(),
            *self._key_routes(),
            *self._limit_routes(),
            *self._report_routes(),
        )
        return [
            (
                method,
                HOUSE + path,
                self._admitted(handler, PARAMETERS.get(path, ()) if method == "GET" else ()),
            )
            for method, path, handler in table
        ]

    def _admitted(
        self, handler: Handler, known: Sequence[str]
    ) -> Callable[[Exchange], Awaitable[None]]:
        async def act(exchange: Exchange) -> None:
            caller = await self._platform.access.authenticate(
                exchange.header(b"x-api-key"),
                exchange.header(b"authorization"),
                kind=KeyKind.ADMIN,
            )
            exchange.fields["key_id"] = caller.key_id
            exchange.headers["anthropic-organization-id"] = caller.organization_id
            self._platform.uses.note(caller.key_id)
            version = read_version(exchange)
            body = await read_body(exchange, self._platform.settings)
            actor = Actor("api_key", caller.key_id, exchange.request_id)
            answer = await handler(AdminRequest(exchange, actor, body, known))
            if version == OLDEST:
                answer = as_of_2023_06_01(answer, caller.directory.default_workspace.id)
            await exchange.respond(200, answer)

        return act

    # ── people

    def _people_routes(self) -> Sequence[tuple[str, str, Handler]]:
        people = self._people
        role, invite = BodyDecoder(UpdateUserParams), BodyDecoder(CreateInviteParams)
        accept = BodyDecoder(AcceptInviteParams)
        return (
            ("GET", "/me", lambda _: people.organization()),
            ("GET", "/users", self._list_users),
            ("GET", "/users/{user}", lambda r: people.user(r.path("user"))),
            (
                "POST",
                "/users/{user}",
                lambda r: people.change_role(r.actor, r.path("user"), r.decode(role).role),
            ),
            ("DELETE", "/users/{user}", lambda r: people.remove(r.actor, r.path("user"))),
            ("GET", "/invites", self._list_invites),
            ("POST", "/invites", lambda r: people.send_invite(r.actor, r.decode(invite))),
            ("GET", "/invites/{invite}", lambda r: people.invite(r.path("invite"))),
            ("DELETE", "/invites/{invite}", lambda r: people.take_back(r.actor, r.path("invite"))),
            (
                "POST",
                "/invites/{invite}/accept",
                lambda r: people.accept(r.actor, r.path("invite"), r.decode(accept).name),
            ),
            ("GET", "/audit_log", self._list_audit),
        )

    async def _list_users(self, request: AdminRequest) -> Any:
        query = request.query
        roles = query.many("roles", get_args(Role))
        return await self._people.users(query.by_ids(), query.one("email"), roles)

    async def _list_invites(self, request: AdminRequest) -> Any:
        query = request.query
        return await self._people.invites(
            query.by_ids(),
            query.one("email"),
            query.many("roles", get_args(Role)),
            query.many("statuses", get_args(InviteStatus)),
        )

    async def _list_audit(self, request: AdminRequest) -> Any:
        query = request.query
        return await self._audit.page(
            limit=query.limit(), token=query.one("page"), object_id=query.one("object_id")
        )

    # ── workspaces and members

    def _workspace_routes(self) -> Sequence[tuple[str, str, Handler]]:
        house = self._workspaces
        create, update = BodyDecoder(CreateWorkspaceParams), BodyDecoder(UpdateWorkspaceParams)
        add, change = BodyDecoder(AddMemberParams), BodyDecoder(UpdateMemberParams)
        one, member = "/workspaces/{workspace}", "/workspaces/{workspace}/members/{user}"
        return (
            ("GET", "/workspaces", self._list_workspaces),
            ("POST", "/workspaces", lambda r: house.create(r.actor, r.decode(create))),
            ("GET", one, lambda r: house.one(r.path("workspace"))),
            (
                "POST",
                one,
                lambda r: house.update(r.actor, r.path("workspace"), r.decode(update)),
            ),
            ("POST", f"{one}/archive", self._archive_workspace),
            ("GET", f"{one}/members", self._list_members),
            (
                "POST",
                f"{one}/members",
                lambda r: house.add_member(r.actor, r.path("workspace"), r.decode(add)),
            ),
            ("GET", member, lambda r: house.member(r.path("workspace"), r.path("user"))),
            (
                "POST",
                member,
                lambda r: house.change_member(
                    r.actor, r.path("workspace"), r.path("user"), r.decode(change).workspace_role
                ),
            ),
            (
                "DELETE",
                member,
                lambda r: house.remove_member(r.actor, r.path("workspace"), r.path("user")),
            ),
        )

    async def _list_workspaces(self, request: AdminRequest) -> Any:
        query = request.query
        return await self._workspaces.all(
            query.by_ids(),
            include_archived=query.flag("include_archived"),
            include_default=query.flag("include_default"),
            ids=query.many("ids"),
        )

    async def _archive_workspace(self, request: AdminRequest) -> Any:
        request.decode(BodyDecoder(NoParams))
        return await self._workspaces.archive(request.actor, request.path("workspace"))

    async def _list_members(self, request: AdminRequest) -> Any:
        cursor = request.query.by_ids()
        return await self._workspaces.members(request.path("workspace"), cursor)

    # ── keys

    def _key_routes(self) -> Sequence[tuple[str, str, Handler]]:
        keys = self._keys
        create, update = BodyDecoder(CreateKeyParams), BodyDecoder(UpdateKeyParams)
        rotate = BodyDecoder(RotateKeyParams)
        return (
            ("GET", "/api_keys", self._list_keys),
            (
                "POST",
                "/api_keys",
                lambda r: keys.create(r.actor, r.decode(create), r.once()),
            ),
            ("GET", "/api_keys/{key}", lambda r: keys.one(r.path("key"))),
            (
                "POST",
                "/api_keys/{key}",
                lambda r: keys.update(r.actor, r.path("key"), r.decode(update)),
            ),
            (
                "POST",
                "/api_keys/{key}/rotate",
                lambda r: keys.rotate(
                    r.actor,
                    r.path("key"),
                    r.decode(rotate).grace_period_seconds,
                    r.once(),
                ),
            ),
        )

    async def _list_keys(self, request: AdminRequest) -> Any:
        query = request.query
        wanted = KeyFilter(
            status=query.choice("status", get_args(KeyState)),
            workspace_id=query.one("workspace_id"),
            created_by_user_id=query.one("created_by_user_id"),
        )
        return await self._keys.all(query.by_ids(), wanted)

    # ── limits

    def _limit_routes(self) -> Sequence[tuple[str, str, Handler]]:
        spend = self._spend
        create, change = BodyDecoder(CreateSpendLimitParams), BodyDecoder(UpdateSpendLimitParams)
        workspace = "/workspaces/{workspace}/rate_limits"
        key = "/api_keys/{key}/rate_limits"
        # They are called as their models are, whose ids may have slashes.
        name = "{limit:path}"
        return (
            ("GET", "/rate_limits", self._list_rate_limits),
            ("POST", f"/rate_limits/{name}", self._set_rate_limit),
            ("GET", workspace, self._list_workspace_rate_limits),
            ("POST", f"{workspace}/{name}", self._set_workspace_rate_limit),
            ("GET", key, self._list_key_rate_limits),
            ("POST", f"{key}/{name}", self._set_key_rate_limit),
            ("GET", "/spend_limits", self._list_spend_limits),
            # Before `{limit}`, which any name would fit.
            ("GET", "/spend_limits/effective", self._list_spend_of_members),
            ("POST", "/spend_limits", lambda r: spend.set(r.actor, r.decode(create))),
            ("GET", "/spend_limits/{limit}", lambda r: spend.one(r.path("limit"))),
            (
                "POST",
                "/spend_limits/{limit}",
                lambda r: spend.change(r.actor, r.path("limit"), r.decode(change).amount),
            ),
            ("DELETE", "/spend_limits/{limit}", lambda r: spend.clear(r.actor, r.path("limit"))),
            ("GET", "/balances", self._list_balances),
        )

    async def _list_rate_limits(self, request: AdminRequest) -> Any:
        query = request.query
        found = await self._rates.of_organization(
            query.choice("group_type", GROUP_TYPES), query.one("model")
        )
        return page_by_tokens(found, query.by_tokens(whole=True))

    async def _list_workspace_rate_limits(self, request: AdminRequest) -> Any:
        query = request.query
        found = await self._rates.of_workspace(
            request.path("workspace"),
            query.choice("group_type", GROUP_TYPES),
            include_inherited=query.flag("include_inherited"),
        )
        return page_by_tokens(found, query.by_tokens(whole=True))

    async def _list_key_rate_limits(self, request: AdminRequest) -> Any:
        found = await self._rates.of_key(request.path("key"))
        return page_by_tokens(found, request.query.by_tokens(whole=True))

    async def _set_rate_limit(self, request: AdminRequest) -> Any:
        limits = request.decode(self._limits).limits
        return await self._rates.set_for_organization(request.actor, request.path("limit"), limits)

    async def _set_workspace_rate_limit(self, request: AdminRequest) -> Any:
        limits = request.decode(self._limits).limits
        place = (request.path("workspace"), request.path("limit"))
        return await self._rates.set_for_workspace(request.actor, place, limits)

    async def _set_key_rate_limit(self, request: AdminRequest) -> Any:
        limits = request.decode(self._limits).limits
        place = (request.path("key"), request.path("limit"))
        return await self._rates.set_for_key(request.actor, place, limits)

    async def _list_spend_limits(self, request: AdminRequest) -> Any:
        query = request.query
        scopes = query.many("scope_type", ("organization", "workspace", "api_key", "usage_tier"))
        found = await self._spend.all(scopes, query.one("workspace_id"))
        return page_by_tokens(found, query.by_tokens())

    async def _list_spend_of_members(self, request: AdminRequest) -> Any:
        query = request.query
        members = query.many("user_ids")
        if len(members) > MOST_MEMBERS:
            raise InvalidRequestError(
                f"user_ids: List should have at most {MOST_MEMBERS} items, not {len(members)}"
            )
        periods = query.many("period", PERIODS)
        # A member's lines stay together, so a page is one of members.
        page = page_by_tokens(await self._balances.of_members(members, periods), query.by_tokens())
        return TokenListing(data=tuple(chain.from_iterable(page.data)), next_page=page.next_page)

    async def _list_balances(self, request: AdminRequest) -> Any:
        query = request.query
        scope = query.choice("scope", ("organization", "workspace", "api_key"))
        return page_by_tokens(await self._balances.all(scope), query.by_tokens(whole=True))

    # ── reports

    def _report_routes(self) -> Sequence[tuple[str, str, Handler]]:
        reports = ReportEndpoints(self._platform.reports)
        return (
            ("GET", "/usage_report/messages", lambda r: reports.usage(r.query)),
            ("GET", "/cost_report", lambda r: reports.cost(r.query)),
        )
