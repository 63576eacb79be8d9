"""Searches of the web: how many there were, and what they have cost."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    """Add the columns. There were none before."""
    for name in ("web_searches", "web_search_cost"):
        op.add_column("ledger", sa.Column(name, sa.BigInteger))
        summed = sa.Column(name, sa.BigInteger, nullable=False, server_default="0")
        op.add_column("usage_rollups", summed)
