"""Which user a person at the provider is, and whether that person comes in at all.

The identity of a person is issuer and subject; an address counts once, to find the user. Addresses
can change hands, and a provider may let people choose theirs. So an address alone never opens the
account of an administrator, nor one that has a password, unless the operator has said so.
"""

from typing import TYPE_CHECKING

from msgspec.structs import replace

from antiphon.core.errors import PermissionError_
from antiphon.core.openid.claims import may_come_in, name_of, role_of, verified_address
from antiphon.logs import EventLog
from antiphon.oidc_settings import OidcSettings
from antiphon.service.admin.people import ADMIN, People, invite_status, the_user, user_info
from antiphon.service.admin.transactions import AdminTransactions, Change
from antiphon.service.console.happenings import acting, happened
from antiphon.service.console.openid.provider import Person
from antiphon.store.console import find_password
from antiphon.store.identities import Identity, find_identity, identity_of, set_identity
from antiphon.store.organizations import (
    Invite,
    User,
    change_role,
    find_user_by_email,
    list_invites,
)

if TYPE_CHECKING:
    from antiphon.store.database.connection import AsyncConnection


class Recognition:
    """Finds or makes the user of a person, in the transaction of the sign-in."""

    def __init__(
        self, settings: OidcSettings, transactions: AdminTransactions, people: People
    ) -> None:
        self._settings = settings
        self._transactions = transactions
        self._people = people
        self._log = EventLog(__name__)

    def check(self, person: Person) -> str | None:
        """Return the verified address of a person who may come in. Raises `PermissionError_`."""
        settings, claims = self._settings, person.claims
        address = verified_address(claims, trusted=settings.trust_addresses)
        if not may_come_in(claims, address, settings.domains, settings.claims):
            raise self._refusal("Your account there may not sign in here. Ask an administrator.")
        return address

    async def user_of(self, connection: "AsyncConnection", person: Person, request_id: str) -> User:
        """Return the user of a person, with the role that the provider gives.

        Raises `PermissionError_` for somebody who has no account and gets none.
        """
        address = self.check(person)
        known = await find_identity(connection, self._settings.issuer, person.subject)
        if known is None or known.user_id is None:
            was_removed = known is not None
            user = await self._first_time(connection, person, address, request_id, was_removed)
            await self.link(connection, person, user, request_id)
        else:
            user = await the_user(connection, known.user_id)
        return await self._with_role(connection, person, user, request_id)

    async def link(
        self, connection: "AsyncConnection", person: Person, user: User, request_id: str
    ) -> None:
        """Note that a person is a user from now on."""
        identity = Identity(
            issuer=self._settings.issuer,
            subject=person.subject,
            user_id=user.id,
            linked_at=self._transactions.now(),
        )
        await set_identity(connection, identity)
        change = happened("identity.create", user)
        await self._transactions.note(connection, acting(user.id, request_id), change)

    async def _first_time(
        self,
        connection: "AsyncConnection",
        person: Person,
        address: str | None,
        request_id: str,
        was_removed: bool,  # noqa: FBT001 - the state of what is known
    ) -> User:
        if address is None:
            raise self._refusal("It does not say that your e-mail address is verified.")
        user = await find_user_by_email(connection, address)
        if user is not None:
            await self._refuse_takeover(connection, user)
            return user
        actor, name = acting(None, request_id), name_of(person.claims, address)
        invite = await self._invite_of(connection, address)
        if invite is not None:
            made = await self._people.accept(actor, invite.id, name)
        elif self._settings.new_users == "invited" or was_removed:
            raise self._refusal("You have no account here. Ask an administrator to invite you.")
        else:
            role = self._role(person) or self._settings.new_users
            made = await self._people.add(actor, address, name, role)
        return await the_user(connection, made.id)

    async def _refuse_takeover(self, connection: "AsyncConnection", user: User) -> None:
        if await identity_of(connection, self._settings.issuer, user.id) is not None:
            raise self._refusal(
                "The user with your e-mail address signs in by another account there."
            )
        if self._settings.link == "address":
            return
        if user.role == ADMIN or await find_password(connection, user.id) is not None:
            raise self._refusal(
                "There is a user with your e-mail address. Sign in as before, and link your "
                "account on the page Account."
            )

    async def _invite_of(self, connection: "AsyncConnection", address: str) -> Invite | None:
        now = self._transactions.now()
        for invite in await list_invites(connection):
            if invite.email == address and invite_status(invite, now) == "pending":
                return invite
        return None

    def _role(self, person: Person) -> str | None:
        """Return the role that the provider gives: without a value that counts, that of new users.

        `None` leaves the role as it is.
        """
        settings = self._settings
        role = role_of(person.claims, settings.role_claim, settings.roles)
        if role is None and settings.role_claim and settings.new_users != "invited":
            return settings.new_users
        return role

    async def _with_role(
        self, connection: "AsyncConnection", person: Person, user: User, request_id: str
    ) -> User:
        role = self._role(person)
        if role is None or user.role in {role, ADMIN}:
            return user
        changed = replace(user, role=role)
        await change_role(connection, user.id, role)
        change = Change("user.update", user_info(user), user_info(changed))
        await self._transactions.note(connection, acting(user.id, request_id), change)
        return changed

    def _refusal(self, why: str) -> PermissionError_:
        self._log.warning("sign-in by OpenID Connect refused", reason=why)
        return PermissionError_(f"Signing in with {self._settings.name} did not work. {why}")
