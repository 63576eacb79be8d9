"""Why a batch goes on slowly."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Add the column."""
    op.add_column("message_batches", sa.Column("slowed_by", sa.Text))
