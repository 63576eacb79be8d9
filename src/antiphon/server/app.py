"""The route table, and the application around it. `server.admin.routes` has the Admin API.

A row holds everything specific to an endpoint: method, path, the kind of key, the permission that a
user of the Console needs, the type of the body, the parameters of the query, and the handler.
`server.http.dispatch` handles every request by its row; `docs/how-to/add-an-endpoint.md` shows how
to add one.
"""

from collections.abc import Callable
from typing import Final

from starlette.types import ASGIApp

from antiphon.core.limits.rate_limits import BATCH, FILES, TOKEN_COUNT
from antiphon.core.validation.bodies import MESSAGE_BODY
from antiphon.server.admin.routes import admin_routes
from antiphon.server.batches import BATCH_QUERY, BatchEndpoints
from antiphon.server.call_limits import CallLimit
from antiphon.server.console import ConsoleEndpoints
from antiphon.server.console_oidc import OidcEndpoints
from antiphon.server.console_pages import ConsolePages
from antiphon.server.console_requests import ConsoleRequests
from antiphon.server.files import FILE_QUERY, FileEndpoints
from antiphon.server.http.boundary import Boundary
from antiphon.server.http.dispatch import Dispatcher
from antiphon.server.http.exchange import Exchange
from antiphon.server.http.queries import ANY_QUERY, BY_IDS, OpenQuery
from antiphon.server.http.routing import Handler, Route, Router
from antiphon.server.messages import MessageEndpoints
from antiphon.server.models import ModelEndpoints
from antiphon.server.openapi import OpenApiEndpoint
from antiphon.server.request_metrics import RequestMeter
from antiphon.server.request_records import RequestRecorder
from antiphon.server.traces import RequestTracer
from antiphon.service.console.console import Console
from antiphon.service.platform import Platform
from antiphon.settings import Settings
from antiphon.store.accounts import KeyKind
from antiphon.wire.messages import CountTokensParams

OPEN: Final = None
API: Final = KeyKind.API
ORGANIZATIONS_PATH = "/v1/organizations"
CONSOLE_PATH = "/console"


def build_app(platform: Platform, *records: Callable[[Exchange], None]) -> ASGIApp:
    """Return the ASGI application over an open platform. `records` get each ended request."""
    sessions = None if platform.console is None else platform.console.access
    dispatch = Dispatcher(platform.access, platform.uses, platform.settings, sessions)
    home = None if platform.console is None else CONSOLE_PATH
    if platform.metrics is not None:
        records += (RequestMeter(platform.metrics, platform.models),)
    traced = [one.begin for one in records if isinstance(one, RequestTracer)]
    router = Router(routes(platform, *traced), dispatch, home)
    return Boundary(router, platform.new_request_id, RequestRecorder(platform), *records)


def routes(platform: Platform, *traced: Callable[[Exchange], str | None]) -> tuple[Route, ...]:
    """Return every route: method and path, key, handler, body, query.

    `traced` begins the span of a request, if there are spans.
    """
    messages, models = MessageEndpoints(platform), ModelEndpoints(platform)
    create, count = messages.create_message, messages.count_tokens
    limits, count_limit = messages.add_message_limits, CallLimit(platform.admitter, TOKEN_COUNT)
    description = OpenApiEndpoint(lambda: table)
    table = (
        Route(
            "POST /v1/messages",
            API,
            create,
            needs="models.use",
            body=MESSAGE_BODY,
            query=ANY_QUERY,
            on_refusal=limits,
        ),
        Route(
            "POST /v1/messages/count_tokens",
            API,
            count,
            needs="models.use",
            body=CountTokensParams,
            query=ANY_QUERY,
            on_refusal=count_limit.add_headers,
        ),
        *_batch_routes(platform, *traced),
        *_file_routes(platform),
        Route(
            "GET /v1/models", API, models.list_models, needs="models.read", query=OpenQuery(BY_IDS)
        ),
        Route(
            "GET /v1/models/{model_id:path}",
            API,
            models.show_model,
            needs="models.read",
            query=ANY_QUERY,
        ),
        *(route.below(ORGANIZATIONS_PATH) for route in admin_routes(platform)),
        *(() if platform.console is None else _console_routes(platform.console, platform.settings)),
        Route("GET /api/hello", OPEN, models.hello),
        Route("GET /health", OPEN, models.health),
        Route("GET /ready", OPEN, models.ready),
        Route("GET /openapi.json", OPEN, description.show),
    )
    return table


