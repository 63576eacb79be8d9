"""The whole route table, and the application around it."""

from collections.abc import Sequence

from starlette.exceptions import HTTPException
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from antiphon.server.admin import AdminEndpoints
from antiphon.server.http.boundary import Boundary
from antiphon.server.messages import Action, Endpoint, Endpoints
from antiphon.service.platform import Platform


def build_app(platform: Platform) -> ASGIApp:
    """Return the ASGI application over a platform that is open."""
    endpoints = Endpoints(platform)
    routes = [
        _route("POST", "/v1/messages", endpoints.create_message),
        _route("POST", "/v1/messages/count_tokens", endpoints.count_tokens),
        _route("GET", "/v1/models", endpoints.list_models),
        _route("GET", "/v1/models/{model_id:path}", endpoints.show_model),
        *(_route(*route) for route in AdminEndpoints(platform).routes()),
        _route("GET", "/health", endpoints.health),
        _route("GET", "/ready", endpoints.ready),
    ]
    return Boundary(Routing(routes), platform.entropy)


class Routing:
    """Starlette's router, behind a table of the paths that have no parameters.

    Nearly all requests go to two of them; the router would try its routes one after the other.
    """

    def __init__(self, routes: Sequence[Route]) -> None:
        self._router = Router(routes, redirect_slashes=False, default=_no_such_path)
        self._exact = {
            (method, route.path): route.app
            for route in routes
            for method in route.methods or ()
            if not route.param_convertors
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._exact.get((scope["method"], scope["path"]), self._router)
        await app(scope, receive, send)


def _route(method: str, path: str, action: Action) -> Route:
    return Route(path, Endpoint(action), methods=[method])


async def _no_such_path(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - ASGI
    raise HTTPException(404)
