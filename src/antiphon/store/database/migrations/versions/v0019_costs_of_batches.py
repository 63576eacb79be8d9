"""What each batch has cost."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Add the column, and sum up the ledger for the batches that there are."""
    column = sa.Column("cost", sa.BigInteger, nullable=False, server_default="0")
    op.add_column("message_batches", column)
    # An index has the entries of each batch.
    op.execute(
        "UPDATE message_batches SET cost = coalesce((SELECT CAST(sum(ledger.cost) AS BIGINT) "
        "FROM ledger WHERE ledger.batch_id = message_batches.id), 0)"
    )
