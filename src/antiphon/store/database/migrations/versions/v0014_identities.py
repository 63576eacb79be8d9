"""Who users are at an OpenID provider, and which of its answers have counted."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "identities",
        sa.Column("issuer", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("user_id", sa.Text),
        sa.Column("linked_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("issuer", "subject", name="pk_identities"),
        sa.UniqueConstraint("issuer", "user_id", name="uq_identities_user"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_identities_user", ondelete="SET NULL"
        ),
    )
    op.create_index("ix_identities_user", "identities", ["user_id"])
    op.create_table(
        "answered_requests",
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_answered_requests"),
    )
