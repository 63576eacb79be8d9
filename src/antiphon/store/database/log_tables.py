"""The tables of the request log, and of what was refused."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from antiphon.store.database.rollup_tables import metadata
from antiphon.store.database.tables import Moment

# `metadata` is exported: whoever creates every table takes it from here.
__all__ = ["metadata", "refusal_rollups", "request_log"]

_FAILED = text("error_type IS NOT NULL")
_OF_USERS = text("account_id IS NOT NULL")

# `core.request_records:RequestRecord`, for a limited time. Each index is one filter of the listing,
# in its order; those of errors and of users have no other rows. `status_class` is the first digit
# of the status.
request_log = Table(
    "request_log",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), nullable=False),
    Column("id", Text, nullable=False),
    Column("ended_at", Moment, nullable=False),
    Column("route", Text, nullable=False),
    Column("status", Integer, nullable=False),
    Column("status_class", Integer, nullable=False),
    Column("error_type", Text),
    Column("api_key_id", Text, nullable=False),
    Column("workspace_id", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("served_model", Text),
    Column("streamed", Boolean, nullable=False),
    Column("batch_id", Text),
    Column("duration_us", BigInteger, nullable=False),
    Column("queue_us", BigInteger),
    Column("prefill_us", BigInteger),
    Column("decode_us", BigInteger),
    Column("input_tokens", BigInteger, nullable=False),
    Column("cache_write_5m_tokens", BigInteger, nullable=False),
    Column("cache_write_1h_tokens", BigInteger, nullable=False),
    Column("cache_read_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("thinking_tokens", BigInteger, nullable=False),
    Column("cost", BigInteger, nullable=False),
    Column("facts", Text),
    Column("engine", Text),
    Column("engine_number", Integer),
    Column("money_us", BigInteger),
    Column("account_id", Text),
    PrimaryKeyConstraint("number", name="pk_request_log"),
    UniqueConstraint("id", name="uq_request_log_id"),
    Index("ix_request_log_newest", "ended_at", "number"),
    Index("ix_request_log_keys", "api_key_id", "ended_at", "number"),
    Index("ix_request_log_workspaces", "workspace_id", "ended_at", "number"),
    Index("ix_request_log_models", "model", "ended_at", "number"),
    Index("ix_request_log_errors", "error_type", "ended_at", "number", sqlite_where=_FAILED),
    Index("ix_request_log_failed", "status_class", "ended_at", "number", sqlite_where=_FAILED),
    Index("ix_request_log_accounts", "account_id", "ended_at", "number", sqlite_where=_OF_USERS),
)

# How many requests were refused before they were admitted, in the buckets of roll-ups. They are not
# in the ledger. What is unknown is empty.
refusal_rollups = Table(
    "refusal_rollups",
    metadata,
    Column("width", BigInteger, nullable=False),
    Column("start", Moment, nullable=False),
    Column("workspace_id", Text, nullable=False),
    Column("api_key_id", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("error_type", Text, nullable=False),
    Column("requests", BigInteger, nullable=False),
    PrimaryKeyConstraint(
        "width",
        "start",
        "workspace_id",
        "api_key_id",
        "model",
        "error_type",
        name="pk_refusal_rollups",
    ),
    sqlite_with_rowid=False,
)
