"""Indexes by which expired files, whose names stay for a month, are not read again and again."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    """Replace two indexes of files."""
    op.drop_index("ix_files_sizes", "files")
    op.drop_index("ix_files_expiring", "files")
    counts = sa.text("deleted_at IS NULL AND size_bytes > 0")
    columns = ["workspace_id", "size_bytes"]
    op.create_index(
        "ix_files_sizes", "files", columns, sqlite_where=counts, postgresql_where=counts
    )
    expires = sa.text("expires_at IS NOT NULL")
    columns = ["emptied", "expires_at"]
    op.create_index(
        "ix_files_expiring", "files", columns, sqlite_where=expires, postgresql_where=expires
    )