def _batch_routes(
    platform: Platform, *traced: Callable[[Exchange], str | None]
) -> tuple[Route, ...]:
    """Return the routes of Message Batches. The body of a new one is read as it arrives."""
    batches, limit = BatchEndpoints(platform, *traced), CallLimit(platform.admitter, BATCH)
    one = "/v1/messages/batches/{batch_id}"
    listed = OpenQuery((*BY_IDS, *BATCH_QUERY))
    rows: tuple[tuple[str, Handler[None], tuple[str, ...] | OpenQuery], ...] = (
        ("POST /v1/messages/batches", batches.create, ANY_QUERY),
        ("GET /v1/messages/batches", batches.list_batches, listed),
        (f"GET {one}", batches.show, ANY_QUERY),
        (f"GET {one}/results", batches.results, ANY_QUERY),
        (f"POST {one}/cancel", batches.cancel, ANY_QUERY),
        (f"DELETE {one}", batches.delete, ANY_QUERY),
    )
    return tuple(
        Route(
            name,
            API,
            limit.counted(handler),
            needs="batches.use",
            query=query,
            on_refusal=limit.add_headers,
        )
        for name, handler, query in rows
    )


def _file_routes(platform: Platform) -> tuple[Route, ...]:
    """Return the routes of uploaded files. The form of a new one is read as it arrives."""
    files, limit = FileEndpoints(platform), CallLimit(platform.admitter, FILES)
    one = "/v1/files/{file_id}"
    rows: tuple[tuple[str, Handler[None], tuple[str, ...] | OpenQuery], ...] = (
        ("POST /v1/files", files.upload, ANY_QUERY),
        ("GET /v1/files", files.list_files, OpenQuery(FILE_QUERY)),
        (f"GET {one}", files.show, ANY_QUERY),
        (f"GET {one}/content", files.download, ANY_QUERY),
        (f"DELETE {one}", files.delete, ANY_QUERY),
    )
    return tuple(
        Route(
            name,
            API,
            limit.counted(handler),
            needs="files.use",
            query=query,
            on_refusal=limit.add_headers,
        )
        for name, handler, query in rows
    )


def _console_routes(console: Console, settings: Settings) -> tuple[Route, ...]:
    """Return the pages of the app, and the routes of signing in. None takes a key."""
    requests, pages = ConsoleRequests(console, settings), ConsolePages()
    endpoints, oidc = ConsoleEndpoints(console, requests), OidcEndpoints(console, requests)
    signing_in = tuple(
        Route(name.replace(" ", " /v1/console", 1), OPEN, handler)
        for name, handler in (
            ("GET ", endpoints.show_console),
            ("POST /setup", endpoints.set_up),
            ("POST /session", endpoints.sign_in),
            ("GET /session", endpoints.show_session),
            ("DELETE /session", endpoints.sign_out),
            ("POST /session/link", endpoints.sign_in_by_link),
            ("POST /sign_out_everywhere", endpoints.sign_out_everywhere),
            ("POST /password", endpoints.change_password),
            ("POST /invites/accept", endpoints.accept_invite),
            ("POST /oidc", oidc.begin),
            ("POST /oidc/session", oidc.sign_in),
            ("POST /oidc/sign_out", oidc.sign_out),
            ("GET /identity", oidc.show_identity),
            ("POST /identity", oidc.link),
            ("DELETE /identity", oidc.unlink),
            ("POST /identity/request", oidc.begin_link),
        )
    )
    return (
        Route(f"GET {CONSOLE_PATH}", OPEN, pages.page),
        Route(f"GET {CONSOLE_PATH}/{{path:path}}", OPEN, pages.below),
        *signing_in,
    )
