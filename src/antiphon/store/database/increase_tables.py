"""The table of increase requests."""

from sqlalchemy import BigInteger, Column, Index, PrimaryKeyConstraint, Table, Text

from antiphon.store.database.log_tables import metadata
from antiphon.store.database.tables import Moment

# `metadata` is exported: whoever creates every table takes it from here.
__all__ = ["increase_requests", "metadata"]

# Each limit is named by its kind, scope, group and type, which is the period of a spend limit. Of a
# spend limit the group is empty, and amounts are nano-dollars. `asker_id` is empty for the command
# line.
increase_requests = Table(
    "increase_requests",
    metadata,
    Column("id", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("scope_id", Text, nullable=False),
    Column("group_id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("requested", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("asker_type", Text, nullable=False),
    Column("asker_id", Text, nullable=False),
    Column("asked_at", Moment, nullable=False),
    Column("ender_type", Text),
    Column("ender_id", Text),
    Column("ended_at", Moment),
    Column("granted", BigInteger),
    Column("answer", Text),
    Column("replaced_by", Text),
    PrimaryKeyConstraint("id", name="pk_increase_requests"),
    Index("ix_increase_requests_newest", "asked_at", "id"),
    Index("ix_increase_requests_status", "status", "asked_at", "id"),
    Index("ix_increase_requests_asker", "asker_type", "asker_id", "asked_at", "id"),
    Index("ix_increase_requests_ended", "ended_at"),
)
