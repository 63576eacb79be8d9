"""Uploaded files: what is known of each, and its content in pieces."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    """Create the two tables."""
    op.create_table(
        "files",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("workspace_id", sa.Text),
        sa.Column("api_key_id", sa.Text),
        sa.Column("account_id", sa.Text),
        sa.Column("filename", sa.Text, nullable=False),
        sa.Column("mime_type", sa.Text, nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("downloadable", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("held_until", sa.BigInteger),
        sa.Column("deleted_at", sa.BigInteger),
        sa.Column("emptied", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_files"),
    )
    op.create_index("ix_files_newest", "files", ["workspace_id", "created_at", "id"])
    _index("ix_files_sizes", ["workspace_id", "size_bytes"], "deleted_at IS NULL")
    _index("ix_files_gone", ["id"], "deleted_at IS NOT NULL")
    _index("ix_files_arriving", ["held_until"], "held_until IS NOT NULL")
    _index("ix_files_expiring", ["expires_at"], "expires_at IS NOT NULL")
    op.create_table(
        "file_chunks",
        sa.Column("file_id", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("file_id", "number", name="pk_file_chunks"),
    )


def _index(name: str, columns: list[str], where: str) -> None:
    only = sa.text(where)
    op.create_index(name, "files", columns, sqlite_where=only, postgresql_where=only)
