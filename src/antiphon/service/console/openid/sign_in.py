"""Signing in by an OpenID provider, and linking an account there to a user."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

import msgspec

from antiphon.core.errors import (
    AuthenticationError,
    InternalError,
    InvalidRequestError,
    OverloadedError,
)
from antiphon.core.ids import SECRET_ENTROPY, hash_secret
from antiphon.core.openid.keys import UnacceptableError
from antiphon.core.openid.requests import (
    LIFE_S,
    SKEW_S,
    AuthorizationRequest,
    Purpose,
    new_request,
    request_of,
)
from antiphon.logs import EventLog
from antiphon.service.admin.people import the_user
from antiphon.service.admin.transactions import AdminTransactions, optional_moment
from antiphon.service.console.happenings import acting, happened
from antiphon.service.console.openid.asking import (
    ProviderAwayError,
    ProviderError,
    ProviderRefusedError,
)
from antiphon.service.console.openid.provider import Person, Provider
from antiphon.service.console.openid.recognition import Recognition
from antiphon.service.console.sessions import NewSession, Sessions, SignedIn
from antiphon.service.console.sign_in import SignIn, Visit
from antiphon.service.console.throttle import SignInThrottle
from antiphon.store.console import find_password
from antiphon.store.database.connection import AsyncConnection
from antiphon.store.identities import answer_once, find_identity, identity_of, remove_identity
from antiphon.wire.console import IdentityInfo, OidcAnswerParams

AGAIN: Final = "This sign-in has expired, or was begun in another tab. Please begin again."
# The answers of a provider that are waited for at once.
MOST_AT_ONCE: Final = 16
RETRY_AFTER_S: Final = "5"


class Begun(msgspec.Struct, frozen=True):
    """A request for authorization: where the browser goes, and what its cookie keeps."""

    address: str
    cookie: str


class OidcSignIn:
    """The use cases of people who sign in by a provider. `key` is that of the installation."""

    def __init__(  # noqa: PLR0913 - the parts that it needs
        self,
        provider: Provider,
        recognition: Recognition,
        *,
        transactions: AdminTransactions,
        sessions: Sessions,
        sign_in: SignIn,
        throttle: SignInThrottle,
        key: bytes,
    ) -> None:
        self._provider = provider
        self._recognition = recognition
        self._transactions = transactions
        self._sessions = sessions
        self._sign_in = sign_in
        self._throttle = throttle
        self._key = key
        self._inside = 0
        self._log = EventLog(__name__)

    @property
    def name(self) -> str:
        """The name of the provider, for people."""
        return self._provider.settings.name

    async def begin(self, back_to: str) -> Begun:
        """Begin a sign-in: the provider sends the browser to `back_to`."""
        return await self._begun(self._new("sign_in"), back_to)

    async def begin_link(
        self, who: SignedIn, current_password: str | None, visit: Visit, back_to: str
    ) -> Begun:
        """Begin to link an account at the provider to a user, who proves to be the user.

        Whoever has stolen a session could else come back by an account of the own. Raises
        `InvalidRequestError` for a wrong password.
        """
        await self._sign_in.check_current(who, current_password, visit)
        return await self._begun(self._new("link", who.user.id), back_to)

    async def finish(
        self, answer: OidcAnswerParams, cookie: str | None, visit: Visit, back_to: str
    ) -> NewSession:
        """Begin a session by the provider's answer.

        Raises `AuthenticationError` for an answer that is none to a request of this browser,
        `PermissionError_` for a person who has no account and gets none, `OverloadedError` while
        the provider is away, and `InternalError` for one that is not set up as the settings say.
        """
        with self._throttle.trying([("address", visit.address)]):
            request = self._request(answer, cookie, "sign_in")
            person = await self._person(answer, request, back_to)
            with self._plainly():
                there = await self._provider.session_of(person)
            async with self._transactions.together(), self._transactions.change() as connection:
                await self._once(connection, request)
                user = await self._recognition.user_of(connection, person, visit.request_id)
                opened = await self._sessions.open(
                    connection, user.id, instead_of=visit.session_token, there=there
                )
                change = happened("session.create", user, "oidc")
                await self._transactions.note(connection, acting(user.id, visit.request_id), change)
        return opened

    async def finish_link(
        self,
        who: SignedIn,
        answer: OidcAnswerParams,
        cookie: str | None,
        visit: Visit,
        back_to: str,
    ) -> IdentityInfo:
        """Link the account at the provider to the user. Raises as `finish` does.

        Raises `InvalidRequestError` for an account that is another user's.
        """
        issuer = self._provider.settings.issuer
        with self._throttle.trying([("address", visit.address)]):
            request = self._request(answer, cookie, "link", who.user.id)
            person = await self._person(answer, request, back_to)
            self._recognition.check(person)
            async with self._transactions.change() as connection:
                await self._once(connection, request)
                user = await the_user(connection, who.user.id)
                known = await find_identity(connection, issuer, person.subject)
                if known is not None and known.user_id not in {None, user.id}:
                    raise InvalidRequestError("This account there belongs to another user.")
                await remove_identity(connection, issuer, user.id)
                await self._recognition.link(connection, person, user, visit.request_id)
        return await self.identity(who)

    async def identity(self, who: SignedIn) -> IdentityInfo:
        """Return by what a user can sign in."""
        async with self._transactions.read() as connection:
            issuer = self._provider.settings.issuer
            found = await identity_of(connection, issuer, who.user.id)
            has_password = await find_password(connection, who.user.id) is not None
        linked_at = None if found is None else found.linked_at
        return IdentityInfo(has_password=has_password, linked_at=optional_moment(linked_at))

    async def unlink(self, who: SignedIn, request_id: str) -> IdentityInfo:
        """Forget the account of a user at the provider.

        Raises `InvalidRequestError` for one who has no password, and could not come back.
        """
        async with self._transactions.change() as connection:
            user = await the_user(connection, who.user.id)
            if await find_password(connection, user.id) is None:
                raise InvalidRequestError(
                    "You have no password, and could not sign in any more. The operator of the "
                    "server can give you a link with which you set one."
                )
            if await remove_identity(connection, self._provider.settings.issuer, user.id):
                change = happened("identity.delete", user)
                await self._transactions.note(connection, acting(user.id, request_id), change)
        return await self.identity(who)

    def _new(self, purpose: Purpose, user_id: str = "") -> AuthorizationRequest:
        entropy = self._transactions.entropy(SECRET_ENTROPY)
        return new_request(entropy, self._now_s(), purpose, user_id)

    async def _begun(self, request: AuthorizationRequest, back_to: str) -> Begun:
        with self._plainly():
            address = await self._provider.authorization_address(request, back_to)
        return Begun(address, request.cookie)

    def _request(
        self,
        answer: OidcAnswerParams,
        cookie: str | None,
        purpose: Purpose,
        user_id: str = "",
    ) -> AuthorizationRequest:
        """Return the request of this browser that was answered. Raises `AuthenticationError`."""
        request = None if cookie is None else request_of(cookie, purpose, user_id)
        if request is None or not request.answered_by(answer.state, self._key, self._now_s()):
            raise AuthenticationError(AGAIN)
        return request

    async def _person(
        self, answer: OidcAnswerParams, request: AuthorizationRequest, back_to: str
    ) -> Person:
        if self._inside >= MOST_AT_ONCE:
            raise OverloadedError(
                "Too many people sign in at this moment. Please try again.",
                headers={"retry-after": RETRY_AFTER_S},
            )
        self._inside += 1
        try:
            with self._plainly():
                await self._provider.check_sender(answer.iss)
                return await self._provider.person_of(answer.code, request, back_to, self._now_s())
        finally:
            self._inside -= 1

    async def _once(self, connection: AsyncConnection, request: AuthorizationRequest) -> None:
        """Let no answer count twice. Raises `AuthenticationError`."""
        digest = hash_secret(request.cookie)
        over = datetime.fromtimestamp(request.began_s + LIFE_S + SKEW_S, UTC)
        if not await answer_once(connection, digest, self._transactions.now(), over):
            raise AuthenticationError(AGAIN)

    def _now_s(self) -> float:
        return self._transactions.now().timestamp()

    @contextmanager
    def _plainly(self) -> Iterator[None]:
        """Say in plain words what went wrong, and the cause in the log alone."""
        try:
            yield
        except ProviderAwayError as error:
            raise OverloadedError(
                f"The server cannot reach {self.name}. You can sign in another way.",
                headers={"retry-after": RETRY_AFTER_S},
            ) from error
        except UnacceptableError as error:
            self._log.warning("sign-in by OpenID Connect refused", reason=f"the ID token: {error}")
            raise AuthenticationError(
                f"What {self.name} says of you is not for this sign-in. Please begin again."
            ) from error
        except ProviderError as error:
            if isinstance(error, ProviderRefusedError) and error.code == "invalid_grant":
                raise AuthenticationError(AGAIN) from error
            raise InternalError(
                f"Signing in with {self.name} is not set up right on this server. Its log says why."
            ) from error
