"""Routes, the rows of the table of `server.app`, and the router that finds them."""

import re
from collections.abc import Awaitable, Callable, Sequence
from copy import copy
from typing import Any, TypeAlias, TypeVar, overload

import msgspec
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.routing import Route as PathRoute
from starlette.routing import Router as PathRouter
from starlette.types import Receive, Scope, Send

from antiphon.core.errors import ApiError
from antiphon.core.permissions import Permission
from antiphon.core.validation.bodies import Body
from antiphon.server.http.base_urls import HINT_HEADER, base_url_hint
from antiphon.server.http.boundary import EXCHANGE
from antiphon.server.http.exchange import Exchange
from antiphon.server.http.queries import OpenQuery
from antiphon.server.http.requests import Request
from antiphon.service.access import Caller
from antiphon.store.accounts import KeyKind
from antiphon.wire.decoding import BodyError

P = TypeVar("P")

METHOD_NOT_ALLOWED = 405

# Returns the body of a 200, or a `Reply`, or `None` if the endpoint has written its answer.
Handler: TypeAlias = Callable[[Request[P]], Awaitable[Any]]
OpenHandler: TypeAlias = Callable[[Exchange], Awaitable[Any]]
# Adds headers to the refusal of an authenticated request.
OnRefusal: TypeAlias = Callable[[Exchange, Caller, ApiError | BodyError], Awaitable[None]]


class Reply(msgspec.Struct, frozen=True):
    """An answer with another status than 200."""

    status: int
    body: Any


class Route:
    """One row: method and path, authentication, handler, body and query.

    `name` is the method and the path: `GET /v1/models`. `key` is the kind of key that a caller
    needs; an open route needs none, and its handler gets the unread exchange. `body` is the type
    of the body; without it the body is not read. `query` names all parameters; others are refused.
    `has_pages`: it answers with pages that tokens lead to.
    `needs` is the permission that a user of the Console needs; without it, no session is enough.
    The dispatcher calls `on_refusal` for each refused request of an authenticated caller.
    """

    __slots__ = (
        "body",
        "handler",
        "has_pages",
        "key",
        "method",
        "needs",
        "on_refusal",
        "path",
        "query",
    )

    @overload
    def __init__(self, name: str, key: None, handler: OpenHandler) -> None: ...

    @overload
    def __init__(
        self,
        name: str,
        key: KeyKind,
        handler: Handler[None],
        *,
        needs: Permission | None = ...,
        query: tuple[str, ...] | OpenQuery = ...,
        on_refusal: OnRefusal | None = ...,
    ) -> None: ...

    @overload
    def __init__(
        self,
        name: str,
        key: KeyKind,
        handler: Handler[P],
        *,
        needs: Permission | None = ...,
        body: type[P] | Body[P],
        query: tuple[str, ...] | OpenQuery = ...,
        on_refusal: OnRefusal | None = ...,
    ) -> None: ...

    def __init__(  # noqa: PLR0913 - the columns of a row
        self,
        name: str,
        key: KeyKind | None,
        handler: Callable[[Any], Awaitable[Any]],
        *,
        needs: Permission | None = None,
        body: type[Any] | Body[Any] | None = None,
        query: tuple[str, ...] | OpenQuery = (),
        on_refusal: OnRefusal | None = None,
    ) -> None:
        self.method, self.path = name.split(" ")
        self.key = key
        self.needs = needs
        self.handler = handler
        self.body = body if body is None or isinstance(body, Body) else Body(body)
        self.query = query
        known = query.names if isinstance(query, OpenQuery) else query
        self.has_pages = "page" in known
        self.on_refusal = on_refusal

    @property
    def template(self) -> str:
        """The path for logs and documents: without the converters of Starlette."""
        return re.sub(r":\w+\}", "}", self.path)

    def below(self, prefix: str) -> "Route":
        """Return the same route at a path below `prefix`."""
        moved = copy(self)
        moved.path = prefix + self.path
        return moved


# Answers one request of a route.
Dispatch: TypeAlias = Callable[[Route, Exchange], Awaitable[None]]


class _Endpoint(msgspec.Struct, frozen=True):
    """A route as an ASGI application."""

    dispatch: Dispatch
    route: Route
    template: str

    def __call__(self, scope: Scope, _receive: Receive, _send: Send) -> Awaitable[None]:
        exchange: Exchange = scope[EXCHANGE]
        exchange.route = self.template
        return self.dispatch(self.route, exchange)


class Router:
    """Finds the route of a request: first in a dictionary of the paths without parameters.

    Nearly all requests go to two of them. Starlette's router, which finds the others, tries its
    routes one after the other. `home` is the path that a browser is led to from `/`.
    """

    def __init__(
        self, routes: Sequence[Route], dispatch: Dispatch, home: str | None = None
    ) -> None:
        paths = [
            PathRoute(
                route.path, _Endpoint(dispatch, route, route.template), methods=[route.method]
            )
            for route in routes
        ]
        self._paths = paths
        self._home = home
        self._router = PathRouter(paths, redirect_slashes=False, default=self._no_such_path)
        self._exact = {
            (method, path.path): path.app
            for path in paths
            for method in path.methods or ()
            if not path.param_convertors
        }

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        # Every request comes by here, so this makes no coroutine around that of the application.
        app = self._exact.get((scope["method"], scope["path"]), self._search)
        return app(scope, receive, send)

    async def _search(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._router(scope, receive, send)
        except HTTPException as error:
            if error.status_code != METHOD_NOT_ALLOWED:
                raise
            # Starlette names the methods of the first route with this path alone.
            allowed = {"Allow": self._allowed(scope)}
            raise HTTPException(METHOD_NOT_ALLOWED, headers=allowed) from error

    def _allowed(self, scope: Scope) -> str:
        """Return the methods that the path of a request has."""
        found = [path for path in self._paths if path.matches(scope)[0] is not Match.NONE]
        return ", ".join(sorted({method for path in found for method in path.methods or ()}))

    async def _no_such_path(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI
        """Raise a 404, with a hint in a header and in the log: its body is that of the API.

        `/` leads browsers on; it is no route, so that it stays a wrong path for all others.
        """
        exchange: Exchange = scope[EXCHANGE]
        if scope["path"] == "/" and scope["method"] == "HEAD":
            # Programs look by this whether there is a server, Claude Code among them.
            await exchange.send_nothing()
            return
        if self._home is not None and _is_browser_at_root(scope, exchange):
            await exchange.redirect(self._home)
            return
        hint = base_url_hint(scope["path"], exchange.base_url, self._is_served)
        exchange.headers[HINT_HEADER] = exchange.fields["hint"] = hint
        raise HTTPException(404)

    def _is_served(self, path: str) -> bool:
        return any(route.path_regex.match(path) for route in self._paths)


def _is_browser_at_root(scope: Scope, exchange: Exchange) -> bool:
    wanted = exchange.header(b"accept") or ""
    return scope["path"] == "/" and scope["method"] == "GET" and "text/html" in wanted
