"""What the endpoints of the Console share: reading a request, and giving a browser its session."""

from typing import Any, TypeVar

from msgspec.structs import replace

from antiphon.core.sign_in import client_address
from antiphon.core.validation.bodies import Body
from antiphon.core.validation.versions import NEWEST
from antiphon.server.http.body_budget import BodyBudget
from antiphon.server.http.browser import (
    browser_proof,
    check_request_of_console,
    session_cookie,
    session_token,
)
from antiphon.server.http.exchange import Exchange
from antiphon.server.http.requests import read_body
from antiphon.service.console.console import Console
from antiphon.service.console.sessions import NewSession, SignedIn
from antiphon.service.console.sign_in import Visit
from antiphon.settings import Settings
from antiphon.wire.admin.organizations import NoParams
from antiphon.wire.base import Param
from antiphon.wire.console import (
    AcceptByLinkParams,
    ChangePasswordParams,
    LinkIdentityParams,
    OidcAnswerParams,
    SessionInfo,
    SetUpParams,
    SignInByLinkParams,
    SignInParams,
)
from antiphon.wire.decoding import NO_BETAS

P = TypeVar("P", bound=Param)

# Nobody has signed in yet when such a body is read. The longest password has 4 KiB.
LARGEST_BODY = 16 * 1024


class ConsoleRequests:
    """Reads the requests of the Console's own pages."""

    def __init__(self, console: Console, settings: Settings) -> None:
        self._console = console
        self._settings = replace(settings, max_body_bytes=LARGEST_BODY)
        self._bodies = BodyBudget(LARGEST_BODY)
        kinds: tuple[type[Param], ...] = (
            AcceptByLinkParams,
            ChangePasswordParams,
            LinkIdentityParams,
            NoParams,
            OidcAnswerParams,
            SetUpParams,
            SignInByLinkParams,
            SignInParams,
        )
        self._decoders: dict[type[Param], Body[Any]] = {kind: Body(kind) for kind in kinds}

    async def signed_in(self, exchange: Exchange) -> SignedIn:
        """Return the session of a request of the Console's own pages."""
        exchange.headers["cache-control"] = "no-store"
        check_request_of_console(exchange)
        who = await self._console.access.signed_in(session_token(exchange))
        exchange.fields["user_id"] = who.user.id
        return who

    async def welcome(self, exchange: Exchange, opened: NewSession) -> SessionInfo:
        """Give a browser its new session, and return that."""
        who = await self._console.access.signed_in(opened.token)
        exchange.fields["user_id"] = who.user.id
        exchange.headers["set-cookie"] = session_cookie(exchange, opened.token, opened.longest)
        return await self._console.info(who)

    async def read(self, exchange: Exchange, kind: type[P]) -> P:
        """Read the small body of a request of the Console's own pages."""
        exchange.headers["cache-control"] = "no-store"
        check_request_of_console(exchange)
        share = self._bodies.share()
        try:
            body = await read_body(exchange, self._settings, share)
        finally:
            share.release()
        decoded: P = self._decoders[kind].decode(body, NEWEST, NO_BETAS)
        return decoded

    def visit(self, exchange: Exchange) -> Visit:
        peer = exchange.scope.get("client") or ("", 0)
        forwarded = exchange.header(b"x-forwarded-for")
        proxies = self._console.settings.proxies
        return Visit(
            request_id=exchange.request_id,
            address=client_address(str(peer[0]), forwarded, proxies),
            session_token=session_token(exchange),
            browser_proof=browser_proof(exchange),
        )
