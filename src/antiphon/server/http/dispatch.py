"""Answers every request in the same steps: authenticate, read, call the handler, write."""

import asyncio
from typing import Any

from antiphon.core.errors import ApiError
from antiphon.core.permissions import Permission
from antiphon.core.validation.bodies import Body
from antiphon.core.validation.versions import OLDEST
from antiphon.server.http.body_budget import BodyBudget, BodyShare
from antiphon.server.http.browser import check_request_of_console, session_token
from antiphon.server.http.exchange import Exchange
from antiphon.server.http.pages import with_bound_page
from antiphon.server.http.queries import ANY_QUERY, NOTHING, Query
from antiphon.server.http.requests import Request, read_betas, read_body, read_version
from antiphon.server.http.routing import Reply, Route
from antiphon.service.access import Access, Caller, NoKeyError
from antiphon.service.accounts import KeyUsage
from antiphon.service.background import LARGE_BODY
from antiphon.service.console.session_access import SessionAccess
from antiphon.settings import Settings
from antiphon.store.accounts import KeyKind
from antiphon.wire.admin.versions import as_of_2023_06_01
from antiphon.wire.decoding import BodyError


class Dispatcher:
    """Answers requests by the row of their route."""

    def __init__(
        self,
        access: Access,
        key_usage: KeyUsage,
        settings: Settings,
        sessions: SessionAccess | None = None,
    ) -> None:
        self._access = access
        self._sessions = sessions
        self._key_usage = key_usage
        self._settings = settings
        self._bodies = BodyBudget(settings.body_budget)
        self._decoding = asyncio.Lock()

    async def __call__(self, route: Route, exchange: Exchange) -> None:
        """Answer one request. Raises `ApiError` and `BodyError` for the error boundary."""
        if route.key is None:
            answer = await route.handler(exchange)
            if answer is not None:
                await _write(exchange, answer)
            return
        exchange.recorded = route.key is KeyKind.API
        try:
            caller = await self._authenticate(exchange, route.key)
        except NoKeyError as no_key:
            caller = await self._find_session(exchange, route.needs, route.key, no_key)
        exchange.caller = caller
        share = self._bodies.share()
        try:
            request = await self._read(route, exchange, caller, share)
            answer = await route.handler(request)
        except (ApiError, BodyError) as error:
            if route.on_refusal is not None:
                await route.on_refusal(exchange, caller, error)
            raise
        finally:
            share.release()
        if answer is None:
            return  # The handler has written it.
        if request.listing is not None:
            answer = with_bound_page(answer, request.listing)
        if request.version == OLDEST:
            answer = as_of_2023_06_01(answer, caller.directory.default_workspace.id)
        await _write(exchange, answer)

    async def _authenticate(self, exchange: Exchange, kind: KeyKind) -> Caller:
        key = exchange.header(b"x-api-key")
        caller = await self._access.authenticate(
            key,
            # Not looked at beside the other.
            exchange.header(b"authorization") if key is None else None,
            exchange.header(b"anthropic-workspace-id"),
            kind,
        )
        exchange.fields["key_id"] = caller.key_id
        exchange.headers["anthropic-organization-id"] = caller.organization_id
        if caller.workspace_id is not None:
            exchange.headers["anthropic-workspace-id"] = caller.workspace_id
        self._key_usage.note(caller.key_id)
        return caller

    async def _find_session(
        self, exchange: Exchange, needs: Permission | None, kind: KeyKind, no_key: NoKeyError
    ) -> Caller:
        """Return the caller of a request that has a cookie of the Console instead of a key.

        Raises `no_key` without one.
        """
        token = session_token(exchange)
        if self._sessions is None or token is None:
            raise no_key
        check_request_of_console(exchange)
        workspace = exchange.header(b"anthropic-workspace-id")
        caller = await self._sessions.authenticate(token, needs, workspace, kind)
        exchange.fields["user_id"] = caller.key.created_by
        exchange.headers["cache-control"] = "no-store"
        exchange.headers["anthropic-organization-id"] = caller.organization_id
        if caller.workspace_id is not None:
            exchange.headers["anthropic-workspace-id"] = caller.workspace_id
        return caller

    async def _read(
        self, route: Route, exchange: Exchange, caller: Caller, share: BodyShare
    ) -> Request[Any]:
        """Read the version, the bytes of the body and the query, and decode the body."""
        version, betas = read_version(exchange), read_betas(exchange)
        body = b"" if route.body is None else await read_body(exchange, self._settings, share)
        query = NOTHING if route.query is ANY_QUERY else Query(exchange.query(), route.query)
        listing = query.walk(exchange.scope["path"]) if route.has_pages else None
        params = None
        if route.body is not None:
            # An administrator may send no body if the path identifies the request.
            whole = body or (b"{}" if route.key is KeyKind.ADMIN else b"")
            if len(whole) < LARGE_BODY:
                params = route.body.decode(whole, version, betas)
            else:
                await share.add_texts(whole)
                params = await self._decode(route.body, whole, version, betas)
        kept = body if route.key is KeyKind.ADMIN else b""
        return Request(exchange, caller, version, query, kept, len(body), params, share, listing)

    async def _decode(
        self, kind: Body[Any], body: bytes, version: str, betas: frozenset[str]
    ) -> Any:
        """Decode a large body in a thread."""
        # A decoder keeps the interpreter to itself until it is done. Several at once would gain
        # nothing, and the event loop would wait for all of them.
        async with self._decoding:
            return await asyncio.to_thread(kind.decode, body, version, betas)


async def _write(exchange: Exchange, answer: Any) -> None:
    match answer:
        case Reply(status, body):
            await exchange.respond(status, body)
        case _:
            await exchange.respond(200, answer)
