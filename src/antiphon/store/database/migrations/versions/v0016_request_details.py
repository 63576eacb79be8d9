"""Which engine answered a request, its wait for money, and whose it was if it had no key."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Add the columns. Of requests that are in the log already they are not known."""
    for column in (
        sa.Column("engine", sa.Text),
        sa.Column("engine_number", sa.Integer),
        sa.Column("money_us", sa.BigInteger),
        sa.Column("account_id", sa.Text),
    ):
        op.add_column("request_log", column)
    of_users = sa.text("account_id IS NOT NULL")
    op.create_index(
        "ix_request_log_accounts",
        "request_log",
        ["account_id", "ended_at", "number"],
        sqlite_where=of_users,
        postgresql_where=of_users,
    )
