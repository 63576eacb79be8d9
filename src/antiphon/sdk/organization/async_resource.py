"""`client.organization` of an async client: the tree of the operations."""

from functools import cached_property

from antiphon.sdk.endpoint import AsyncEndpoint, AsyncResource
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
from antiphon.sdk.pages import AsyncPageEndpoint


class AsyncUsers(AsyncResource):
    """`client.organization.users`."""

    list = AsyncPageEndpoint(list_users)
    retrieve = AsyncEndpoint(show_user)
    update = AsyncEndpoint(update_user)
    remove = AsyncEndpoint(remove_user)
    sign_out = AsyncEndpoint(sign_user_out)
    names = AsyncPageEndpoint(list_user_names)


class AsyncInvites(AsyncResource):
    """`client.organization.invites`."""

    list = AsyncPageEndpoint(list_invites)
    create = AsyncEndpoint(create_invite)
    retrieve = AsyncEndpoint(show_invite)
    delete = AsyncEndpoint(delete_invite)
    accept = AsyncEndpoint(accept_invite)


class AsyncMembers(AsyncResource):
    """`client.organization.workspaces.members`."""

    list = AsyncPageEndpoint(list_members)
    add = AsyncEndpoint(add_member)
    retrieve = AsyncEndpoint(show_member)
    update = AsyncEndpoint(update_member)
    remove = AsyncEndpoint(remove_member)


class AsyncWorkspaceRateLimits(AsyncResource):
    """`client.organization.workspaces.rate_limits`."""

    list = AsyncPageEndpoint(list_workspace_rate_limits)
    update = AsyncEndpoint(update_workspace_rate_limit)


class AsyncWorkspaces(AsyncResource):
    """`client.organization.workspaces`."""

    list = AsyncPageEndpoint(list_workspaces)
    create = AsyncEndpoint(create_workspace)
    retrieve = AsyncEndpoint(show_workspace)
    update = AsyncEndpoint(update_workspace)
    archive = AsyncEndpoint(archive_workspace)

    @cached_property
    def members(self) -> AsyncMembers:
        return AsyncMembers(self._client)

    @cached_property
    def rate_limits(self) -> AsyncWorkspaceRateLimits:
        return AsyncWorkspaceRateLimits(self._client)


class AsyncKeyRateLimits(AsyncResource):
    """`client.organization.api_keys.rate_limits`."""

    list = AsyncPageEndpoint(list_key_rate_limits)
    update = AsyncEndpoint(update_key_rate_limit)


class AsyncAPIKeys(AsyncResource):
    """`client.organization.api_keys`."""

    list = AsyncPageEndpoint(list_keys)
    create = AsyncEndpoint(create_key)
    retrieve = AsyncEndpoint(show_key)
    update = AsyncEndpoint(update_key)
    archive = AsyncEndpoint(archive_key)
    rotate = AsyncEndpoint(rotate_key)

    @cached_property
    def rate_limits(self) -> AsyncKeyRateLimits:
        return AsyncKeyRateLimits(self._client)


class AsyncRateLimits(AsyncResource):
    """`client.organization.rate_limits`."""

    list = AsyncPageEndpoint(list_rate_limits)
    update = AsyncEndpoint(update_rate_limit)
    levels = AsyncPageEndpoint(list_rate_limit_levels)


class AsyncEffectiveSpendLimits(AsyncResource):
    """`client.organization.spend_limits.effective`."""

    list = AsyncPageEndpoint(list_effective_spend_limits)


class AsyncSpendLimits(AsyncResource):
    """`client.organization.spend_limits`."""

    list = AsyncPageEndpoint(list_spend_limits)
    create = AsyncEndpoint(create_spend_limit)
    retrieve = AsyncEndpoint(show_spend_limit)
    update = AsyncEndpoint(update_spend_limit)
    delete = AsyncEndpoint(delete_spend_limit)
    balances = AsyncPageEndpoint(list_balances)

    @cached_property
    def effective(self) -> AsyncEffectiveSpendLimits:
        return AsyncEffectiveSpendLimits(self._client)


class AsyncIncreaseRequests(AsyncResource):
    """`client.organization.limit_increase_requests`."""

    list = AsyncPageEndpoint(list_increase_requests)
    create = AsyncEndpoint(ask_for_increase)
    retrieve = AsyncEndpoint(show_increase_request)
    grant = AsyncEndpoint(grant_increase)
    refuse = AsyncEndpoint(refuse_increase)
    withdraw = AsyncEndpoint(withdraw_increase)


class AsyncRequests(AsyncResource):
    """`client.organization.requests`."""

    list = AsyncPageEndpoint(list_requests)
    retrieve = AsyncEndpoint(explain_request)
    running = AsyncEndpoint(show_running_requests)


class AsyncPromptCache(AsyncResource):
    """`client.organization.prompt_cache`."""

    retrieve = AsyncEndpoint(show_prompt_cache)
    entries = AsyncPageEndpoint(list_cache_entries)
    report = AsyncPageEndpoint(cache_report)


class AsyncOrganization(AsyncResource):
    """`client.organization`."""

    retrieve = AsyncEndpoint(show_organization)
    audit_log = AsyncPageEndpoint(list_audit_entries)
    usage_report = AsyncPageEndpoint(usage_report)
    cost_report = AsyncPageEndpoint(cost_report)
    activity = AsyncEndpoint(show_activity)
    models = AsyncEndpoint(show_models)
    settings = AsyncEndpoint(show_settings)
    file_storage = AsyncEndpoint(show_file_storage)

    @cached_property
    def users(self) -> AsyncUsers:
        return AsyncUsers(self._client)

    @cached_property
    def invites(self) -> AsyncInvites:
        return AsyncInvites(self._client)

    @cached_property
    def workspaces(self) -> AsyncWorkspaces:
        return AsyncWorkspaces(self._client)

    @cached_property
    def api_keys(self) -> AsyncAPIKeys:
        return AsyncAPIKeys(self._client)

    @cached_property
    def rate_limits(self) -> AsyncRateLimits:
        return AsyncRateLimits(self._client)

    @cached_property
    def spend_limits(self) -> AsyncSpendLimits:
        return AsyncSpendLimits(self._client)

    @cached_property
    def limit_increase_requests(self) -> AsyncIncreaseRequests:
        return AsyncIncreaseRequests(self._client)

    @cached_property
    def requests(self) -> AsyncRequests:
        return AsyncRequests(self._client)

    @cached_property
    def prompt_cache(self) -> AsyncPromptCache:
        return AsyncPromptCache(self._client)
