"""The tables of roll-ups: sums of the ledger for each minute, hour and day."""

from sqlalchemy import (
    BigInteger,
    Column,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)

from antiphon.core.billing.rollups import FIRST_TOKEN_BOUNDS_MS
from antiphon.store.database.console_tables import metadata
from antiphon.store.database.tables import Moment

# `metadata` is exported: whoever creates every table takes it from here.
__all__ = ["metadata", "usage_floors", "usage_groups", "usage_rollups"]

# The columns of the ledger by which reports group and filter.
DIMENSIONS = (
    *("api_key_id", "workspace_id", "account_id", "service_account_id", "model", "served_model"),
    *("service_tier", "context_window", "inference_geo", "outcome", "error_type"),
)

# A combination of dimensions that the ledger has, or that of a summary, in which most are empty.
# What is absent in the ledger is empty here, because no two absent values of a unique constraint
# are the same.
usage_groups = Table(
    "usage_groups",
    metadata,
    Column("id", Integer, nullable=False),
    *(Column(name, Text, nullable=False) for name in DIMENSIONS),
    PrimaryKeyConstraint("id", name="pk_usage_groups"),
    UniqueConstraint(*DIMENSIONS, name="uq_usage_groups_dimensions"),
)

# Sums of the entries of a group whose requests began in a bucket: `store.rollups` says of what.
# `width` is the length of the bucket in microseconds, and that below zero in summaries. SQLite
# keeps the rows in the key's order.
usage_rollups = Table(
    "usage_rollups",
    metadata,
    Column("width", BigInteger, nullable=False),
    Column("start", Moment, nullable=False),
    Column("group_id", Integer, nullable=False),
    Column("requests", BigInteger, nullable=False),
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
    Column("saved", BigInteger, nullable=False),
    Column("duration_us", BigInteger, nullable=False),
    Column("first_tokens", BigInteger, nullable=False),
    Column("first_token_us", BigInteger, nullable=False),
    *(
        Column(f"first_tokens_{bound}_ms", BigInteger, nullable=False)
        for bound in FIRST_TOKEN_BOUNDS_MS
    ),
    Column("first_tokens_longer", BigInteger, nullable=False),
    Column("cache_reads", BigInteger, nullable=False, server_default="0"),
    Column("web_searches", BigInteger, nullable=False, server_default="0"),
    Column("web_search_cost", BigInteger, nullable=False, server_default="0"),
    PrimaryKeyConstraint("width", "start", "group_id", name="pk_usage_rollups"),
    sqlite_with_rowid=False,
)

# The roll-ups of a width are whole from this moment on: older ones are removed. Days have no floor.
usage_floors = Table(
    "usage_floors",
    metadata,
    Column("width", BigInteger, nullable=False),
    Column("start", Moment, nullable=False),
    PrimaryKeyConstraint("width", name="pk_usage_floors"),
)
