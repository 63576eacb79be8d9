"""The whole route table, and the application around it.

A row holds everything specific to an endpoint: method, path, the kind of key, the permission that a
user of the Console needs, the type of the body, the parameters of the query, and the handler.
`server.http.dispatch` handles every request by its row; `docs/how-to/add-an-endpoint.md` shows how
to add one.
"""

from typing import Final

from starlette.types import ASGIApp

from antiphon.core.limits.rate_limits import BATCH, TOKEN_COUNT
from antiphon.core.validation.bodies import MESSAGE_BODY
from antiphon.server.admin.increases import IncreaseEndpoints
from antiphon.server.admin.keys import KEY_QUERY, KeyEndpoints
from antiphon.server.admin.limits import RateLimitEndpoints, SpendLimitEndpoints
from antiphon.server.admin.people import AUDIT_QUERY, PeopleEndpoints
from antiphon.server.admin.prompt_cache import (
    CACHE_ENTRY_QUERY,
    CACHE_REPORT_QUERY,
    PromptCacheEndpoints,
)
from antiphon.server.admin.reports import COST_QUERY, USAGE_QUERY, ReportEndpoints
from antiphon.server.admin.requests import ACTIVITY_QUERY, REQUEST_QUERY, RequestEndpoints
from antiphon.server.admin.settings import SettingEndpoints
from antiphon.server.admin.workspaces import WorkspaceEndpoints
from antiphon.server.batches import BATCH_QUERY, BatchEndpoints
from antiphon.server.call_limits import CallLimit
from antiphon.server.console import ConsoleEndpoints
from antiphon.server.console_oidc import OidcEndpoints
from antiphon.server.console_pages import ConsolePages
from antiphon.server.console_requests import ConsoleRequests
from antiphon.server.http.boundary import Boundary
from antiphon.server.http.dispatch import Dispatcher
from antiphon.server.http.queries import ANY_QUERY, BY_IDS, BY_TOKENS, ORDERED, OpenQuery
from antiphon.server.http.routing import Handler, Route, Router
from antiphon.server.http.selections import SELECTION_QUERY
from antiphon.server.messages import MessageEndpoints
from antiphon.server.models import ModelEndpoints
from antiphon.server.request_records import RequestRecorder
from antiphon.service.console.console import Console
from antiphon.service.platform import Platform
from antiphon.settings import Settings
from antiphon.store.accounts import KeyKind
from antiphon.wire.admin.increases import (
    AskForIncreaseParams,
    GrantIncreaseParams,
    RefuseIncreaseParams,
)
from antiphon.wire.admin.keys import CreateKeyParams, RotateKeyParams, UpdateKeyParams
from antiphon.wire.admin.limits import (
    CreateSpendLimitParams,
    SetLimitsParams,
    UpdateSpendLimitParams,
)
from antiphon.wire.admin.organizations import (
    AcceptInviteParams,
    AddMemberParams,
    CreateInviteParams,
    CreateWorkspaceParams,
    NoParams,
    UpdateMemberParams,
    UpdateUserParams,
    UpdateWorkspaceParams,
)
from antiphon.wire.messages import CountTokensParams

OPEN: Final = None
API: Final = KeyKind.API
ADMIN: Final = KeyKind.ADMIN
ORGANIZATIONS_PATH = "/v1/organizations"
CONSOLE_PATH = "/console"


def build_app(platform: Platform) -> ASGIApp:
    """Return the ASGI application over an open platform."""
    sessions = None if platform.console is None else platform.console.access
    dispatch = Dispatcher(platform.access, platform.uses, platform.settings, sessions)
    home = None if platform.console is None else CONSOLE_PATH
    record = RequestRecorder(platform)
    return Boundary(Router(routes(platform), dispatch, home), platform.new_request_id, record)


def routes(platform: Platform) -> tuple[Route, ...]:
    """Return every route: method and path, key, handler, body, query."""
    messages, models = MessageEndpoints(platform), ModelEndpoints(platform)
    create, count = messages.create_message, messages.count_tokens
    limits, count_limit = messages.add_message_limits, CallLimit(platform.admitter, TOKEN_COUNT)
    return (
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
        *_batch_routes(platform),
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
        *(route.below(ORGANIZATIONS_PATH) for route in _admin_routes(platform)),
        *(() if platform.console is None else _console_routes(platform.console, platform.settings)),
        Route("GET /health", OPEN, models.health),
        Route("GET /ready", OPEN, models.ready),
    )


def _batch_routes(platform: Platform) -> tuple[Route, ...]:
    """Return the routes of Message Batches. The body of a new one is read as it arrives."""
    batches, limit = BatchEndpoints(platform), CallLimit(platform.admitter, BATCH)
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


