"""Signing in and out, and changing a password."""

import hmac
from base64 import urlsafe_b64encode

import msgspec

from antiphon.core.errors import AuthenticationError, InvalidRequestError
from antiphon.service.admin.people import stored_address, the_user
from antiphon.service.admin.transactions import AdminTransactions
from antiphon.service.console.happenings import RefusedSignIns, acting, happened
from antiphon.service.console.links import check_link, use_link
from antiphon.service.console.passwords import PasswordHashing
from antiphon.service.console.sessions import NewSession, Sessions, SignedIn
from antiphon.service.console.throttle import SignInThrottle, Subject
from antiphon.store.console import (
    LinkKind,
    Password,
    drop_links,
    end_session,
    end_sessions_of,
    find_password,
    set_password,
)
from antiphon.store.organizations import User, find_user, find_user_by_email

ENDED = "The session has ended. Please sign in again."
WRONG = "Wrong e-mail address or password"


class Visit(msgspec.Struct, frozen=True):
    """A browser that asks to sign in: its address, and the tokens of its cookies.

    `browser_proof` says of which user the browser was before (see `browser_proof`).
    """

    request_id: str
    address: str
    session_token: str | None = None
    browser_proof: str | None = None


class SignIn:
    """The use cases of users who can sign in. `signing_key` is that of the installation."""

    def __init__(
        self,
        transactions: AdminTransactions,
        sessions: Sessions,
        hashing: PasswordHashing,
        throttle: SignInThrottle,
        signing_key: bytes,
    ) -> None:
        self._transactions = transactions
        self._sessions = sessions
        self._hashing = hashing
        self._throttle = throttle
        self._signing_key = signing_key
        self.refused = RefusedSignIns(transactions)

    async def by_password(self, email: str, password: str, visit: Visit) -> NewSession:
        """Begin a session. Raises `AuthenticationError`, `RateLimitError`, `OverloadedError`.

        An unknown address takes the same way as a known one: the same queries, and a comparison
        with a hash. Raises `PermissionError_` where passwords are switched off.
        """
        self._hashing.refuse_if_off()
        address = stored_address(email) if email.isprintable() else ""
        with self._throttle.trying(self._subjects(address, visit)):
            async with self._transactions.read() as connection:
                user = await find_user_by_email(connection, address)
                stored = await find_password(connection, "" if user is None else user.id)
            await self._compare(user, password, stored)
            return await self._begin(stored, visit)

    async def _begin(self, checked: Password | None, visit: Visit) -> NewSession:
        """Begin a session of the user whose password was right."""
        user_id = "" if checked is None else checked.user_id
        async with self._transactions.change() as connection:
            # The user may have gone and the password may have changed while it was compared.
            user = await find_user(connection, user_id)
            if user is None or await find_password(connection, user_id) != checked:
                raise AuthenticationError(WRONG)
            opened = await self._sessions.open(connection, user.id, instead_of=visit.session_token)
            change = happened("session.create", user, "password")
            await self._transactions.note(connection, acting(user.id, visit.request_id), change)
        return opened

    async def by_link(self, token: str, visit: Visit) -> NewSession:
        """Begin a session by a link of the operator. Raises `AuthenticationError`."""
        now = self._transactions.now()
        with self._throttle.trying([("address", visit.address)]):
            async with self._transactions.read() as connection:
                await check_link(connection, token, LinkKind.SIGN_IN, now)
            async with self._transactions.change() as connection:
                user_id = await use_link(connection, token, LinkKind.SIGN_IN, now)
                user = await find_user(connection, user_id or "")
                if user is None:
                    raise AuthenticationError("The user of this link was removed")
                opened = await self._sessions.open(
                    connection, user.id, by_link=True, instead_of=visit.session_token
                )
                change = happened("session.create", user, "link")
                await self._transactions.note(connection, acting(user.id, visit.request_id), change)
        return opened

    async def sign_out(self, who: SignedIn, request_id: str) -> None:
        """End a session, in every process."""
        async with self._transactions.change() as connection:
            if await end_session(connection, who.stored.digest):
                change = happened("session.delete", who.user)
                await self._transactions.note(connection, acting(who.user.id, request_id), change)

    async def sign_out_everywhere(self, who: SignedIn, request_id: str) -> None:
        """End all sessions of a user, also this one."""
        async with self._transactions.change() as connection:
            await end_sessions_of(connection, who.user.id)
            change = happened("session.delete_all", who.user)
            await self._transactions.note(connection, acting(who.user.id, request_id), change)

    async def change_password(
        self, who: SignedIn, current: str | None, new: str, visit: Visit
    ) -> NewSession:
        """Set a new password, end all sessions of the user, and begin a new one for this browser.

        A session that has just begun with a link needs no current password, and so resets a
        forgotten one. Raises `InvalidRequestError` for a wrong current password, and
        `PermissionError_` where passwords are switched off.
        """
        self._hashing.refuse_if_off()
        stored = await self.check_current(who, current, visit)
        hashed = await self._hashing.hash(new)
        now = self._transactions.now()
        async with self._transactions.change() as connection:
            user = await the_user(connection, who.user.id)
            if await find_password(connection, user.id) != stored:
                raise InvalidRequestError("The password was changed meanwhile: sign in again")
            # Its user may have signed out everywhere, because somebody else has the session.
            if not await end_session(connection, who.stored.digest):
                raise AuthenticationError(ENDED)
            await set_password(connection, Password(user_id=user.id, hash=hashed, changed_at=now))
            await end_sessions_of(connection, user.id)
            await drop_links(connection, LinkKind.SIGN_IN, user.id)
            opened = await self._sessions.open(connection, user.id)
            change = happened("password.set", user)
            await self._transactions.note(connection, acting(user.id, visit.request_id), change)
        return opened

    async def has_password(self, who: SignedIn) -> bool:
        """Return whether a user can sign in by a password. Raises `StoreError`."""
        async with self._transactions.read() as connection:
            return await find_password(connection, who.user.id) is not None

    async def check_current(
        self, who: SignedIn, current: str | None, visit: Visit
    ) -> Password | None:
        """Return the password of a user as it is stored, once the user has proven to know it.

        Raises `InvalidRequestError`, also for a user without a password, unless the session has
        just begun with a link.
        """
        async with self._transactions.read() as connection:
            stored = await find_password(connection, who.user.id)
        until = who.stored.renews_until
        if until is not None and self._transactions.now() < until:
            return stored
        if current is None:
            raise InvalidRequestError("current_password: Field required")
        try:
            # Whoever has stolen a session may not try passwords without end.
            with self._throttle.trying(self._subjects(who.user.email, visit)):
                await self._compare(who.user, current, stored)
        except AuthenticationError as error:
            # Not a 401, which says that the session has ended.
            raise InvalidRequestError("current_password: this is not your password") from error
        return stored

    async def _compare(self, user: User | None, given: str, stored: Password | None) -> None:
        """Raise `AuthenticationError` unless this is the password of a user.

        Nobody's password takes as long to compare.
        """
        matches = await self._hashing.matches(given, None if stored is None else stored.hash)
        if not matches:
            if user is not None:
                self.refused.note(user.id)
            raise AuthenticationError(WRONG)

    def browser_proof(self, email: str) -> str:
        """Return what a browser of this user keeps after the end of its session.

        It authenticates nobody. Tries of a browser that has it are counted apart from those of
        others, so whoever tries to guess a password cannot keep its owner out.
        """
        digest = hmac.digest(self._signing_key, b"console browser\0" + email.encode(), "sha256")
        return urlsafe_b64encode(digest).rstrip(b"=").decode()

    def _subjects(self, email: str, visit: Visit) -> list[Subject]:
        proof = self.browser_proof(email)
        if visit.browser_proof is not None and hmac.compare_digest(
            visit.browser_proof.encode(), proof.encode()
        ):
            return [("browser", self._account(email))]
        return [("account", self._account(email)), ("address", visit.address)]

    def _account(self, email: str) -> str:
        # A digest, as the names that somebody makes up may be long.
        return hmac.digest(
            self._signing_key, email.encode("utf-8", "surrogatepass"), "sha256"
        ).hex()
