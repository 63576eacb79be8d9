"""Reports of usage and cost, the request log, and what a server tells of itself."""

from collections.abc import Sequence
from typing import Unpack

from antiphon.sdk.call import Call, CallOptions
from antiphon.sdk.organization.calls import Moment, listed, shown
from antiphon.sdk.organization.types import (
    ActivityReport,
    Facts,
    LoggedRequest,
    ReportBucket,
)
from antiphon.sdk.pages import PageCall


def usage_report(  # noqa: PLR0913 - the parameters of the report
    *,
    starting_at: Moment,
    ending_at: Moment | None = None,
    bucket_width: str | None = None,
    group_by: Sequence[str] | None = None,
    models: Sequence[str] | None = None,
    api_key_ids: Sequence[str] | None = None,
    workspace_ids: Sequence[str] | None = None,
    account_ids: Sequence[str] | None = None,
    service_tiers: Sequence[str] | None = None,
    context_window: Sequence[str] | None = None,
    inference_geos: Sequence[str] | None = None,
    limit: int | None = None,
    page: str | None = None,
    **options: Unpack[CallOptions],
) -> PageCall[ReportBucket]:
    """Return the tokens that were used, a bucket of time after another.

    `bucket_width` is `1m`, `1h` or `1d`; `group_by` names `model`, `api_key_id`, `workspace_id` …
    `bucket.rows()` gives flat rows.
    """
    query = {
        "starting_at": starting_at,
        "ending_at": ending_at,
        "bucket_width": bucket_width,
        "group_by": group_by,
        "models": models,
        "api_key_ids": api_key_ids,
        "workspace_ids": workspace_ids,
        "account_ids": account_ids,
        "service_tiers": service_tiers,
        "context_window": context_window,
        "inference_geos": inference_geos,
        "limit": limit,
        "page": page,
    }
    return listed(ReportBucket, "usage_report", "messages", query=query, options=options)


def cost_report(  # noqa: PLR0913 - the parameters of the report
    *,
    starting_at: Moment,
    ending_at: Moment | None = None,
    bucket_width: str | None = None,
    group_by: Sequence[str] | None = None,
    limit: int | None = None,
    page: str | None = None,
    **options: Unpack[CallOptions],
) -> PageCall[ReportBucket]:
    """Return what was paid, in cents, a day after another.

    `group_by` names `workspace_id` and `description`. `bucket.rows()` gives flat rows.
    """
    query = {
        "starting_at": starting_at,
        "ending_at": ending_at,
        "bucket_width": bucket_width,
        "group_by": group_by,
        "limit": limit,
        "page": page,
    }
    return listed(ReportBucket, "cost_report", query=query, options=options)


def show_activity(  # noqa: PLR0913 - the parameters of the report
    *,
    starting_at: Moment,
    ending_at: Moment | None = None,
    bucket_width: str | None = None,
    group_by: str | None = None,
    models: Sequence[str] | None = None,
    api_key_ids: Sequence[str] | None = None,
    workspace_ids: Sequence[str] | None = None,
    limit: int | None = None,
    page: str | None = None,
    **options: Unpack[CallOptions],
) -> Call[ActivityReport]:
    """Return requests, errors, tokens and first-token times over time. Of Antiphon alone."""
    query = {
        "starting_at": starting_at,
        "ending_at": ending_at,
        "bucket_width": bucket_width,
        "group_by": group_by,
        "models": models,
        "api_key_ids": api_key_ids,
        "workspace_ids": workspace_ids,
        "limit": limit,
        "page": page,
    }
    return shown(ActivityReport, "activity", query=query, options=options)


def list_requests(  # noqa: PLR0913 - the parameters of the list
    *,
    model: str | None = None,
    api_key_id: str | None = None,
    workspace_id: str | None = None,
    error_type: str | None = None,
    status_class: str | None = None,
    starting_at: Moment | None = None,
    ending_at: Moment | None = None,
    limit: int | None = None,
    page: str | None = None,
    **options: Unpack[CallOptions],
) -> PageCall[LoggedRequest]:
    """List the finished requests, the newest first. `status_class` is 2xx, 4xx or 5xx.

    Of Antiphon alone, as is all below.
    """
    query = {
        "model": model,
        "api_key_id": api_key_id,
        "workspace_id": workspace_id,
        "error_type": error_type,
        "status_class": status_class,
        "starting_at": starting_at,
        "ending_at": ending_at,
        "limit": limit,
        "page": page,
    }
    return listed(LoggedRequest, "requests", query=query, options=options)


def explain_request(request_id: str, **options: Unpack[CallOptions]) -> Call[LoggedRequest]:
    """Return all that is known of a request: its times, its cost, what refused it, its cache."""
    return shown(LoggedRequest, "requests", request_id, options=options)


def show_running_requests(**options: Unpack[CallOptions]) -> Call[Facts]:
    """Return the requests that run now, and the queues of models."""
    return shown(Facts, "running_requests", options=options)


def show_models(**options: Unpack[CallOptions]) -> Call[Facts]:
    """Return the served models and their engines, as they are now."""
    return shown(Facts, "models", options=options)


def show_settings(**options: Unpack[CallOptions]) -> Call[Facts]:
    """Return how the server is set, without secrets."""
    return shown(Facts, "settings", options=options)


def show_file_storage(
    *, workspace_id: str | None = None, **options: Unpack[CallOptions]
) -> Call[Facts]:
    """Return how much the uploaded files take."""
    return shown(Facts, "file_storage", query={"workspace_id": workspace_id}, options=options)


def show_prompt_cache(**options: Unpack[CallOptions]) -> Call[Facts]:
    """Return the state of the prompt cache."""
    return shown(Facts, "prompt_cache", options=options)


def list_cache_entries(
    *,
    model: str | None = None,
    workspace_id: str | None = None,
    limit: int | None = None,
    page: str | None = None,
    **options: Unpack[CallOptions],
) -> PageCall[Facts]:
    """List the entries of the prompt cache."""
    query = {"model": model, "workspace_id": workspace_id, "limit": limit, "page": page}
    return listed(Facts, "prompt_cache", "entries", query=query, options=options)


def cache_report(  # noqa: PLR0913 - the parameters of the report
    *,
    starting_at: Moment,
    ending_at: Moment | None = None,
    bucket_width: str | None = None,
    group_by: Sequence[str] | None = None,
    models: Sequence[str] | None = None,
    workspace_ids: Sequence[str] | None = None,
    limit: int | None = None,
    page: str | None = None,
    **options: Unpack[CallOptions],
) -> PageCall[ReportBucket]:
    """Return what the prompt cache has saved, a bucket of time after another."""
    query = {
        "starting_at": starting_at,
        "ending_at": ending_at,
        "bucket_width": bucket_width,
        "group_by": group_by,
        "models": models,
        "workspace_ids": workspace_ids,
        "limit": limit,
        "page": page,
    }
    return listed(ReportBucket, "prompt_cache", "report", query=query, options=options)
