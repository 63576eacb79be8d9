"""API keys, rate limits and spend limits."""

from collections.abc import Mapping, Sequence
from typing import Any, Unpack

from antiphon.sdk.call import Call, CallOptions, idempotent
from antiphon.sdk.organization.calls import listed, removed, sent, shown
from antiphon.sdk.organization.types import (
    APIKey,
    Balance,
    EffectiveSpendLimit,
    IncreaseRequest,
    RateLimit,
    RateLimitLevel,
    Removed,
    SpendLimit,
)
from antiphon.sdk.pages import PageCall


def list_keys(  # noqa: PLR0913 - the parameters of the list
    *,
    status: str | None = None,
    workspace_id: str | None = None,
    created_by_user_id: str | None = None,
    limit: int | None = None,
    after_id: str | None = None,
    before_id: str | None = None,
    **options: Unpack[CallOptions],
) -> PageCall[APIKey]:
    """List the keys, without their secrets."""
    query = {
        "status": status,
        "workspace_id": workspace_id,
        "created_by_user_id": created_by_user_id,
        "limit": limit,
        "after_id": after_id,
        "before_id": before_id,
    }
    return listed(APIKey, "api_keys", query=query, options=options)


def create_key(
    *,
    name: str,
    scope: Mapping[str, Any] | None = None,
    expires_in_seconds: int | None = None,
    created_by_user_id: str | None = None,
    idempotency_key: str | None = None,
    **options: Unpack[CallOptions],
) -> Call[APIKey]:
    """Make a key; its `secret` is in this answer alone. Of Antiphon: the hosted API makes none.

    `scope` is `{"type": "workspace", "workspace_id": …}` or `{"type": "organization"}`. A call that
    is repeated makes one key; so do several within a day that have the same `idempotency_key`.
    """
    body = {
        "name": name,
        "scope": scope,
        "expires_in_seconds": expires_in_seconds,
        "created_by_user_id": created_by_user_id,
    }
    headers = idempotent(idempotency_key)
    return sent(APIKey, "api_keys", body=body, headers=headers, options=options)


def show_key(api_key_id: str, **options: Unpack[CallOptions]) -> Call[APIKey]:
    """Return a key without its secret."""
    return shown(APIKey, "api_keys", api_key_id, options=options)


def update_key(
    api_key_id: str,
    *,
    name: str | None = None,
    status: str | None = None,
    **options: Unpack[CallOptions],
) -> Call[APIKey]:
    """Rename a key, or make it `active`, `inactive` or `archived`."""
    body = {"name": name, "status": status}
    return sent(APIKey, "api_keys", api_key_id, body=body, options=options)


def archive_key(api_key_id: str, **options: Unpack[CallOptions]) -> Call[APIKey]:
    """End a key for ever."""
    return update_key(api_key_id, status="archived", **options)


def rotate_key(
    api_key_id: str,
    *,
    grace_period_seconds: int | None = None,
    idempotency_key: str | None = None,
    **options: Unpack[CallOptions],
) -> Call[APIKey]:
    """Give a key another secret, which is in this answer alone. Of Antiphon alone.

    The secrets of before hold for the grace period, a day if none is said; 0 ends them now. A call
    that is repeated rotates once, as do several within a day with the same `idempotency_key`.
    """
    steps = ("api_keys", api_key_id, "rotate")
    body = {"grace_period_seconds": grace_period_seconds}
    return sent(APIKey, *steps, body=body, headers=idempotent(idempotency_key), options=options)


def list_rate_limits(
    *,
    group_type: str | None = None,
    model: str | None = None,
    limit: int | None = None,
    page: str | None = None,
    **options: Unpack[CallOptions],
) -> PageCall[RateLimit]:
    """List the rate limits of the organization."""
    query = {"group_type": group_type, "model": model, "limit": limit, "page": page}
    return listed(RateLimit, "rate_limits", query=query, options=options)


def update_rate_limit(
    rate_limit_id: str, *, limits: Sequence[Mapping[str, Any]], **options: Unpack[CallOptions]
) -> Call[RateLimit]:
    """Set limits of the organization: `{"type": …, "value": …}`; `None` clears one. Of Antiphon."""
    body = {"limits": list(limits)}
    return sent(RateLimit, "rate_limits", rate_limit_id, body=body, options=options)


def list_rate_limit_levels(
    *,
    scope: str | None = None,
    limit: int | None = None,
    page: str | None = None,
    **options: Unpack[CallOptions],
) -> PageCall[RateLimitLevel]:
    """List how much of each rate limit is used now. Of Antiphon alone."""
    query = {"scope": scope, "limit": limit, "page": page}
    return listed(RateLimitLevel, "rate_limit_levels", query=query, options=options)


def list_workspace_rate_limits(
    workspace_id: str,
    *,
    group_type: str | None = None,
    include_inherited: bool | None = None,
    limit: int | None = None,
    page: str | None = None,
    **options: Unpack[CallOptions],
) -> PageCall[RateLimit]:
    """List the rate limits of a workspace."""
    query = {
        "group_type": group_type,
        "include_inherited": include_inherited,
        "limit": limit,
        "page": page,
    }
    steps = ("workspaces", workspace_id, "rate_limits")
    return listed(RateLimit, *steps, query=query, options=options)


def update_workspace_rate_limit(
    rate_limit_id: str,
    *,
    workspace_id: str,
    limits: Sequence[Mapping[str, Any]],
    **options: Unpack[CallOptions],
) -> Call[RateLimit]:
    """Set limits of a workspace: `{"type": …, "value": …}`; `None` clears one."""
    steps = ("workspaces", workspace_id, "rate_limits", rate_limit_id)
    return sent(RateLimit, *steps, body={"limits": list(limits)}, options=options)


