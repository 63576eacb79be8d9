"""The part of the route table that is the Admin API, in the order of `server.admin`."""

from typing import Final

from antiphon.server.admin.buckets import BucketReader
from antiphon.server.admin.files import FILE_STORAGE_QUERY, FileStorageEndpoints
from antiphon.server.admin.increases import IncreaseEndpoints
from antiphon.server.admin.keys import KEY_QUERY, KeyEndpoints
from antiphon.server.admin.limits import RateLimitEndpoints, SpendLimitEndpoints
from antiphon.server.admin.models import ModelStateEndpoints
from antiphon.server.admin.people import AUDIT_QUERY, NAMES_QUERY, PeopleEndpoints
from antiphon.server.admin.prompt_cache import (
    CACHE_ENTRY_QUERY,
    CACHE_REPORT_QUERY,
    PromptCacheEndpoints,
)
from antiphon.server.admin.reports import COST_QUERY, USAGE_QUERY, ReportEndpoints
from antiphon.server.admin.requests import ACTIVITY_QUERY, REQUEST_QUERY, RequestEndpoints
from antiphon.server.admin.settings import SettingEndpoints
from antiphon.server.admin.workspaces import WorkspaceEndpoints
from antiphon.server.http.queries import BY_IDS, BY_TOKENS, ORDERED
from antiphon.server.http.routing import Route
from antiphon.server.http.selections import SELECTION_QUERY
from antiphon.service.platform import Platform
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

ADMIN: Final = KeyKind.ADMIN


def admin_routes(platform: Platform) -> tuple[Route, ...]:
    """Return the routes of the Admin API, by their paths below `/v1/organizations`."""
    administration = platform.administration
    buckets = BucketReader(platform.now)
    return (
        *_of_people(PeopleEndpoints(administration, platform.settings.console)),
        *_of_workspaces(WorkspaceEndpoints(administration)),
        *_of_keys(KeyEndpoints(administration)),
        *_of_rate_limits(RateLimitEndpoints(administration)),
        *_of_spend_limits(SpendLimitEndpoints(administration)),
        *_of_increases(IncreaseEndpoints(administration)),
        *_of_reports(ReportEndpoints(platform.reports, buckets)),
        *_of_prompt_cache(PromptCacheEndpoints(platform.prompt_cache, buckets)),
        *_of_files(FileStorageEndpoints(platform.file_storage)),
        *_of_models(ModelStateEndpoints(platform.model_states)),
        *_of_settings(SettingEndpoints(platform.server_settings)),
        *_of_requests(
            RequestEndpoints(platform.requests, platform.activity, platform.running, buckets)
        ),
    )


def _of_people(people: PeopleEndpoints) -> tuple[Route, ...]:
    """Return the routes of people, of the organization and of its audit log."""
    return (
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
        Route(
            "GET /user_names",
            ADMIN,
            people.list_names,
            needs="names.read",
            query=(*BY_IDS, *NAMES_QUERY),
        ),
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
    )


def _of_workspaces(workspaces: WorkspaceEndpoints) -> tuple[Route, ...]:
    """Return the routes of workspaces and their members."""
    return (
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
    )


def _of_keys(keys: KeyEndpoints) -> tuple[Route, ...]:
    """Return the routes of keys."""
    return (
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
    )


def _of_rate_limits(rates: RateLimitEndpoints) -> tuple[Route, ...]:
    """Return the routes of rate limits. Ids of limits have those of models, maybe with slashes."""
    return (
        Route(
            "GET /rate_limits",
            ADMIN,
            rates.list_limits,
            needs="limits.read",
            query=(*BY_TOKENS, "group_type", "model"),
        ),
        Route(
            "GET /rate_limit_levels",
            ADMIN,
            rates.list_levels,
            needs="limits.read",
            query=(*BY_TOKENS, "scope"),
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
    )


def _of_spend_limits(spend: SpendLimitEndpoints) -> tuple[Route, ...]:
    """Return the routes of spend limits, and of what is spent."""
    return (
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
            query=(*BY_TOKENS, "scope", "used"),
        ),
    )


def _of_increases(increases: IncreaseEndpoints) -> tuple[Route, ...]:
    """Return the routes of increase requests."""
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


def _of_reports(reports: ReportEndpoints) -> tuple[Route, ...]:
    """Return the routes of usage and cost."""
    return (
        Route(
            "GET /usage_report/messages",
            ADMIN,
            reports.show_usage,
            needs="usage.read",
            query=USAGE_QUERY,
        ),
        Route("GET /cost_report", ADMIN, reports.show_costs, needs="cost.read", query=COST_QUERY),
    )


def _of_prompt_cache(cache: PromptCacheEndpoints) -> tuple[Route, ...]:
    """Return the routes of the prompt cache."""
    return (
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
    )


def _of_files(files: FileStorageEndpoints) -> tuple[Route, ...]:
    """Return the route of the storage of uploaded files."""
    return (
        Route(
            "GET /file_storage",
            ADMIN,
            files.show_storage,
            needs="files.use",
            query=FILE_STORAGE_QUERY,
        ),
    )


def _of_models(models: ModelStateEndpoints) -> tuple[Route, ...]:
    """Return the route of models and their engines."""
    return (Route("GET /models", ADMIN, models.show_states, needs="models.read"),)


def _of_settings(settings: SettingEndpoints) -> tuple[Route, ...]:
    """Return the route of settings."""
    return (Route("GET /settings", ADMIN, settings.show_settings, needs="settings.read"),)


def _of_requests(requests: RequestEndpoints) -> tuple[Route, ...]:
    """Return the routes of requests and their activity."""
    return (
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
