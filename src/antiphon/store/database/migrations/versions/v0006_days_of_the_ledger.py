"""An index by day, from which SQLite sums up a month without sorting its entries."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Create the index. PostgreSQL sums up in any order, so it needs none."""
    if op.get_bind().dialect.name == "sqlite":
        day = sa.text("(started_at / 86400000000)")
        op.create_index("ix_ledger_days", "ledger", [day, "workspace_id", "api_key_id", "cost"])
