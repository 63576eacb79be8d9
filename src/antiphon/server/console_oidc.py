"""`/v1/console/oidc` and `/v1/console/identity`: signing in by an OpenID provider.

The provider sends the browser to a page of the Console, `/console/oidc`, which shows nothing of its
address and sends the answer here. So the cookie of the request can be `SameSite=Strict`, and an
answer that another site plants meets the same walls as any other request.
"""

from antiphon.core.errors import NotFoundError
from antiphon.server.console_requests import ConsoleRequests
from antiphon.server.http.browser import ended_session_cookie, oidc_cookie, oidc_request
from antiphon.server.http.exchange import Exchange
from antiphon.service.console.console import Console
from antiphon.service.console.openid.sign_in import Begun, OidcSignIn
from antiphon.wire.admin.organizations import NoParams
from antiphon.wire.console import (
    IdentityInfo,
    LinkIdentityParams,
    OidcAnswerParams,
    OidcRequest,
    OidcSignedOut,
    SessionInfo,
)

# The pages that a provider sends browsers to: after the sign-in, and after the sign-out.
PAGE = "/console/oidc"
SIGNED_OUT_PAGE = "/console/signed-out"


class OidcEndpoints:
    """The endpoints of signing in by a provider. None of them takes a key."""

    def __init__(self, console: Console, requests: ConsoleRequests) -> None:
        self._console = console
        self._requests = requests

    async def begin(self, exchange: Exchange) -> OidcRequest:
        await self._requests.read(exchange, NoParams)
        return self._sent(exchange, await self._oidc.begin(self._back_to(exchange)))

    async def sign_in(self, exchange: Exchange) -> SessionInfo:
        answer = await self._requests.read(exchange, OidcAnswerParams)
        visit, back_to = self._requests.visit(exchange), self._back_to(exchange)
        opened = await self._oidc.finish(answer, oidc_request(exchange), visit, back_to)
        return await self._requests.welcome(exchange, opened)

    async def sign_out(self, exchange: Exchange) -> OidcSignedOut:
        who = await self._requests.signed_in(exchange)
        await self._requests.read(exchange, NoParams)
        if self._console.oidc_sign_out is None:
            raise _no_provider()
        back_to = self._back_to(exchange, SIGNED_OUT_PAGE)
        url = await self._console.oidc_sign_out.sign_out(who, exchange.request_id, back_to)
        exchange.headers["set-cookie"] = ended_session_cookie(exchange)
        return OidcSignedOut(url=url)

    async def show_identity(self, exchange: Exchange) -> IdentityInfo:
        who = await self._requests.signed_in(exchange)
        if self._console.oidc is None:
            return IdentityInfo(has_password=await self._console.sign_in.has_password(who))
        return await self._console.oidc.identity(who)

    async def begin_link(self, exchange: Exchange) -> OidcRequest:
        who = await self._requests.signed_in(exchange)
        params = await self._requests.read(exchange, LinkIdentityParams)
        visit, back_to = self._requests.visit(exchange), self._back_to(exchange)
        begun = await self._oidc.begin_link(who, params.current_password, visit, back_to)
        return self._sent(exchange, begun)

    async def link(self, exchange: Exchange) -> IdentityInfo:
        who = await self._requests.signed_in(exchange)
        answer = await self._requests.read(exchange, OidcAnswerParams)
        visit, back_to = self._requests.visit(exchange), self._back_to(exchange)
        return await self._oidc.finish_link(who, answer, oidc_request(exchange), visit, back_to)

    async def unlink(self, exchange: Exchange) -> IdentityInfo:
        who = await self._requests.signed_in(exchange)
        return await self._oidc.unlink(who, exchange.request_id)

    @property
    def _oidc(self) -> OidcSignIn:
        if self._console.oidc is None:
            raise _no_provider()
        return self._console.oidc

    def _sent(self, exchange: Exchange, begun: Begun) -> OidcRequest:
        exchange.headers["set-cookie"] = oidc_cookie(exchange, begun.cookie)
        return OidcRequest(url=begun.address)

    def _back_to(self, exchange: Exchange, page: str = PAGE) -> str:
        """Return the page that the provider sends the browser to, which it has to know."""
        base_url = self._console.settings.url or exchange.base_url
        return base_url.rstrip("/") + page


def _no_provider() -> NotFoundError:
    return NotFoundError("Nobody signs in to this server by an identity provider.")
