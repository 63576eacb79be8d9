"""`/v1/console`: signing in and out, the setup, invites and passwords, for the Console's pages."""

from antiphon import __version__
from antiphon.server.console_requests import ConsoleRequests
from antiphon.server.http.browser import browser_cookie, browser_proof, ended_session_cookie
from antiphon.server.http.exchange import Exchange
from antiphon.service.console.console import Console
from antiphon.wire.admin.organizations import NoParams
from antiphon.wire.console import (
    AcceptByLinkParams,
    ChangePasswordParams,
    ConsoleInfo,
    OidcInfo,
    SessionDeleted,
    SessionInfo,
    SetUpParams,
    SignInByLinkParams,
    SignInParams,
)


class ConsoleEndpoints:
    """The endpoints of the Console. None of them takes a key."""

    def __init__(self, console: Console, requests: ConsoleRequests) -> None:
        self._console = console
        self._requests = requests

    async def show_console(self, exchange: Exchange) -> ConsoleInfo:
        exchange.headers["cache-control"] = "no-store"
        oidc = self._console.oidc
        return ConsoleInfo(
            version=__version__,
            setup_needed=await self._console.sessions.setup_needed(),
            passwords=self._console.settings.passwords,
            oidc=None if oidc is None else OidcInfo(name=oidc.name),
        )

    async def set_up(self, exchange: Exchange) -> SessionInfo:
        params = await self._requests.read(exchange, SetUpParams)
        onboarding = self._console.onboarding
        return await self._requests.welcome(
            exchange, await onboarding.set_up(params, self._requests.visit(exchange))
        )

    async def accept_invite(self, exchange: Exchange) -> SessionInfo:
        params = await self._requests.read(exchange, AcceptByLinkParams)
        opened = await self._console.onboarding.accept_invite(
            params, self._requests.visit(exchange)
        )
        return await self._requests.welcome(exchange, opened)

    async def sign_in(self, exchange: Exchange) -> SessionInfo:
        params = await self._requests.read(exchange, SignInParams)
        visit = self._requests.visit(exchange)
        opened = await self._console.sign_in.by_password(params.email, params.password, visit)
        return await self._requests.welcome(exchange, opened)

    async def sign_in_by_link(self, exchange: Exchange) -> SessionInfo:
        params = await self._requests.read(exchange, SignInByLinkParams)
        opened = await self._console.sign_in.by_link(params.token, self._requests.visit(exchange))
        return await self._requests.welcome(exchange, opened)

    async def show_session(self, exchange: Exchange) -> SessionInfo:
        who = await self._requests.signed_in(exchange)
        proof = self._console.sign_in.browser_proof(who.user.email)
        if browser_proof(exchange) != proof:
            # Here and not at sign-in, whose answer sets another cookie: a header stands once.
            exchange.headers["set-cookie"] = browser_cookie(exchange, proof)
        return await self._console.info(who)

    async def sign_out(self, exchange: Exchange) -> SessionDeleted:
        who = await self._requests.signed_in(exchange)
        await self._console.sign_in.sign_out(who, exchange.request_id)
        exchange.headers["set-cookie"] = ended_session_cookie(exchange)
        return SessionDeleted()

    async def sign_out_everywhere(self, exchange: Exchange) -> SessionDeleted:
        who = await self._requests.signed_in(exchange)
        await self._requests.read(exchange, NoParams)
        await self._console.sign_in.sign_out_everywhere(who, exchange.request_id)
        exchange.headers["set-cookie"] = ended_session_cookie(exchange)
        return SessionDeleted()

    async def change_password(self, exchange: Exchange) -> SessionInfo:
        who = await self._requests.signed_in(exchange)
        params = await self._requests.read(exchange, ChangePasswordParams)
        opened = await self._console.sign_in.change_password(
            who, params.current_password, params.new_password, self._requests.visit(exchange)
        )
        return await self._requests.welcome(exchange, opened)
