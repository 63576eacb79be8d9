"""The tables as the newest migration leaves them, the same on SQLite and PostgreSQL.

A moment is stored as an integer: microseconds since 1970 in UTC. Integers sort, compare and
subtract alike on both databases, and neither can put a time zone on them.
"""

from datetime import UTC, datetime, timedelta

from sqlalchemy import (
    BigInteger,
    Column,
    Dialect,
    Index,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Moment(TypeDecorator[datetime]):
    """An aware `datetime` in Python, microseconds since 1970 in the database."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        del dialect
        # A naive datetime cannot be subtracted from an aware one, so it never gets in.
        return None if value is None else (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        del dialect
        return None if value is None else _EPOCH + value * _MICROSECOND


metadata = MetaData()

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("hint", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("revoked_at", Moment),
    Column("created_by", Text),
    PrimaryKeyConstraint("id", name="pk_api_keys"),
    UniqueConstraint("digest", name="uq_api_keys_digest"),
)

# How often something has changed: compared to know whether a copy in memory is still right.
revisions = Table(
    "revision",
    metadata,
    Column("name", Text, nullable=False),
    Column("value", BigInteger, nullable=False),
    PrimaryKeyConstraint("name", name="pk_revision"),
)

house_secrets = Table(
    "house_secrets",
    metadata,
    Column("name", Text, nullable=False),
    Column("value", LargeBinary, nullable=False),
    PrimaryKeyConstraint("name", name="pk_house_secrets"),
)

# One row for each request that was admitted, never changed. Costs are in nano-dollars. No prompt,
# no answer, no key: `api_key_id` is the public id.
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
    PrimaryKeyConstraint("id", name="pk_ledger"),
    # Reports and sums take a span of time. What was spent in it is read from the index alone.
    Index("ix_ledger_spend", "started_at", "workspace_id", "api_key_id", "cost"),
)
