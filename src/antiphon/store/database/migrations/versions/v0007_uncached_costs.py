"""What the prompt of a request would have cost without the prompt cache."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the column. Earlier entries have no value: their prices are not recorded."""
    op.add_column("ledger", sa.Column("uncached_cost", sa.BigInteger))
