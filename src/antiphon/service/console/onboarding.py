"""How people come to a password: the first administrator by the setup, others by an invite."""

from antiphon.core.errors import AuthenticationError
from antiphon.service.admin.people import ADMIN, People, stored_address, the_user
from antiphon.service.admin.transactions import AdminTransactions
from antiphon.service.console.happenings import Way, acting, happened
from antiphon.service.console.links import check_link, use_link
from antiphon.service.console.passwords import PasswordHashing
from antiphon.service.console.sessions import NewSession, Sessions
from antiphon.service.console.sign_in import Visit
from antiphon.service.console.throttle import SignInThrottle
from antiphon.store.console import (
    LinkKind,
    Password,
    drop_links,
    has_passwords,
    set_password,
)
from antiphon.store.organizations import find_user_by_email
from antiphon.wire.console import AcceptByLinkParams, SetUpParams


class Onboarding:
    """The use cases of people who have no password yet."""

    def __init__(
        self,
        transactions: AdminTransactions,
        people: People,
        sessions: Sessions,
        hashing: PasswordHashing,
        throttle: SignInThrottle,
    ) -> None:
        self._transactions = transactions
        self._people = people
        self._sessions = sessions
        self._hashing = hashing
        self._throttle = throttle

    async def set_up(self, params: SetUpParams, visit: Visit) -> NewSession:
        """Make the first administrator, and sign in. Raises `AuthenticationError`.

        A user with this address, whom the command line may have added, becomes an administrator.
        """
        kind = LinkKind.SETUP
        hashed = await self._hash_for(params.token, kind, params.password, visit)
        async with self._transactions.together(), self._transactions.change() as connection:
            await use_link(connection, params.token, kind, self._transactions.now())
            if await has_passwords(connection):
                raise AuthenticationError("This server is set up already: sign in")
            known = await find_user_by_email(connection, stored_address(params.email))
            actor = acting(None if known is None else known.id, visit.request_id)
            if known is None:
                made = await self._people.add(actor, params.email, params.name, ADMIN)
            else:
                made = await self._people.make_admin(actor, known)
            await drop_links(connection, kind)
            return await self._welcome(made.id, hashed, "setup", visit)

    async def accept_invite(self, params: AcceptByLinkParams, visit: Visit) -> NewSession:
        """Turn the invite of a link into a user, and sign in. Raises `AuthenticationError`.

        Raises `PermissionError_` where passwords are switched off: there an invite counts for
        whoever signs in by the provider with its address.
        """
        self._hashing.refuse_if_off()
        kind = LinkKind.INVITE
        hashed = await self._hash_for(params.token, kind, params.password, visit)
        async with self._transactions.together(), self._transactions.change() as connection:
            invite = await use_link(connection, params.token, kind, self._transactions.now())
            actor = acting(None, visit.request_id)
            made = await self._people.accept(actor, invite or "", params.name)
            return await self._welcome(made.id, hashed, "invite", visit)

    async def _hash_for(self, token: str, kind: LinkKind, password: str, visit: Visit) -> str:
        """Hash a password for whoever has a link that works. Raises `AuthenticationError`."""
        with self._throttle.trying([("address", visit.address)]):
            async with self._transactions.read() as connection:
                await check_link(connection, token, kind, self._transactions.now())
        return await self._hashing.hash(password)

    async def _welcome(self, user_id: str, hashed: str, by: Way, visit: Visit) -> NewSession:
        """Give a user the first password, and begin a session, in the joined transaction."""
        async with self._transactions.change() as connection:
            user = await the_user(connection, user_id)
            now = self._transactions.now()
            await set_password(connection, Password(user_id=user_id, hash=hashed, changed_at=now))
            opened = await self._sessions.open(connection, user_id, instead_of=visit.session_token)
            actor = acting(user_id, visit.request_id)
            await self._transactions.note(connection, actor, happened("password.set", user))
            await self._transactions.note(connection, actor, happened("session.create", user, by))
        return opened
