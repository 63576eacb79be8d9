"""What the route table does not say of a request or an answer, for `server.openapi`.

A handler's annotation is the shape of its answer. Listed here are the items of listings, answers
that are written in parts, and bodies that are read by the handlers themselves.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

from antiphon.wire.admin.increases import IncreaseInfo
from antiphon.wire.admin.keys import KeyInfo
from antiphon.wire.admin.limits import (
    BalanceInfo,
    KeyRateLimitInfo,
    RateLevelInfo,
    RateLimitInfo,
    SpendLimitInfo,
    SpendSummary,
    WorkspaceRateLimitInfo,
)
from antiphon.wire.admin.organizations import (
    AuditInfo,
    InviteInfo,
    MemberInfo,
    NoParams,
    UserInfo,
    UserName,
    WorkspaceInfo,
)
from antiphon.wire.admin.prompt_cache import CacheEntryInfo
from antiphon.wire.admin.requests import RequestInfo
from antiphon.wire.batches import CreateBatchParams, ResultLine
from antiphon.wire.console import (
    AcceptByLinkParams,
    ChangePasswordParams,
    LinkIdentityParams,
    OidcAnswerParams,
    SetUpParams,
    SignInByLinkParams,
    SignInParams,
)
from antiphon.wire.events import StreamEvent
from antiphon.wire.files import FileMetadata, FilePage
from antiphon.wire.messages import Message, TokenCount

_ADMIN: Final = "/v1/organizations"
_CONSOLE: Final = "/v1/console"

ITEMS: Final[Mapping[str, Any]] = MappingProxyType(
    {
        f"GET {_ADMIN}/users": UserInfo,
        f"GET {_ADMIN}/user_names": UserName,
        f"GET {_ADMIN}/invites": InviteInfo,
        f"GET {_ADMIN}/audit_log": AuditInfo,
        f"GET {_ADMIN}/workspaces": WorkspaceInfo,
        f"GET {_ADMIN}/workspaces/{{workspace}}/members": MemberInfo,
        f"GET {_ADMIN}/api_keys": KeyInfo,
        f"GET {_ADMIN}/rate_limits": RateLimitInfo,
        f"GET {_ADMIN}/rate_limit_levels": RateLevelInfo,
        f"GET {_ADMIN}/workspaces/{{workspace}}/rate_limits": WorkspaceRateLimitInfo,
        f"GET {_ADMIN}/api_keys/{{key}}/rate_limits": KeyRateLimitInfo,
        f"GET {_ADMIN}/spend_limits": SpendLimitInfo,
        f"GET {_ADMIN}/spend_limits/effective": SpendSummary,
        f"GET {_ADMIN}/balances": BalanceInfo,
        f"GET {_ADMIN}/limit_increase_requests": IncreaseInfo,
        f"GET {_ADMIN}/prompt_cache/entries": CacheEntryInfo,
        f"GET {_ADMIN}/requests": RequestInfo,
    }
)
"""The items of each listing."""

WRITTEN: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "POST /v1/messages": {"application/json": Message, "text/event-stream": StreamEvent},
        "POST /v1/messages/count_tokens": {"application/json": TokenCount},
        "GET /v1/messages/batches/{batch_id}/results": {"application/x-jsonl": ResultLine},
        # The shapes of today; a client that names the beta gets those of `wire.files` for it.
        "POST /v1/files": {"application/json": FileMetadata},
        "GET /v1/files": {"application/json": FilePage},
        "GET /v1/files/{file_id}": {"application/json": FileMetadata},
        "GET /v1/files/{file_id}/content": {"application/octet-stream": bytes},
        "GET /console": {"text/html": str},
        "GET /console/{path}": {"text/html": str},
        "GET /api/hello": {"application/json": dict[str, str]},
        "GET /health": {"application/json": dict[str, str]},
        "GET /ready": {"application/json": dict[str, Any]},
        "GET /openapi.json": {"application/json": dict[str, Any]},
    }
)
"""Answers by their media types. Of a stream and of lines it is the shape of each event or line."""


class UploadParams(msgspec.Struct, kw_only=True, frozen=True):
    """The form of an upload; the file has a name and a media type of its own."""

    file: bytes
    expires_in_seconds: int | msgspec.UnsetType = msgspec.UNSET


BODIES: Final[Mapping[str, tuple[str, Any]]] = MappingProxyType(
    {
        "POST /v1/messages/batches": ("application/json", CreateBatchParams),
        "POST /v1/files": ("multipart/form-data", UploadParams),
        **{
            f"POST {_CONSOLE}/{path}": ("application/json", kind)
            for path, kind in (
                ("setup", SetUpParams),
                ("session", SignInParams),
                ("session/link", SignInByLinkParams),
                ("sign_out_everywhere", NoParams),
                ("password", ChangePasswordParams),
                ("invites/accept", AcceptByLinkParams),
                ("oidc", NoParams),
                ("oidc/session", OidcAnswerParams),
                ("identity", OidcAnswerParams),
                ("identity/request", LinkIdentityParams),
            )
        },
    }
)
"""Bodies that no row of the table has: they are read as they arrive, or without a key."""

LISTS: Final = frozenset(
    {
        "account_ids",
        "api_key_ids",
        "context_window",
        "group_by",
        "ids",
        "inference_geos",
        "models",
        "period",
        "roles",
        "scope_type",
        "service_account_ids",
        "service_tiers",
        "speeds",
        "statuses",
        "user_ids",
        "workspace_ids",
    }
)
"""The parameters of queries that may be repeated, as `name[]`."""
