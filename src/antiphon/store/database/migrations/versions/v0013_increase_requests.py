"""Requests for an increase of a limit."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

_NAMES = ("id", "status", "kind", "scope", "scope_id", "group_id", "type")
_INDEXES = {
    "newest": ("asked_at", "id"),
    "status": ("status", "asked_at", "id"),
    "asker": ("asker_type", "asker_id", "asked_at", "id"),
    "ended": ("ended_at",),
}


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "increase_requests",
        *(sa.Column(name, sa.Text, nullable=False) for name in _NAMES),
        sa.Column("requested", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("asker_type", sa.Text, nullable=False),
        sa.Column("asker_id", sa.Text, nullable=False),
        sa.Column("asked_at", sa.BigInteger, nullable=False),
        sa.Column("ender_type", sa.Text),
        sa.Column("ender_id", sa.Text),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("granted", sa.BigInteger),
        sa.Column("answer", sa.Text),
        sa.Column("replaced_by", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_increase_requests"),
    )
    for name, columns in _INDEXES.items():
        op.create_index(f"ix_increase_requests_{name}", "increase_requests", list(columns))
