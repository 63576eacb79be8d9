"""What ends the session at the OpenID provider by which a session of the Console began."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    """Add the columns. Sessions that are there end here alone."""
    op.add_column("console_sessions", sa.Column("provider", sa.Text))
    op.add_column("console_sessions", sa.Column("id_token", sa.Text))
