"""The span that created a batch, for those of the batch and of its requests."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    """Add the column, and the index of the batches whose span is not made yet."""
    op.add_column("message_batches", sa.Column("traceparent", sa.Text))
    traced = sa.text("traceparent IS NOT NULL")
    op.create_index(
        "ix_message_batches_traced",
        "message_batches",
        ["ended_at", "id"],
        sqlite_where=traced,
        postgresql_where=traced,
    )
