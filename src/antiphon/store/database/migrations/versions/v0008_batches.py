"""Message Batches: batches, their requests, and the workers that answer them."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

_COUNTS = ("requests", "succeeded", "errored", "canceled", "expired")


def upgrade() -> None:
    """Create the three tables, an index of the ledger, and the row that a claim locks."""
    _create_batches()
    _create_requests()
    op.create_table(
        "batch_workers",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("lease_until", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_batch_workers"),
    )
    used = ["batch_id", "output_tokens", "cost"]
    _index("ix_ledger_batches", "ledger", used, "batch_id IS NOT NULL")
    op.execute("INSERT INTO revision (name, value) VALUES ('batches', 0)")


def _create_batches() -> None:
    op.create_table(
        "message_batches",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("workspace_id", sa.Text),
        sa.Column("api_key_id", sa.Text),
        sa.Column("account_id", sa.Text),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("betas", sa.JSON, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("cancel_initiated_at", sa.BigInteger),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("archived_at", sa.BigInteger),
        sa.Column("deleted_at", sa.BigInteger),
        sa.Column("ready", sa.Boolean, nullable=False),
        *(sa.Column(name, sa.Integer, nullable=False) for name in _COUNTS),
        sa.Column("waits_for", sa.Text),
        sa.Column("repeat_key", sa.LargeBinary),
        sa.Column("asked", sa.LargeBinary),
        sa.PrimaryKeyConstraint("id", name="pk_message_batches"),
        sa.UniqueConstraint("repeat_key", name="uq_message_batches_repeat_key"),
    )
    newest = ["workspace_id", "created_at", "id"]
    op.create_index("ix_message_batches_newest", "message_batches", newest)
    _index("ix_message_batches_open", "message_batches", ["created_at", "id"], "ended_at IS NULL")
    _index("ix_message_batches_kept", "message_batches", ["created_at"], "archived_at IS NULL")


def _create_requests() -> None:
    op.create_table(
        "batch_requests",
        sa.Column("batch_id", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("custom_id", sa.Text, nullable=False),
        sa.Column("rank", sa.Integer, nullable=False),
        sa.Column("state", sa.Integer, nullable=False),
        sa.Column("worker", sa.Text),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("params", sa.LargeBinary),
        sa.Column("result", sa.LargeBinary),
        sa.Column("entry_id", sa.Text),
        sa.PrimaryKeyConstraint("batch_id", "number", name="pk_batch_requests"),
    )
    pending = ["batch_id", "rank", "number"]
    _index("ix_batch_requests_pending", "batch_requests", pending, "state = 0")
    _index("ix_batch_requests_owned", "batch_requests", ["worker", "state"], "worker IS NOT NULL")


def _index(name: str, table: str, columns: list[str], where: str) -> None:
    only = sa.text(where)
    op.create_index(name, table, columns, sqlite_where=only, postgresql_where=only)
