"""How long requests waited for money, which is no part of their times to the first token."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    """Add the column. Of entries that are there already it is not known, nor of their roll-ups."""
    op.add_column("ledger", sa.Column("money_us", sa.BigInteger))
