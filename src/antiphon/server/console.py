"""`/v1/console`: signing in and out, the setup, invites and passwords, for the Console's pages."""

from typing import Any, TypeVar

from msgspec.structs import replace

from antiphon import __version__
from antiphon.core.sign_in import client_address
from antiphon.core.validation.bodies import Body
from antiphon.core.validation.versions import NEWEST
from antiphon.server.http.body_budget import BodyBudget
from antiphon.server.http.browser import (
    browser_cookie,
    browser_proof,
    check_request_of_console,
    ended_session_cookie,
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
    ConsoleInfo,
    SessionDeleted,
    SessionInfo,
    SetUpParams,
    SignInByLinkParams,
    SignInParams,
)
from antiphon.wire.decoding import NO_BETAS

P = TypeVar("P", bound=Param)

# Nobody has signed in yet when such a body is read. The longest password has 4 KiB.
LARGEST_BODY = 16 * 1024


class ConsoleEndpoints:
    """The endpoints of the Console. None of them takes a key."""

    def __init__(self, console: Console, settings: Settings) -> None:
        self._console = console
        self._settings = replace(settings, max_body_bytes=LARGEST_BODY)
        self._bodies = BodyBudget(LARGEST_BODY)
        kinds: tuple[type[Param], ...] = (
            AcceptByLinkParams,
            ChangePasswordParams,
            NoParams,
            SetUpParams,
            SignInByLinkParams,
            SignInParams,
        )
        self._decoders: dict[type[Param], Body[Any]] = {kind: Body(kind) for kind in kinds}

    async def show_console(self, exchange: Exchange) -> ConsoleInfo:
        exchange.headers["cache-control"] = "no-store"
        needed = await self._console.sessions.setup_needed()
        return ConsoleInfo(version=__version__, setup_needed=needed)

    async def set_up(self, exchange: Exchange) -> SessionInfo:
        params = await self._read(exchange, SetUpParams)
        onboarding = self._console.onboarding
        return await self._welcome(exchange, await onboarding.set_up(params, self._visit(exchange)))

    async def accept_invite(self, exchange: Exchange) -> SessionInfo:
        params = await self._read(exchange, AcceptByLinkParams)
        opened = await self._console.onboarding.accept_invite(params, self._visit(exchange))
        return await self._welcome(exchange, opened)

    async def sign_in(self, exchange: Exchange) -> SessionInfo:
        params = await self._read(exchange, SignInParams)
        visit = self._visit(exchange)
        opened = await self._console.sign_in.by_password(params.email, params.password, visit)
        return await self._welcome(exchange, opened)

    async def sign_in_by_link(self, exchange: Exchange) -> SessionInfo:
        params = await self._read(exchange, SignInByLinkParams)
        opened = await self._console.sign_in.by_link(params.token, self._visit(exchange))
        return await self._welcome(exchange, opened)

    async def show_session(self, exchange: Exchange) -> SessionInfo:
        who = await self._signed_in(exchange)
        proof = self._console.sign_in.browser_proof(who.user.email)
        if browser_proof(exchange) != proof:
            # Here and not at sign-in, whose answer sets another cookie: a header stands once.
            exchange.headers["set-cookie"] = browser_cookie(exchange, proof)
        return await self._console.info(who)

    async def sign_out(self, exchange: Exchange) -> SessionDeleted:
        who = await self._signed_in(exchange)
        await self._console.sign_in.sign_out(who, exchange.request_id)
        exchange.headers["set-cookie"] = ended_session_cookie(exchange)
        return SessionDeleted()

    async def sign_out_everywhere(self, exchange: Exchange) -> SessionDeleted:
        who = await self._signed_in(exchange)
        await self._read(exchange, NoParams)
        await self._console.sign_in.sign_out_everywhere(who, exchange.request_id)
        exchange.headers["set-cookie"] = ended_session_cookie(exchange)
        return SessionDeleted()

    async def change_password(self, exchange: Exchange) -> SessionInfo:
        who = await self._signed_in(exchange)
        params = await self._read(exchange, ChangePasswordParams)
        opened = await self._console.sign_in.change_password(
            who, params.current_password, params.new_password, self._visit(exchange)
        )
        return await self._welcome(exchange, opened)

    async def _signed_in(self, exchange: Exchange) -> SignedIn:
        """Return the session of a request of the Console's own pages."""
        exchange.headers["cache-control"] = "no-store"
        check_request_of_console(exchange)
        who = await self._console.access.signed_in(session_token(exchange))
        exchange.fields["user_id"] = who.user.id
        return who

    async def _welcome(self, exchange: Exchange, opened: NewSession) -> SessionInfo:
        """Give a browser its new session, and return that."""
        who = await self._console.access.signed_in(opened.token)
        exchange.fields["user_id"] = who.user.id
        exchange.headers["set-cookie"] = session_cookie(exchange, opened.token, opened.longest)
        return await self._console.info(who)

    async def _read(self, exchange: Exchange, kind: type[P]) -> P:
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

    def _visit(self, exchange: Exchange) -> Visit:
        peer = exchange.scope.get("client") or ("", 0)
        forwarded = exchange.header(b"x-forwarded-for")
        proxies = self._console.settings.proxies
        return Visit(
            request_id=exchange.request_id,
            address=client_address(str(peer[0]), forwarded, proxies),
            session_token=session_token(exchange),
            browser_proof=browser_proof(exchange),
        )
