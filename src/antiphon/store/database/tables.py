"""The tables of the newest migration, the same on SQLite and PostgreSQL.

A moment is stored as an integer: microseconds since 1970 in UTC. Integers sort, compare and
subtract alike on both databases, without time zones.
"""

from datetime import datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Dialect,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)

from antiphon.core.moments import moment_at, since_epoch


def stored_moment(moment: datetime | None) -> int | None:
    """Return a moment in the form of the database."""
    # A naive datetime raises here, as it cannot be subtracted from an aware one.
    return None if moment is None else since_epoch(moment)


class Moment(TypeDecorator[datetime]):
    """An aware `datetime` in Python, microseconds since 1970 in the database."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        del dialect
        return stored_moment(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        del dialect
        return None if value is None else moment_at(value)


metadata = MetaData()

# Compared by the numbers of its characters on both databases: by default PostgreSQL sorts by the
# rules of a language.
_Folded = Text().with_variant(Text(collation="C"), "postgresql")

# What keys are sorted by besides: never used is before everything, and without an end is after it.
# Only exactly these expressions find their indexes.
LAST_USE = "coalesce(last_used_at, 0)"
END = "coalesce(expires_at, 9223372036854775807)"

# Holds one row: with several, every request would have to name its organization.
organizations = Table(
    "organizations",
    metadata,
    Column("id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    PrimaryKeyConstraint("id", name="pk_organizations"),
)

users = Table(
    "users",
    metadata,
    Column("id", Text, nullable=False),
    Column("email", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("added_at", Moment, nullable=False),
    Column("folded_name", _Folded, nullable=False, server_default=""),
    PrimaryKeyConstraint("id", name="pk_users"),
    UniqueConstraint("email", name="uq_users_email"),
    Index("ix_users_newest", "added_at", "id"),
    Index("ix_users_name", "folded_name", "id"),
)

# The status of an invite follows from its times.
invites = Table(
    "invites",
    metadata,
    Column("id", Text, nullable=False),
    Column("email", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("invited_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("accepted_at", Moment),
    Column("deleted_at", Moment),
    PrimaryKeyConstraint("id", name="pk_invites"),
    Index("ix_invites_newest", "invited_at", "id"),
    Index("ix_invites_email", "email", "id"),
)

workspaces = Table(
    "workspaces",
    metadata,
    Column("id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("display_color", Text, nullable=False),
    Column("tags", JSON, nullable=False),
    Column("is_default", Boolean, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("archived_at", Moment),
    Column("folded_name", _Folded, nullable=False, server_default=""),
    PrimaryKeyConstraint("id", name="pk_workspaces"),
    Index("ix_workspaces_newest", "created_at", "id"),
    Index("ix_workspaces_name", "folded_name", "id"),
)

workspace_members = Table(
    "workspace_members",
    metadata,
    Column("workspace_id", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("workspace_role", Text, nullable=False),
    Column("added_at", Moment, nullable=False),
    PrimaryKeyConstraint("workspace_id", "user_id", name="pk_workspace_members"),
    ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name="fk_members_workspace"),
    ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_members_user", ondelete="CASCADE"),
    Index("ix_workspace_members_newest", "workspace_id", "added_at", "user_id"),
)

# `kind` is api or admin. `folded_name` is core.names:folded of the name, here as of users and
# workspaces. A key without a workspace is the organization's.
api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("workspace_id", Text),
    Column("hint", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("created_by", Text),
    Column("expires_at", Moment),
    Column("archived_at", Moment),
    Column("last_used_at", Moment),
    Column("folded_name", _Folded, nullable=False, server_default=""),
    PrimaryKeyConstraint("id", name="pk_api_keys"),
    ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name="fk_api_keys_workspace"),
    Index("ix_api_keys_newest", "created_at", "id"),
    # These three have the name and the hint, so that a search for a part of them looks up no row
    # that has none. In the order of their creation rows lie one behind the other.
    Index("ix_api_keys_name", "folded_name", "id", "hint"),
    Index("ix_api_keys_workspace", "workspace_id", "created_at", "id"),
    Index("ix_api_keys_creator", "created_by", "created_at", "id"),
    Index("ix_api_keys_used", text(LAST_USE), "id", "folded_name", "hint"),
    Index("ix_api_keys_end", text(END), "id", "folded_name", "hint"),
)

# A key that is being rotated has two secrets for a while; the older one has an end.
key_secrets = Table(
    "key_secrets",
    metadata,
    Column("digest", LargeBinary, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("valid_until", Moment),
    PrimaryKeyConstraint("digest", name="pk_key_secrets"),
    ForeignKeyConstraint(["key_id"], ["api_keys.id"], name="fk_key_secrets_key"),
    Index("ix_key_secrets_key", "key_id"),
)

# The limits that replace the settings' defaults. `scope` is organization, workspace or key.
rate_limits = Table(
    "rate_limits",
    metadata,
    Column("scope", Text, nullable=False),
    Column("scope_id", Text, nullable=False),
    Column("group_id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("value", BigInteger, nullable=False),
    PrimaryKeyConstraint("scope", "scope_id", "group_id", "type", name="pk_rate_limits"),
    Index("ix_rate_limits_group", "group_id"),
)

spend_limits = Table(
    "spend_limits",
    metadata,
    Column("id", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("scope_id", Text, nullable=False),
    Column("period", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    PrimaryKeyConstraint("id", name="pk_spend_limits"),
    UniqueConstraint("scope", "scope_id", "period", name="uq_spend_limits_scope"),
    Index("ix_spend_limits_newest", "created_at", "id"),
)

# Every administrative change, for ever, without secrets and their digests.
audit_log = Table(
    "audit_log",
    metadata,
    Column("id", Text, nullable=False),
    Column("at", Moment, nullable=False),
    Column("actor", JSON, nullable=False),
    Column("action", Text, nullable=False),
    Column("object_type", Text, nullable=False),
    Column("object_id", Text, nullable=False),
    Column("before", JSON(none_as_null=True)),
    Column("after", JSON(none_as_null=True)),
    Column("request_id", Text),
    # The id in `actor`.
    Column("actor_id", Text),
    PrimaryKeyConstraint("id", name="pk_audit_log"),
    Index("ix_audit_log_at", "at", "id"),
    Index("ix_audit_log_object", "object_id", "at", "id"),
    Index("ix_audit_log_actor", "actor_id", "at", "id"),
    Index("ix_audit_log_action", "action", "at", "id"),
)

# Requests for keys with an `Idempotency-Key`; neither that nor a secret is stored.
repeatable_requests = Table(
    "repeatable_requests",
    metadata,
    Column("name", LargeBinary, nullable=False),
    Column("asked", LargeBinary, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("nonce", LargeBinary, nullable=False),
    Column("at", Moment, nullable=False),
    PrimaryKeyConstraint("name", name="pk_repeatable_requests"),
)

# Counts of changes, to check whether a copy in memory is current.
revisions = Table(
    "revision",
    metadata,
    Column("name", Text, nullable=False),
    Column("value", BigInteger, nullable=False),
    PrimaryKeyConstraint("name", name="pk_revision"),
)

# What the newest changes of the accounts were of, each by the revision that it made. Copies in
# memory are brought up to date by them.
account_changes = Table(
    "account_changes",
    metadata,
    Column("revision", BigInteger, nullable=False, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("object_id", Text, nullable=False),
    PrimaryKeyConstraint("revision", name="pk_account_changes"),
)

installation_secrets = Table(
    "house_secrets",
    metadata,
    Column("name", Text, nullable=False),
    Column("value", LargeBinary, nullable=False),
    PrimaryKeyConstraint("name", name="pk_house_secrets"),
)

# The day of an entry, counted from 1970. SQLite sorts to group, so it has an index by the day
# (ix_ledger_days), which it uses only for exactly this expression.
DAY = "started_at / 86400000000"

_IN_BATCH = text("batch_id IS NOT NULL")

# One row for each admitted request, never changed. Costs are in nano-dollars. It holds no prompt,
# no answer and no secret: `api_key_id` is the public id.
ledger = Table(
    "ledger",
    metadata,
    Column("id", Text, nullable=False),
    Column("started_at", Moment, nullable=False),
    Column("first_token_at", Moment),
    Column("ended_at", Moment, nullable=False),
    Column("api_key_id", Text),
    Column("workspace_id", Text),
    Column("account_id", Text),
    Column("service_account_id", Text),
    Column("batch_id", Text),
    Column("model", Text, nullable=False),
    Column("served_model", Text, nullable=False),
    Column("service_tier", Text, nullable=False),
    Column("context_window", Text, nullable=False),
    Column("inference_geo", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("stop_reason", Text),
    Column("error_type", Text),
    Column("input_tokens", BigInteger, nullable=False),
    Column("cache_write_5m_tokens", BigInteger, nullable=False),
    Column("cache_write_1h_tokens", BigInteger, nullable=False),
    Column("cache_read_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("thinking_tokens", BigInteger, nullable=False),
    Column("input_cost", BigInteger, nullable=False),
    Column("cache_write_5m_cost", BigInteger, nullable=False),
    Column("cache_write_1h_cost", BigInteger, nullable=False),
    Column("cache_read_cost", BigInteger, nullable=False),
    Column("output_cost", BigInteger, nullable=False),
    Column("cost", BigInteger, nullable=False),
    # Absent in entries of earlier releases.
    Column("uncached_cost", BigInteger),
    # How long the request waited for money. Absent if it did not, and in earlier releases.
    Column("money_us", BigInteger),
    # Absent in entries without any, and in those of earlier releases.
    Column("web_searches", BigInteger),
    Column("web_search_cost", BigInteger),
    PrimaryKeyConstraint("id", name="pk_ledger"),
    # Reports and sums take a span of time. Its costs are read from the index alone.
    Index("ix_ledger_spend", "started_at", "workspace_id", "api_key_id", "cost"),
    # What a batch has used so far. Other entries are not in it.
    Index(
        "ix_ledger_batches",
        "batch_id",
        "output_tokens",
        "cost",
        sqlite_where=_IN_BATCH,
    ),
)
