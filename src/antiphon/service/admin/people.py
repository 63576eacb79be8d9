"""The organization, its users, and its invites."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from msgspec.structs import replace

from antiphon.core.errors import InvalidRequestError, NotFoundError
from antiphon.core.ids import invite_id, user_id
from antiphon.core.pagination import NEWEST, IdCursor, ListOrder, listing
from antiphon.core.permissions import EVERYTHING, Reach
from antiphon.service.admin.transactions import (
    COMMAND_LINE,
    USER,
    Actor,
    AdminTransactions,
    Change,
    moment,
    optional_moment,
    readable,
)
from antiphon.service.admin.views import member_change
from antiphon.service.console.happenings import happened
from antiphon.service.console.links import link_to, make_link
from antiphon.store.console import LinkKind, drop_links, end_sessions_of
from antiphon.store.listings import ALL, Selection, page_of_invites, page_of_users
from antiphon.store.organizations import (
    Invite,
    User,
    add_invite,
    add_user,
    change_role,
    end_invite,
    find_invite,
    find_organization,
    find_user,
    find_user_by_email,
    remove_user,
)
from antiphon.store.workspaces import list_memberships
from antiphon.wire.admin.organizations import (
    CreateInviteParams,
    Deleted,
    InviteInfo,
    InviteStatus,
    Listing,
    OrganizationInfo,
    Role,
    UserInfo,
    UserName,
    UserSignedOut,
)
from antiphon.wire.errors import shortened

if TYPE_CHECKING:
    from antiphon.store.database.connection import AsyncConnection

INVITE_LIFE = timedelta(days=21)
ADMIN = "admin"


class People:
    """The use cases of users and invites."""

    def __init__(self, transactions: AdminTransactions) -> None:
        self._transactions = transactions

    async def organization(self) -> OrganizationInfo:
        """Return the organization."""
        async with self._transactions.read() as connection:
            found = await find_organization(connection)
        if found is None:
            raise NotFoundError("There is no organization yet.")
        return OrganizationInfo(id=found.id, name=found.name)

    async def users(
        self,
        cursor: IdCursor,
        email: str | None = None,
        roles: Collection[str] = (),
        wanted: Selection = ALL,
        order: ListOrder = NEWEST,
    ) -> Listing:
        """List users; `email` and `roles` filter them as well."""
        async with self._transactions.read() as connection:
            found = await page_of_users(
                connection, cursor, wanted, email=email, roles=roles, order=order
            )
        return listing(list(map(user_info, found.records)), has_more=found.has_more)

    async def names(
        self, cursor: IdCursor, wanted: Selection = ALL, reach: Reach = EVERYTHING
    ) -> Listing:
        """List the names of users within reach, without their addresses: nobody is found by one."""
        async with self._transactions.read() as connection:
            found = await page_of_users(
                connection, cursor, wanted, named=reach.named, by_address=False
            )
        names = [UserName(id=user.id, name=user.name) for user in found.records]
        return listing(names, has_more=found.has_more)

    async def user(self, wanted: str) -> UserInfo:
        """Return a user. Raises `NotFoundError`."""
        async with self._transactions.read() as connection:
            return user_info(await the_user(connection, wanted))

    async def change_role(self, actor: Actor, wanted: str, role: Role) -> UserInfo:
        """Change the role of a user. The API can neither grant nor revoke the role of an admin."""
        async with self._transactions.change() as connection:
            user = await the_user(connection, wanted)
            _refuse_admins(user, actor)
            changed = replace(user, role=role)
            await change_role(connection, user.id, role)
            change = Change("user.update", user_info(user), user_info(changed))
            await self._transactions.note(connection, actor, change)
        return user_info(changed)

    async def sign_out(self, actor: Actor, wanted: str) -> UserSignedOut:
        """End all sessions of a user, and the links by which more could begin."""
        async with self._transactions.change() as connection:
            user = await the_user(connection, wanted)
            ended = await end_sessions_of(connection, user.id)
            await drop_links(connection, LinkKind.SIGN_IN, user.id)
            change = happened("session.delete_all", user)
            await self._transactions.note(connection, actor, change)
        return UserSignedOut(id=user.id, sessions=ended)

    async def remove(self, actor: Actor, wanted: str) -> Deleted:
        """Remove a user, also from all workspaces."""
        async with self._transactions.change() as connection:
            user = await the_user(connection, wanted)
            _refuse_admins(user, actor)
            for membership in await list_memberships(connection, user.id):
                gone = member_change("delete", membership, before=membership)
                await self._transactions.note(connection, actor, gone)
            await remove_user(connection, user.id)
            await self._transactions.note(connection, actor, Change("user.delete", user_info(user)))
        return Deleted(id=user.id, type="user_deleted")

    async def invites(  # noqa: PLR0913 - every filter of the listing
        self,
        cursor: IdCursor,
        *,
        email: str | None = None,
        roles: Collection[str] = (),
        statuses: Collection[str] = (),
        wanted: Selection = ALL,
        order: ListOrder = NEWEST,
    ) -> Listing:
        """List invites; deleted ones only if `statuses` names them."""
        now = self._transactions.now()
        async with self._transactions.read() as connection:
            found = await page_of_invites(
                connection,
                cursor,
                now,
                wanted,
                email=email,
                roles=roles,
                statuses=statuses or ("pending", "accepted", "expired"),
                order=order,
            )
        return listing([invite_info(one, now) for one in found.records], has_more=found.has_more)

    async def invite(self, wanted: str) -> InviteInfo:
        """Return an invite. Raises `NotFoundError`."""
        async with self._transactions.read() as connection:
            return invite_info(await _the_invite(connection, wanted), self._transactions.now())

    async def send_invite(
        self, actor: Actor, params: CreateInviteParams, base_url: str | None = None
    ) -> InviteInfo:
        """Create an invite for an address without a user and without a pending invite.

        With `base_url`, the address of the Console, it has a link by which the person accepts.
        """
        now = self._transactions.now()
        email = stored_address(params.email)
        async with self._transactions.change() as connection:
            await _refuse_members(connection, email)
            pending = await page_of_invites(
                connection, IdCursor(1), now, email=email, statuses=("pending",)
            )
            if pending.records:
                raise InvalidRequestError(
                    "email: this person has been invited already",
                    error_code="invite_already_exists",
                )
            invite = Invite(
                id=invite_id(self._transactions.entropy()),
                email=email,
                role=params.role,
                invited_at=now,
                expires_at=now + INVITE_LIFE,
            )
            await add_invite(connection, invite)
            info = invite_info(invite, now)
            if base_url is not None:
                token = await make_link(
                    connection, self._transactions, LinkKind.INVITE, invite.expires_at, invite.id
                )
                info = replace(info, link=link_to(base_url, LinkKind.INVITE, token))
            await self._transactions.note(connection, actor, Change("invite.create", after=info))
        return info

    async def take_back(self, actor: Actor, wanted: str) -> Deleted:
        """Delete an invite that is pending or has expired."""
        now = self._transactions.now()
        async with self._transactions.change() as connection:
            invite = await _the_invite(connection, wanted)
            status = invite_status(invite, now)
            if status in {"accepted", "deleted"}:
                raise InvalidRequestError(f"This invite is {status} and cannot be deleted.")
            await end_invite(connection, invite.id, deleted_at=now)
            await drop_links(connection, LinkKind.INVITE, invite.id)
            change = Change("invite.delete", invite_info(invite, now))
            await self._transactions.note(connection, actor, change)
        return Deleted(id=invite.id, type="invite_deleted")

    async def accept(self, actor: Actor, wanted: str, name: str) -> UserInfo:
        """Turn a pending invite into a user.

        An actor of the type `user` without an id is the person who is invited.
        """
        now = self._transactions.now()
        async with self._transactions.change() as connection:
            invite = await _the_invite(connection, wanted)
            status = invite_status(invite, now)
            if status != "pending":
                raise InvalidRequestError(f"This invite is {status} and cannot be accepted.")
            await _refuse_members(connection, invite.email)
            await end_invite(connection, invite.id, accepted_at=now)
            await drop_links(connection, LinkKind.INVITE, invite.id)
            return await self._add(connection, actor, invite.email, name, invite.role)

    async def add(self, actor: Actor, email: str, name: str, role: str) -> UserInfo:
        """Create a user without an invite; the command line and the setup can create admins.

        An actor of the type `user` without an id is the new user.
        """
        email = stored_address(email)
        async with self._transactions.change() as connection:
            await _refuse_members(connection, email)
            return await self._add(connection, actor, email, name, role)

    async def make_admin(self, actor: Actor, user: User) -> UserInfo:
        """Give a user the role of an admin, as the setup does."""
        async with self._transactions.change() as connection:
            changed = replace(user, role=ADMIN)
            await change_role(connection, user.id, ADMIN)
            change = Change("user.update", user_info(user), user_info(changed))
            await self._transactions.note(connection, actor, change)
        return user_info(changed)

    async def _add(
        self, connection: "AsyncConnection", actor: Actor, email: str, name: str, role: str
    ) -> UserInfo:
        user = User(
            id=user_id(self._transactions.entropy()),
            email=email,
            name=readable(name),
            role=role,
            added_at=self._transactions.now(),
        )
        await add_user(connection, user)
        if actor.type == USER and actor.id is None:
            actor = replace(actor, id=user.id)
        change = Change("user.create", after=user_info(user))
        await self._transactions.note(connection, actor, change)
        return user_info(user)


def user_info(user: User) -> UserInfo:
    """Return a user as the API shows it."""
    return UserInfo(
        id=user.id,
        email=user.email,
        name=user.name,
        role=user.role,  # type: ignore[arg-type]  # the rows are ours
        added_at=moment(user.added_at),
    )


def invite_status(invite: Invite, now: datetime) -> InviteStatus:
    """Return the current status of an invite."""
    if invite.deleted_at is not None:
        return "deleted"
    if invite.accepted_at is not None:
        return "accepted"
    return "pending" if now < invite.expires_at else "expired"


def invite_info(invite: Invite, now: datetime) -> InviteInfo:
    """Return an invite as the API shows it."""
    return InviteInfo(
        id=invite.id,
        email=invite.email,
        role=invite.role,  # type: ignore[arg-type]  # the rows are ours
        status=invite_status(invite, now),
        invited_at=moment(invite.invited_at),
        expires_at=moment(invite.expires_at),
        accepted_at=optional_moment(invite.accepted_at),
    )


async def the_user(connection: "AsyncConnection", wanted: str) -> User:
    """Find a user, or raise `NotFoundError`."""
    user = await find_user(connection, wanted)
    if user is None:
        raise NotFoundError(f"User {shortened(wanted)} not found.")
    return user


async def _the_invite(connection: "AsyncConnection", wanted: str) -> Invite:
    invite = await find_invite(connection, wanted)
    if invite is None:
        raise NotFoundError(f"Invite {shortened(wanted)} not found.")
    return invite


def stored_address(email: str) -> str:
    """Return an address as it is stored. Raises `InvalidRequestError` for invisible characters.

    Addresses are compared, so unlike names they may not hold joiners.
    """
    if not email.isprintable():
        raise InvalidRequestError("email: Input should be printable characters, not only spaces")
    return email.strip().lower()


async def _refuse_members(connection: "AsyncConnection", email: str) -> None:
    if await find_user_by_email(connection, email) is not None:
        raise InvalidRequestError(
            "email: this person is a member already", error_code="already_member"
        )


def _refuse_admins(user: User, actor: Actor) -> None:
    if user.role == ADMIN and actor != COMMAND_LINE:
        raise InvalidRequestError("Admins can neither be changed nor removed by the API.")
