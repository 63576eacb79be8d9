"""The tables of uploaded files: what is known of each, and its content in pieces."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)

from antiphon.store.database.increase_tables import metadata
from antiphon.store.database.tables import Moment

# `metadata` is exported: whoever creates every table takes it from here.
__all__ = ["file_chunks", "files", "metadata"]

_COUNTS = text("deleted_at IS NULL AND size_bytes > 0")
_GONE = text("deleted_at IS NOT NULL")
_ARRIVES = text("held_until IS NOT NULL")
_EXPIRES = text("expires_at IS NOT NULL")

# `workspace_id` is absent for the Default workspace, as in the ledger. A file is invisible while
# its content arrives, which is until `held_until`, and from `deleted_at` on. An `emptied` file has
# expired; it has no content and no size any more. Key and account are those of the upload.
files = Table(
    "files",
    metadata,
    Column("id", Text, nullable=False),
    Column("workspace_id", Text),
    Column("api_key_id", Text),
    Column("account_id", Text),
    Column("filename", Text, nullable=False),
    Column("mime_type", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("downloadable", Boolean, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment),
    Column("held_until", Moment),
    Column("deleted_at", Moment),
    Column("emptied", Boolean, nullable=False),
    PrimaryKeyConstraint("id", name="pk_files"),
    Index("ix_files_newest", "workspace_id", "created_at", "id"),
    # A quota is the sum of what is in it.
    Index("ix_files_sizes", "workspace_id", "size_bytes", sqlite_where=_COUNTS),
    # What the upkeep looks for. Most of what has expired is emptied, and stays for long.
    Index("ix_files_gone", "id", sqlite_where=_GONE),
    Index("ix_files_arriving", "held_until", sqlite_where=_ARRIVES),
    Index("ix_files_expiring", "emptied", "expires_at", sqlite_where=_EXPIRES),
)

file_chunks = Table(
    "file_chunks",
    metadata,
    Column("file_id", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
    PrimaryKeyConstraint("file_id", "number", name="pk_file_chunks"),
)
