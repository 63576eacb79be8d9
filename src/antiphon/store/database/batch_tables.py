"""The tables of Message Batches: batches, their requests, their workers, and what they used."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from antiphon.core.idle_use import DELAY_BOUNDS_MS
from antiphon.store.database.tables import Moment, metadata

# `metadata` is exported for the tables of the Console, which follow these.
__all__ = [
    "add_conditions_on_postgresql",
    "batch_requests",
    "batch_workers",
    "idle_use",
    "message_batches",
    "metadata",
]

_OPEN = text("ended_at IS NULL")
_KEPT = text("archived_at IS NULL")
_PENDING = text("state = 0")
_OWNED = text("worker IS NOT NULL")
_TRACED = text("traceparent IS NOT NULL")

# A batch is invisible until it is `ready`, and from `deleted_at` on. `workspace_id` is absent for
# the Default workspace, as in the ledger. `repeat_key` is a digest of the workspace and the
# `Idempotency-Key`, `asked` one of the body. `waits_for` says why no request of it is claimed,
# `slowed_by` why few of them run at once. `cost` is the sum of its entries of the ledger.
# `traceparent` names the span of the call that created it, until the batch has a span of its own.
message_batches = Table(
    "message_batches",
    metadata,
    Column("id", Text, nullable=False),
    Column("workspace_id", Text),
    Column("api_key_id", Text),
    Column("account_id", Text),
    Column("version", Text, nullable=False),
    Column("betas", JSON, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("cancel_initiated_at", Moment),
    Column("ended_at", Moment),
    Column("archived_at", Moment),
    Column("deleted_at", Moment),
    Column("ready", Boolean, nullable=False),
    Column("requests", Integer, nullable=False),
    Column("succeeded", Integer, nullable=False),
    Column("errored", Integer, nullable=False),
    Column("canceled", Integer, nullable=False),
    Column("expired", Integer, nullable=False),
    Column("waits_for", Text),
    Column("repeat_key", LargeBinary),
    Column("asked", LargeBinary),
    Column("slowed_by", Text),
    Column("cost", BigInteger, nullable=False, server_default="0"),
    Column("traceparent", Text),
    PrimaryKeyConstraint("id", name="pk_message_batches"),
    UniqueConstraint("repeat_key", name="uq_message_batches_repeat_key"),
    Index("ix_message_batches_newest", "workspace_id", "created_at", "id"),
    # Ended batches leave the index of those with work, and archived ones that of those with rows.
    Index("ix_message_batches_open", "created_at", "id", sqlite_where=_OPEN),
    Index("ix_message_batches_kept", "created_at", sqlite_where=_KEPT),
    Index("ix_message_batches_traced", "ended_at", "id", sqlite_where=_TRACED),
)

# `rank` is the order in which requests are taken: store.batches.rows:BEHIND. `state` is one of
# store.batches.rows:RowState. `params` are there until there is a result. A finished row with a
# ledger entry keeps its `worker` until the entry is settled in the counters.
batch_requests = Table(
    "batch_requests",
    metadata,
    Column("batch_id", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("custom_id", Text, nullable=False),
    Column("rank", Integer, nullable=False),
    Column("state", Integer, nullable=False),
    Column("worker", Text),
    Column("tries", Integer, nullable=False),
    Column("params", LargeBinary),
    Column("result", LargeBinary),
    Column("entry_id", Text),
    PrimaryKeyConstraint("batch_id", "number", name="pk_batch_requests"),
    # Only rows that wait are in the first, and only rows that a worker has to do with in the
    # second: neither grows with what is finished.
    Index(
        "ix_batch_requests_pending",
        "batch_id",
        "rank",
        "number",
        sqlite_where=_PENDING,
    ),
    Index(
        "ix_batch_requests_owned",
        "worker",
        "state",
        sqlite_where=_OWNED,
    ),
)

# The row of a worker is its right to commit, until `lease_until`.
batch_workers = Table(
    "batch_workers",
    metadata,
    Column("id", Text, nullable=False),
    Column("lease_until", Moment, nullable=False),
    PrimaryKeyConstraint("id", name="pk_batch_workers"),
)

# `core.idle_use:IdleUse` for each hour and lane, with times in microseconds. A lane is the id of a
# model on another server, or empty for all models that are computed on the servers' machines.
# `delays_…_ms` count the delays up to a bound, and `delays_longer` the others.
idle_use = Table(
    "idle_use",
    metadata,
    Column("hour", Moment, nullable=False),
    Column("lane", Text, nullable=False),
    Column("total_us", BigInteger, nullable=False),
    Column("busy_us", BigInteger, nullable=False),
    Column("interactive_us", BigInteger, nullable=False),
    Column("interactive", BigInteger, nullable=False),
    Column("yielded", BigInteger, nullable=False),
    Column("parked", BigInteger, nullable=False),
    Column("delay_us", BigInteger, nullable=False),
    Column("longest_delay_us", BigInteger, nullable=False),
    *(Column(f"delays_{bound}_ms", BigInteger, nullable=False) for bound in DELAY_BOUNDS_MS),
    Column("delays_longer", BigInteger, nullable=False),
    PrimaryKeyConstraint("hour", "lane", name="pk_idle_use"),
)


def add_conditions_on_postgresql() -> None:
    """Give PostgreSQL the partial indexes that SQLite has.

    Named for both databases in the tables, the conditions would import PostgreSQL's dialect into
    every process.
    """
    for table in metadata.tables.values():
        for index in table.indexes:
            where = index.dialect_options["sqlite"]["where"]
            index.dialect_options["postgresql"]["where"] = where
