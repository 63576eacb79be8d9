"""The ledger: one row for each request that was admitted."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_COUNTERS = ("input", "cache_write_5m", "cache_write_1h", "cache_read", "output")


def upgrade() -> None:
    """Create the table and its index."""
    op.create_table(
        "ledger",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("first_token_at", sa.BigInteger),
        sa.Column("ended_at", sa.BigInteger, nullable=False),
        sa.Column("api_key_id", sa.Text),
        sa.Column("workspace_id", sa.Text),
        sa.Column("account_id", sa.Text),
        sa.Column("service_account_id", sa.Text),
        sa.Column("batch_id", sa.Text),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("served_model", sa.Text, nullable=False),
        sa.Column("service_tier", sa.Text, nullable=False),
        sa.Column("context_window", sa.Text, nullable=False),
        sa.Column("inference_geo", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("stop_reason", sa.Text),
        sa.Column("error_type", sa.Text),
        *(sa.Column(f"{name}_tokens", sa.BigInteger, nullable=False) for name in _COUNTERS),
        sa.Column("thinking_tokens", sa.BigInteger, nullable=False),
        *(sa.Column(f"{name}_cost", sa.BigInteger, nullable=False) for name in _COUNTERS),
        sa.Column("cost", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_ledger"),
    )
    columns = ["started_at", "workspace_id", "api_key_id", "cost"]
    op.create_index("ix_ledger_spend", "ledger", columns)
