"""`/v1/organizations`: the organization, its users and invites, and the audit log."""

from typing import Final, get_args

from antiphon.server.http.requests import Request
from antiphon.server.http.selections import SPAN_QUERY, read_part, read_selection, read_span
from antiphon.service.admin.administration import Administration
from antiphon.settings import ConsoleSettings
from antiphon.store.audit import AuditFilter
from antiphon.store.listings import INVITE_ORDERS, USER_ORDERS, Selection
from antiphon.wire.admin.organizations import (
    AcceptInviteParams,
    CreateInviteParams,
    Deleted,
    InviteInfo,
    InviteStatus,
    Listing,
    NoParams,
    OrganizationInfo,
    Role,
    TokenListing,
    UpdateUserParams,
    UserInfo,
    UserSignedOut,
)

NAMES_QUERY: Final = ("ids", "contains")
AUDIT_QUERY: Final = ("order", "object_id", "actor_id", "action", *SPAN_QUERY)


class PeopleEndpoints:
    """The endpoints of users and invites, and of the audit log."""

    def __init__(self, administration: Administration, console: ConsoleSettings) -> None:
        self._people = administration.people
        self._console = console
        self._audit = administration.audit

    async def show_organization(self, _: Request[None]) -> OrganizationInfo:
        return await self._people.organization()

    async def list_users(self, request: Request[None]) -> Listing:
        query = request.query
        roles = query.many("roles", get_args(Role))
        return await self._people.users(
            query.by_ids(),
            query.one("email"),
            roles,
            read_selection(query),
            query.order(USER_ORDERS),
        )

    async def list_names(self, request: Request[None]) -> Listing:
        query = request.query
        wanted = Selection(ids=query.many("ids"), contains=read_part(query))
        return await self._people.names(query.by_ids(), wanted, request.reach)

    async def sign_user_out(self, request: Request[NoParams]) -> UserSignedOut:
        return await self._people.sign_out(request.actor, request.path("user"))

    async def show_user(self, request: Request[None]) -> UserInfo:
        return await self._people.user(request.path("user"))

    async def change_user(self, request: Request[UpdateUserParams]) -> UserInfo:
        user, role = request.path("user"), request.params.role
        return await self._people.change_role(request.actor, user, role)

    async def remove_user(self, request: Request[None]) -> Deleted:
        return await self._people.remove(request.actor, request.path("user"))

    async def list_invites(self, request: Request[None]) -> Listing:
        query = request.query
        return await self._people.invites(
            query.by_ids(),
            email=query.one("email"),
            roles=query.many("roles", get_args(Role)),
            statuses=query.many("statuses", get_args(InviteStatus)),
            wanted=read_selection(query),
            order=query.order(INVITE_ORDERS),
        )

    async def create_invite(self, request: Request[CreateInviteParams]) -> InviteInfo:
        url = self._console.url or request.exchange.base_url
        base_url = url if self._console.enabled else None
        return await self._people.send_invite(request.actor, request.params, base_url)

    async def show_invite(self, request: Request[None]) -> InviteInfo:
        return await self._people.invite(request.path("invite"))

    async def delete_invite(self, request: Request[None]) -> Deleted:
        return await self._people.take_back(request.actor, request.path("invite"))

    async def accept_invite(self, request: Request[AcceptInviteParams]) -> UserInfo:
        invite, name = request.path("invite"), request.params.name
        return await self._people.accept(request.actor, invite, name)

    async def list_audit_entries(self, request: Request[None]) -> TokenListing:
        query = request.query
        start, end = read_span(query)
        wanted = AuditFilter(
            object_id=query.one("object_id"),
            actor_id=query.one("actor_id"),
            action=query.one("action"),
            start=start,
            end=end,
        )
        # The one order is that of time.
        newest_first = query.order(()).is_descending
        return await self._audit.page(query.by_tokens(), wanted, newest_first=newest_first)
