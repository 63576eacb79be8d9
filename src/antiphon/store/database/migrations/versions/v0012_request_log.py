"""The request log, and counts of what was refused."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

_NUMBERS = (
    *("input_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "cache_read_tokens"),
    *("output_tokens", "thinking_tokens", "cost"),
)
_INDEXES = {
    "newest": (),
    "keys": ("api_key_id",),
    "workspaces": ("workspace_id",),
    "models": ("model",),
}
_INDEXES_OF_ERRORS = {"errors": ("error_type",), "failed": ("status_class",)}


def upgrade() -> None:
    """Create both tables. The requests of earlier releases are not in them."""
    op.create_table(
        "request_log",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("ended_at", sa.BigInteger, nullable=False),
        sa.Column("route", sa.Text, nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("status_class", sa.Integer, nullable=False),
        sa.Column("error_type", sa.Text),
        sa.Column("api_key_id", sa.Text, nullable=False),
        sa.Column("workspace_id", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("served_model", sa.Text),
        sa.Column("streamed", sa.Boolean, nullable=False),
        sa.Column("batch_id", sa.Text),
        sa.Column("duration_us", sa.BigInteger, nullable=False),
        sa.Column("queue_us", sa.BigInteger),
        sa.Column("prefill_us", sa.BigInteger),
        sa.Column("decode_us", sa.BigInteger),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in _NUMBERS),
        sa.Column("facts", sa.Text),
        sa.PrimaryKeyConstraint("number", name="pk_request_log"),
        sa.UniqueConstraint("id", name="uq_request_log_id"),
    )
    for name, columns in _INDEXES.items():
        place = [*columns, "ended_at", "number"]
        op.create_index(f"ix_request_log_{name}", "request_log", place)
    failed = sa.text("error_type IS NOT NULL")
    for name, columns in _INDEXES_OF_ERRORS.items():
        op.create_index(
            f"ix_request_log_{name}",
            "request_log",
            [*columns, "ended_at", "number"],
            sqlite_where=failed,
            postgresql_where=failed,
        )
    names = ("workspace_id", "api_key_id", "model", "error_type")
    op.create_table(
        "refusal_rollups",
        sa.Column("width", sa.BigInteger, nullable=False),
        sa.Column("start", sa.BigInteger, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in names),
        sa.Column("requests", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("width", "start", *names, name="pk_refusal_rollups"),
        sqlite_with_rowid=False,
    )
