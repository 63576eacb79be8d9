"""The whole route table, and the application around it."""

from starlette.exceptions import HTTPException
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from antiphon.server.endpoints import Action, Endpoint, Endpoints
from antiphon.server.middleware import Boundary
from antiphon.service.platform import Platform


def build_app(platform: Platform) -> ASGIApp:
    """Return the ASGI application over a platform that is open."""
    endpoints = Endpoints(platform)
    routes = [
        _route("POST", "/v1/messages", endpoints.create_message),
        _route("POST", "/v1/messages/count_tokens", endpoints.count_tokens),
        _route("GET", "/v1/models", endpoints.list_models),
        _route("GET", "/v1/models/{model_id:path}", endpoints.show_model),
        _route("GET", "/health", endpoints.health),
        _route("GET", "/ready", endpoints.ready),
    ]
    router = Router(routes, redirect_slashes=False, default=_no_such_path)
    return Boundary(router, platform.entropy)


def _route(method: str, path: str, action: Action) -> Route:
    return Route(path, Endpoint(action), methods=[method])


async def _no_such_path(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - ASGI
    raise HTTPException(404)
