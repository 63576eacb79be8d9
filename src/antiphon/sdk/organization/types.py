"""What the Admin API answers. Words that a newer server may add are plain strings here."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from antiphon.sdk.types.base import Answered


class Secretive(Answered, kw_only=True, frozen=True):
    """An answer with secrets. Its texts, also those of `rich`, show some of its other fields."""

    in_texts: ClassVar[tuple[str, ...]] = ("id",)

    def __repr__(self) -> str:
        shown = [f"{name}={value!r}" for name, value in self.__rich_repr__()]
        return f"{type(self).__name__}({', '.join(shown)})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [(name, getattr(self, name)) for name in self.in_texts]


class Organization(Answered, kw_only=True, frozen=True):
    """The organization that the key belongs to."""

    id: str
    type: str = "organization"
    name: str = ""


class User(Answered, kw_only=True, frozen=True):
    """A user. `role` is `user`, `developer`, `billing`, `managed`, `admin` or another one."""

    id: str
    type: str = "user"
    email: str = ""
    name: str = ""
    role: str = ""
    added_at: str = ""


class UserName(Answered, kw_only=True, frozen=True):
    """The name of a user, without the address. Of Antiphon alone."""

    id: str
    type: str = "user_name"
    name: str = ""


class SignedOut(Answered, kw_only=True, frozen=True):
    """How many sessions of a user in the Console have ended. Of Antiphon alone."""

    id: str
    type: str = "user_signed_out"
    sessions: int = 0


class Invite(Secretive, kw_only=True, frozen=True):
    """An invitation. Antiphon shows the `link` once, to whoever creates it."""

    in_texts = ("id", "email", "role", "status", "expires_at")

    id: str
    type: str = "invite"
    email: str = ""
    role: str = ""
    status: str = ""
    invited_at: str = ""
    expires_at: str = ""
    accepted_at: str | None = None
    rbac_group_ids: list[str] = msgspec.field(default_factory=list)
    link: str | None = None


class Workspace(Answered, kw_only=True, frozen=True):
    """A workspace."""

    id: str
    type: str = "workspace"
    name: str = ""
    display_color: str = ""
    created_at: str = ""
    archived_at: str | None = None
    compartment_id: str | None = None
    data_residency: dict[str, Any] | None = None
    tags: dict[str, str] = msgspec.field(default_factory=dict)
    external_key_id: str | None = None
    user_profile_id: str | None = None


class Member(Answered, kw_only=True, frozen=True):
    """The membership of a user in a workspace."""

    type: str = "workspace_member"
    user_id: str
    workspace_id: str
    workspace_role: str = ""


class MemberRemoved(Answered, kw_only=True, frozen=True):
    type: str = "workspace_member_deleted"
    user_id: str
    workspace_id: str


class Removed(Answered, kw_only=True, frozen=True):
    """The confirmation that an object is gone; `type` says of which kind it was."""

    id: str
    type: str


class APIKey(Secretive, kw_only=True, frozen=True):
    """A key. `secret` is there only in the answer that creates or rotates it: keep it then."""

    in_texts = ("id", "name", "status")

    id: str
    type: str = "api_key"
    name: str = ""
    status: str = ""
    created_at: str = ""
    expires_at: str | None = None
    last_used_at: str | None = None
    created_by: dict[str, Any] | None = None
    partial_key_hint: str | None = None
    principal: dict[str, Any] | None = None
    scope: dict[str, Any] = msgspec.field(default_factory=dict)
    secret: str | None = None


class LimitValue(Answered, kw_only=True, frozen=True):
    """A limit of one type. `org_limit` and `source` are there for workspaces and keys."""

    type: str
    value: int | None = None
    org_limit: int | None = None
    source: dict[str, Any] | None = None


class RateLimit(Answered, kw_only=True, frozen=True):
    """The limits of one group of models, or of other calls."""

    nested = ("limits",)

    type: str = "rate_limit"
    id: str | None = None
    rate_limit_id: str | None = None
    workspace_id: str | None = None
    api_key_id: str | None = None
    group: dict[str, Any] = msgspec.field(default_factory=dict)
    models: list[str] | None = None
    limits: list[LimitValue] = msgspec.field(default_factory=list)


class RateLimitLevel(Answered, kw_only=True, frozen=True):
    """How much of a limit a minute is used now. Of Antiphon alone."""

    type: str = "rate_limit_level"
    rate_limit_id: str
    group: dict[str, Any] = msgspec.field(default_factory=dict)
    scope: dict[str, Any] = msgspec.field(default_factory=dict)
    limit_type: str = ""
    limit: int = 0
    used: int = 0
    remaining: int = 0
    full_at: str | None = None


class SpendLimit(Answered, kw_only=True, frozen=True):
    """A spend limit; `amount` is in cents, `None` is no limit."""

    id: str
    type: str = "spend_limit"
    scope: dict[str, Any] = msgspec.field(default_factory=dict)
    amount: str | None = None
    currency: str = "USD"
    period: str = ""
    is_enabled: bool = True
    created_at: str = ""
    updated_at: str = ""


class EffectiveSpendLimit(Answered, kw_only=True, frozen=True):
    """The limit that applies to a member in a period, and what the member has spent; in cents."""

    actor: dict[str, Any] = msgspec.field(default_factory=dict)
    scope: dict[str, Any] = msgspec.field(default_factory=dict)
    source: dict[str, Any] = msgspec.field(default_factory=dict)
    spend_limit_id: str | None = None
    amount: str | None = None
    currency: str = "USD"
    period: str = ""
    period_to_date_spend: str | None = None


class Balance(Answered, kw_only=True, frozen=True):
    """What a scope has spent in a period, and what is left of its limit; in cents. Of Antiphon."""

    type: str = "balance"
    scope: dict[str, Any] = msgspec.field(default_factory=dict)
    period: str = ""
    starting_at: str = ""
    ending_at: str = ""
    currency: str = "USD"
    spent: str = "0"
    held: str = "0"
    limit: str | None = None
    remaining: str | None = None


class IncreaseRequest(Answered, kw_only=True, frozen=True):
    """A request for a higher limit, and the decision about it. Of Antiphon alone."""

    id: str
    type: str = "limit_increase_request"
    status: str = ""
    limit: dict[str, Any] = msgspec.field(default_factory=dict)
    current: str | int | None = None
    requested: str | int | None = None
    granted: str | int | None = None
    reason: str = ""
    answer: str | None = None
    asked_by: dict[str, Any] = msgspec.field(default_factory=dict)
    asked_at: str = ""
    ended_by: dict[str, Any] | None = None
    ended_at: str | None = None
    replaced_by: str | None = None


class AuditEntry(Answered, kw_only=True, frozen=True):
    """One administrative change: who made it, and the object before and after it."""

    id: str
    type: str = "audit_log_entry"
    created_at: str = ""
    actor: dict[str, Any] = msgspec.field(default_factory=dict)
    action: str = ""
    object: dict[str, Any] = msgspec.field(default_factory=dict)
    scope: dict[str, Any] | None = None
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    request_id: str | None = None


class Money(Answered, kw_only=True, frozen=True):
    """An amount in cents."""

    amount: str
    currency: str = "USD"


class LoggedRequest(Answered, kw_only=True, frozen=True):
    """A finished request, as the request log has it. Of Antiphon alone."""

    nested = ("cost",)

    id: str
    type: str = "request"
    ended_at: str = ""
    route: str = ""
    status: int = 0
    error_type: str | None = None
    api_key_id: str | None = None
    workspace_id: str | None = None
    model: str | None = None
    served_model: str | None = None
    streamed: bool = False
    batch_id: str | None = None
    account_id: str | None = None
    latency: dict[str, Any] = msgspec.field(default_factory=dict)
    usage: dict[str, Any] = msgspec.field(default_factory=dict)
    cost: Money | None = None


class Facts(Answered, kw_only=True, frozen=True):
    """What the server tells of itself, as it is written: read it by its keys, or as attributes."""


class ReportBucket(Answered, kw_only=True, frozen=True):
    """One interval of a report, with the results of each group."""

    starting_at: str
    ending_at: str
    results: list[dict[str, Any]] = msgspec.field(default_factory=list)

    def rows(self) -> list[dict[str, Any]]:
        """Return the results as flat rows, as a table or a data frame takes them.

        >>> bucket = ReportBucket(
        ...     starting_at="a", ending_at="b", results=[{"cache_creation": {"tokens": 1}}]
        ... )
        >>> bucket.rows()
        [{'starting_at': 'a', 'ending_at': 'b', 'cache_creation.tokens': 1}]
        """
        times = {"starting_at": self.starting_at, "ending_at": self.ending_at}
        return [{**times, **_flat(result)} for result in self.results]


class ActivityReport(Answered, kw_only=True, frozen=True):
    """Requests, errors and tokens over time, and all of them together. Of Antiphon alone."""

    nested = ("data",)

    data: list[ReportBucket] = msgspec.field(default_factory=list)
    total: dict[str, Any] = msgspec.field(default_factory=dict)
    has_more: bool = False
    next_page: str | None = None


def _flat(value: dict[str, Any], before: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, item in value.items():
        if isinstance(item, dict):
            flat.update(_flat(item, f"{before}{name}."))
        else:
            flat[f"{before}{name}"] = item
    return flat
