"""`client.organization`: the tree of the operations."""

from functools import cached_property

from antiphon.sdk.endpoint import Endpoint, Resource
from antiphon.sdk.organization.keys import (
    archive_key,
    ask_for_increase,
    create_key,
    create_spend_limit,
    delete_spend_limit,
    grant_increase,
    list_balances,
    list_effective_spend_limits,
    list_increase_requests,
    list_key_rate_limits,
    list_keys,
    list_rate_limit_levels,
    list_rate_limits,
    list_spend_limits,
    list_workspace_rate_limits,
    refuse_increase,
    rotate_key,
    show_increase_request,
    show_key,
    show_spend_limit,
    update_key,
    update_key_rate_limit,
    update_rate_limit,
    update_spend_limit,
    update_workspace_rate_limit,
    withdraw_increase,
)
from antiphon.sdk.organization.people import (
    accept_invite,
    add_member,
    archive_workspace,
    create_invite,
    create_workspace,
    delete_invite,
    list_audit_entries,
    list_invites,
    list_members,
    list_user_names,
    list_users,
    list_workspaces,
    remove_member,
    remove_user,
    show_invite,
    show_member,
    show_organization,
    show_user,
    show_workspace,
    sign_user_out,
    update_member,
    update_user,
    update_workspace,
)
from antiphon.sdk.organization.reports import (
    cache_report,
    cost_report,
    explain_request,
    list_cache_entries,
    list_requests,
    show_activity,
    show_file_storage,
    show_models,
    show_prompt_cache,
    show_running_requests,
    show_settings,
    usage_report,
)
from antiphon.sdk.pages import PageEndpoint


class Users(Resource):
    """`client.organization.users`."""

    list = PageEndpoint(list_users)
    retrieve = Endpoint(show_user)
    update = Endpoint(update_user)
    remove = Endpoint(remove_user)
    sign_out = Endpoint(sign_user_out)
    names = PageEndpoint(list_user_names)


class Invites(Resource):
    """`client.organization.invites`."""

    list = PageEndpoint(list_invites)
    create = Endpoint(create_invite)
    retrieve = Endpoint(show_invite)
    delete = Endpoint(delete_invite)
    accept = Endpoint(accept_invite)


class Members(Resource):
    """`client.organization.workspaces.members`."""

    list = PageEndpoint(list_members)
    add = Endpoint(add_member)
    retrieve = Endpoint(show_member)
    update = Endpoint(update_member)
    remove = Endpoint(remove_member)


class WorkspaceRateLimits(Resource):
    """`client.organization.workspaces.rate_limits`."""

    list = PageEndpoint(list_workspace_rate_limits)
    update = Endpoint(update_workspace_rate_limit)


class Workspaces(Resource):
    """`client.organization.workspaces`."""

    list = PageEndpoint(list_workspaces)
    create = Endpoint(create_workspace)
    retrieve = Endpoint(show_workspace)
    update = Endpoint(update_workspace)
    archive = Endpoint(archive_workspace)

    @cached_property
    def members(self) -> Members:
        return Members(self._client)

    @cached_property
    def rate_limits(self) -> WorkspaceRateLimits:
        return WorkspaceRateLimits(self._client)


class KeyRateLimits(Resource):
    """`client.organization.api_keys.rate_limits`."""

    list = PageEndpoint(list_key_rate_limits)
    update = Endpoint(update_key_rate_limit)


class APIKeys(Resource):
    """`client.organization.api_keys`."""

    list = PageEndpoint(list_keys)
    create = Endpoint(create_key)
    retrieve = Endpoint(show_key)
    update = Endpoint(update_key)
    archive = Endpoint(archive_key)
    rotate = Endpoint(rotate_key)

    @cached_property
    def rate_limits(self) -> KeyRateLimits:
        return KeyRateLimits(self._client)


class RateLimits(Resource):
    """`client.organization.rate_limits`."""

    list = PageEndpoint(list_rate_limits)
    update = Endpoint(update_rate_limit)
    levels = PageEndpoint(list_rate_limit_levels)


class EffectiveSpendLimits(Resource):
    """`client.organization.spend_limits.effective`."""

    list = PageEndpoint(list_effective_spend_limits)


class SpendLimits(Resource):
    """`client.organization.spend_limits`."""

    list = PageEndpoint(list_spend_limits)
    create = Endpoint(create_spend_limit)
    retrieve = Endpoint(show_spend_limit)
    update = Endpoint(update_spend_limit)
    delete = Endpoint(delete_spend_limit)
    balances = PageEndpoint(list_balances)

    @cached_property
    def effective(self) -> EffectiveSpendLimits:
        return EffectiveSpendLimits(self._client)


class IncreaseRequests(Resource):
    """`client.organization.limit_increase_requests`."""

    list = PageEndpoint(list_increase_requests)
    create = Endpoint(ask_for_increase)
    retrieve = Endpoint(show_increase_request)
    grant = Endpoint(grant_increase)
    refuse = Endpoint(refuse_increase)
    withdraw = Endpoint(withdraw_increase)


class Requests(Resource):
    """`client.organization.requests`."""

    list = PageEndpoint(list_requests)
    retrieve = Endpoint(explain_request)
    running = Endpoint(show_running_requests)


class PromptCache(Resource):
    """`client.organization.prompt_cache`."""

    retrieve = Endpoint(show_prompt_cache)
    entries = PageEndpoint(list_cache_entries)
    report = PageEndpoint(cache_report)


class Organization(Resource):
    """`client.organization`."""

    retrieve = Endpoint(show_organization)
    audit_log = PageEndpoint(list_audit_entries)
    usage_report = PageEndpoint(usage_report)
    cost_report = PageEndpoint(cost_report)
    activity = Endpoint(show_activity)
    models = Endpoint(show_models)
    settings = Endpoint(show_settings)
    file_storage = Endpoint(show_file_storage)

    @cached_property
    def users(self) -> Users:
        return Users(self._client)

    @cached_property
    def invites(self) -> Invites:
        return Invites(self._client)

    @cached_property
    def workspaces(self) -> Workspaces:
        return Workspaces(self._client)

    @cached_property
    def api_keys(self) -> APIKeys:
        return APIKeys(self._client)

    @cached_property
    def rate_limits(self) -> RateLimits:
        return RateLimits(self._client)

    @cached_property
    def spend_limits(self) -> SpendLimits:
        return SpendLimits(self._client)

    @cached_property
    def limit_increase_requests(self) -> IncreaseRequests:
        return IncreaseRequests(self._client)

    @cached_property
    def requests(self) -> Requests:
        return Requests(self._client)

    @cached_property
    def prompt_cache(self) -> PromptCache:
        return PromptCache(self._client)