def list_key_rate_limits(
    api_key_id: str,
    *,
    limit: int | None = None,
    page: str | None = None,
    **options: Unpack[CallOptions],
) -> PageCall[RateLimit]:
    """List the rate limits of a key. Of Antiphon alone."""
    query = {"limit": limit, "page": page}
    return listed(RateLimit, "api_keys", api_key_id, "rate_limits", query=query, options=options)


def update_key_rate_limit(
    rate_limit_id: str,
    *,
    api_key_id: str,
    limits: Sequence[Mapping[str, Any]],
    **options: Unpack[CallOptions],
) -> Call[RateLimit]:
    """Set limits of a key: `{"type": …, "value": …}`; `None` clears one. Of Antiphon alone."""
    steps = ("api_keys", api_key_id, "rate_limits", rate_limit_id)
    return sent(RateLimit, *steps, body={"limits": list(limits)}, options=options)


def list_spend_limits(
    *,
    scope_type: str | None = None,
    workspace_id: str | None = None,
    limit: int | None = None,
    page: str | None = None,
    **options: Unpack[CallOptions],
) -> PageCall[SpendLimit]:
    """List the spend limits."""
    query = {
        "scope_type": scope_type,
        "workspace_id": workspace_id,
        "limit": limit,
        "page": page,
    }
    return listed(SpendLimit, "spend_limits", query=query, options=options)


def create_spend_limit(
    *,
    scope: Mapping[str, Any],
    amount: str,
    period: str | None = None,
    **options: Unpack[CallOptions],
) -> Call[SpendLimit]:
    """Set a spend limit, in cents. It replaces one of the same scope and period."""
    body = {"scope": scope, "amount": amount, "period": period}
    return sent(SpendLimit, "spend_limits", body=body, options=options)


def show_spend_limit(spend_limit_id: str, **options: Unpack[CallOptions]) -> Call[SpendLimit]:
    """Return a spend limit."""
    return shown(SpendLimit, "spend_limits", spend_limit_id, options=options)


def update_spend_limit(
    spend_limit_id: str, *, amount: str, **options: Unpack[CallOptions]
) -> Call[SpendLimit]:
    """Give a spend limit another amount, in cents."""
    return sent(
        SpendLimit, "spend_limits", spend_limit_id, body={"amount": amount}, options=options
    )


def delete_spend_limit(spend_limit_id: str, **options: Unpack[CallOptions]) -> Call[Removed]:
    """Remove a spend limit."""
    return removed(Removed, "spend_limits", spend_limit_id, options=options)


def list_effective_spend_limits(
    *,
    period: str | None = None,
    user_ids: Sequence[str] | None = None,
    limit: int | None = None,
    page: str | None = None,
    **options: Unpack[CallOptions],
) -> PageCall[EffectiveSpendLimit]:
    """List the limits that apply to members, and what they have spent."""
    query = {"period": period, "user_ids": user_ids, "limit": limit, "page": page}
    return listed(EffectiveSpendLimit, "spend_limits", "effective", query=query, options=options)


def list_balances(
    *,
    scope: str | None = None,
    used: bool | None = None,
    limit: int | None = None,
    page: str | None = None,
    **options: Unpack[CallOptions],
) -> PageCall[Balance]:
    """List what each scope has spent in its present period. Of Antiphon alone."""
    query = {"scope": scope, "used": used, "limit": limit, "page": page}
    return listed(Balance, "balances", query=query, options=options)


def list_increase_requests(
    *,
    statuses: Sequence[str] | None = None,
    limit: int | None = None,
    page: str | None = None,
    **options: Unpack[CallOptions],
) -> PageCall[IncreaseRequest]:
    """List the requests for higher limits. Of Antiphon alone, as are the others below."""
    query = {"statuses": statuses, "limit": limit, "page": page}
    return listed(IncreaseRequest, "limit_increase_requests", query=query, options=options)


def ask_for_increase(
    *,
    limit: Mapping[str, Any],
    requested: str | int,
    reason: str,
    **options: Unpack[CallOptions],
) -> Call[IncreaseRequest]:
    """Ask for a higher limit: a number a minute, or cents as a string."""
    body = {"limit": limit, "requested": requested, "reason": reason}
    return sent(IncreaseRequest, "limit_increase_requests", body=body, options=options)


def show_increase_request(request_id: str, **options: Unpack[CallOptions]) -> Call[IncreaseRequest]:
    """Return a request for a higher limit."""
    return shown(IncreaseRequest, "limit_increase_requests", request_id, options=options)


def grant_increase(
    request_id: str,
    *,
    granted: str | int | None = None,
    answer: str | None = None,
    **options: Unpack[CallOptions],
) -> Call[IncreaseRequest]:
    """Grant a request: what was asked for, or another amount."""
    steps = ("limit_increase_requests", request_id, "grant")
    body = {"granted": granted, "answer": answer}
    return sent(IncreaseRequest, *steps, body=body, options=options)


def refuse_increase(
    request_id: str, *, answer: str, **options: Unpack[CallOptions]
) -> Call[IncreaseRequest]:
    """Refuse a request, and say why."""
    steps = ("limit_increase_requests", request_id, "refuse")
    return sent(IncreaseRequest, *steps, body={"answer": answer}, options=options)


def withdraw_increase(request_id: str, **options: Unpack[CallOptions]) -> Call[IncreaseRequest]:
    """Take a request back."""
    steps = ("limit_increase_requests", request_id, "withdraw")
    return sent(IncreaseRequest, *steps, options=options)
