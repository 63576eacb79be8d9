"""What batches used of the engines' time, in hours."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

_NUMBERS = (
    *("total_us", "busy_us", "interactive_us", "interactive", "yielded", "parked"),
    *("delay_us", "longest_delay_us"),
    *(f"delays_{bound}_ms" for bound in (1, 3, 10, 30, 100, 300, 1000, 3000)),
    "delays_longer",
)


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "idle_use",
        sa.Column("hour", sa.BigInteger, nullable=False),
        sa.Column("lane", sa.Text, nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in _NUMBERS),
        sa.PrimaryKeyConstraint("hour", "lane", name="pk_idle_use"),
    )