def _admin_routes(platform: Platform) -> tuple[Route, ...]:
    """Return the routes of the Admin API, by their paths below `/v1/organizations`."""
    administration = platform.administration
    people = PeopleEndpoints(administration, platform.settings.console)
    workspaces = WorkspaceEndpoints(administration)
    keys, reports = KeyEndpoints(administration), ReportEndpoints(platform.reports)
    requests = RequestEndpoints(platform.requests, platform.activity, platform.running)
    cache = PromptCacheEndpoints(platform.prompt_cache)
    settings = SettingEndpoints(platform.server_settings)
    rates, spend = RateLimitEndpoints(administration), SpendLimitEndpoints(administration)
    return (
        # server.admin.people
        Route("GET /me", ADMIN, people.show_organization, needs="organization.read"),
        Route(
            "GET /users",
            ADMIN,
            people.list_users,
            needs="members.read",
            query=(*BY_IDS, *ORDERED, *SELECTION_QUERY, "email", "roles"),
        ),
        Route("GET /users/{user}", ADMIN, people.show_user, needs="members.read"),
        Route(
            "POST /users/{user}",
            ADMIN,
            people.change_user,
            needs="members.write",
            body=UpdateUserParams,
        ),
        Route("DELETE /users/{user}", ADMIN, people.remove_user, needs="members.write"),
        Route(
            "POST /users/{user}/sign_out",
            ADMIN,
            people.sign_user_out,
            needs="members.write",
            body=NoParams,
        ),
        Route("GET /user_names", ADMIN, people.list_names, needs="names.read", query=BY_IDS),
        Route(
            "GET /invites",
            ADMIN,
            people.list_invites,
            needs="members.read",
            query=(*BY_IDS, *ORDERED, *SELECTION_QUERY, "email", "roles", "statuses"),
        ),
        Route(
            "POST /invites",
            ADMIN,
            people.create_invite,
            needs="members.write",
            body=CreateInviteParams,
        ),
        Route("GET /invites/{invite}", ADMIN, people.show_invite, needs="members.read"),
        Route("DELETE /invites/{invite}", ADMIN, people.delete_invite, needs="members.write"),
        Route(
            "POST /invites/{invite}/accept",
            ADMIN,
            people.accept_invite,
            needs="members.write",
            body=AcceptInviteParams,
        ),
        Route(
            "GET /audit_log",
            ADMIN,
            people.list_audit_entries,
            needs="audit.read",
            query=(*BY_TOKENS, *AUDIT_QUERY),
        ),
        # server.admin.workspaces
        Route(
            "GET /workspaces",
            ADMIN,
            workspaces.list_workspaces,
            needs="workspaces.read",
            query=(*BY_IDS, *ORDERED, *SELECTION_QUERY, "include_archived", "include_default"),
        ),
        Route(
            "POST /workspaces",
            ADMIN,
            workspaces.create_workspace,
            needs="workspaces.write",
            body=CreateWorkspaceParams,
        ),
        Route(
            "GET /workspaces/{workspace}", ADMIN, workspaces.show_workspace, needs="workspaces.read"
        ),
        Route(
            "POST /workspaces/{workspace}",
            ADMIN,
            workspaces.update_workspace,
            needs="workspaces.write",
            body=UpdateWorkspaceParams,
        ),
        Route(
            "POST /workspaces/{workspace}/archive",
            ADMIN,
            workspaces.archive_workspace,
            needs="workspaces.write",
            body=NoParams,
        ),
        Route(
            "GET /workspaces/{workspace}/members",
            ADMIN,
            workspaces.list_members,
            needs="workspace_members.read",
            query=(*BY_IDS, *ORDERED, *SELECTION_QUERY),
        ),
        Route(
            "POST /workspaces/{workspace}/members",
            ADMIN,
            workspaces.add_member,
            needs="workspace_members.write",
            body=AddMemberParams,
        ),
        Route(
            "GET /workspaces/{workspace}/members/{user}",
            ADMIN,
            workspaces.show_member,
            needs="workspace_members.read",
        ),
        Route(
            "POST /workspaces/{workspace}/members/{user}",
            ADMIN,
            workspaces.update_member,
            needs="workspace_members.write",
            body=UpdateMemberParams,
        ),
        Route(
            "DELETE /workspaces/{workspace}/members/{user}",
            ADMIN,
            workspaces.remove_member,
            needs="workspace_members.write",
        ),
        # server.admin.keys
        Route(
            "GET /api_keys",
            ADMIN,
            keys.list_keys,
            needs="keys.read",
            query=(*BY_IDS, *ORDERED, *SELECTION_QUERY, *KEY_QUERY),
        ),
        Route("POST /api_keys", ADMIN, keys.create_key, needs="keys.write", body=CreateKeyParams),
        Route("GET /api_keys/{key}", ADMIN, keys.show_key, needs="keys.read"),
        Route(
            "POST /api_keys/{key}", ADMIN, keys.update_key, needs="keys.write", body=UpdateKeyParams
        ),
        Route(
            "POST /api_keys/{key}/rotate",
            ADMIN,
            keys.rotate_key,
            needs="keys.write",
            body=RotateKeyParams,
        ),
        # server.admin.limits; the id of a limit contains the id of a model, which may have slashes.
        Route(
            "GET /rate_limits",
            ADMIN,
            rates.list_limits,
            needs="limits.read",
            query=(*BY_TOKENS, "group_type", "model"),
        ),
        Route(
            "POST /rate_limits/{limit:path}",
            ADMIN,
            rates.set_limits,
            needs="rate_limits.write",
            body=SetLimitsParams,
        ),
        Route(
            "GET /workspaces/{workspace}/rate_limits",
            ADMIN,
            rates.list_workspace_limits,
            needs="limits.read",
            query=(*BY_TOKENS, "group_type", "include_inherited"),
        ),
        Route(
            "POST /workspaces/{workspace}/rate_limits/{limit:path}",
            ADMIN,
            rates.set_workspace_limits,
            needs="rate_limits.write",
            body=SetLimitsParams,
        ),
        Route(
            "GET /api_keys/{key}/rate_limits",
            ADMIN,
            rates.list_key_limits,
            needs="limits.read",
            query=BY_TOKENS,
        ),
        Route(
            "POST /api_keys/{key}/rate_limits/{limit:path}",
            ADMIN,
            rates.set_key_limits,
            needs="rate_limits.write",
            body=SetLimitsParams,
        ),
        Route(
            "GET /spend_limits",
            ADMIN,
            spend.list_limits,
            needs="limits.read",
            query=(*BY_TOKENS, "scope_type", "workspace_id"),
        ),
        Route(
            "GET /spend_limits/effective",
            ADMIN,
            spend.list_limits_of_members,
            needs="spending.read",
            query=(*BY_TOKENS, "period", "user_ids"),
        ),
        Route(
            "POST /spend_limits",
            ADMIN,
            spend.create_limit,
            needs="spend_limits.write",
            body=CreateSpendLimitParams,
        ),
        Route("GET /spend_limits/{limit}", ADMIN, spend.show_limit, needs="limits.read"),
        Route(
            "POST /spend_limits/{limit}",
            ADMIN,
            spend.change_limit,
            needs="spend_limits.write",
            body=UpdateSpendLimitParams,
        ),
        Route(
            "DELETE /spend_limits/{limit}", ADMIN, spend.delete_limit, needs="spend_limits.write"
        ),
        Route(
            "GET /balances",
            ADMIN,
            spend.list_balances,
            needs="limits.read",
            query=(*BY_TOKENS, "scope"),
        ),
        *_increase_routes(platform),
        # server.admin.reports
        Route(
            "GET /usage_report/messages",
            ADMIN,
            reports.show_usage,
            needs="usage.read",
            query=USAGE_QUERY,
        ),
        Route("GET /cost_report", ADMIN, reports.show_costs, needs="cost.read", query=COST_QUERY),
        # server.admin.prompt_cache
        Route("GET /prompt_cache", ADMIN, cache.show_state, needs="cache.read"),
        Route(
            "GET /prompt_cache/entries",
            ADMIN,
            cache.list_entries,
            needs="cache.read",
            query=CACHE_ENTRY_QUERY,
        ),
        Route(
            "GET /prompt_cache/report",
            ADMIN,
            cache.show_report,
            needs="cache.read",
            query=CACHE_REPORT_QUERY,
        ),
        # server.admin.settings
        Route("GET /settings", ADMIN, settings.show_settings, needs="settings.read"),
        # server.admin.requests
        Route(
            "GET /requests",
            ADMIN,
            requests.list_requests,
            needs="requests.read",
            query=REQUEST_QUERY,
        ),
        Route("GET /requests/{request}", ADMIN, requests.explain, needs="requests.read"),
        Route("GET /running_requests", ADMIN, requests.show_running, needs="requests.read"),
        Route(
            "GET /activity", ADMIN, requests.show_activity, needs="usage.read", query=ACTIVITY_QUERY
        ),
    )


def _increase_routes(platform: Platform) -> tuple[Route, ...]:
    """Return the routes of `server.admin.increases`."""
    increases = IncreaseEndpoints(platform.administration)
    one = "/limit_increase_requests/{request}"
    return (
        Route(
            "GET /limit_increase_requests",
            ADMIN,
            increases.list_requests,
            needs="limits.read",
            query=(*BY_TOKENS, "statuses"),
        ),
        Route(
            "POST /limit_increase_requests",
            ADMIN,
            increases.ask,
            needs="limits.read",
            body=AskForIncreaseParams,
        ),
        Route(f"GET {one}", ADMIN, increases.show, needs="limits.read"),
        Route(
            f"POST {one}/grant",
            ADMIN,
            increases.grant,
            needs="limit_increases.decide",
            body=GrantIncreaseParams,
        ),
        Route(
            f"POST {one}/refuse",
            ADMIN,
            increases.refuse,
            needs="limit_increases.decide",
            body=RefuseIncreaseParams,
        ),
        Route(
            f"POST {one}/withdraw", ADMIN, increases.withdraw, needs="limits.read", body=NoParams
        ),
    )
