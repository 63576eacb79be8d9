"""What listings are sorted and filtered by: folded names, the actors of changes, indexes."""

from unicodedata import normalize

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"

_NAMED = ("users", "workspaces", "api_keys")
_INDEXES: dict[str, dict[str, tuple[str, ...]]] = {
    "users": {"newest": ("added_at", "id"), "name": ("folded_name", "id")},
    "invites": {"newest": ("invited_at", "id"), "email": ("email", "id")},
    "workspaces": {"newest": ("created_at", "id"), "name": ("folded_name", "id")},
    "workspace_members": {"newest": ("workspace_id", "added_at", "user_id")},
    "api_keys": {
        "newest": ("created_at", "id"),
        "name": ("folded_name", "id"),
        "workspace": ("workspace_id", "created_at", "id"),
        "creator": ("created_by", "created_at", "id"),
    },
    "audit_log": {
        "object": ("object_id", "at", "id"),
        "actor": ("actor_id", "at", "id"),
        "action": ("action", "at", "id"),
    },
}
_EXPRESSIONS = {
    "used": "coalesce(last_used_at, 0)",
    "end": "coalesce(expires_at, 9223372036854775807)",
}
_AT_ONCE = 1000


def upgrade() -> None:
    """Add the columns and fill them, then make the indexes."""
    connection = op.get_bind()
    is_postgresql = connection.dialect.name == "postgresql"
    folded = sa.Text(collation="C") if is_postgresql else sa.Text()
    for table in _NAMED:
        column = sa.Column("folded_name", folded, nullable=False, server_default="")
        op.add_column(table, column)
        _fold(connection, table)
    op.add_column("audit_log", sa.Column("actor_id", sa.Text))
    actor_id = "actor ->> 'id'" if is_postgresql else "json_extract(actor, '$.id')"
    op.execute(f"UPDATE audit_log SET actor_id = {actor_id}")  # noqa: S608 - our own text
    for table, indexes in _INDEXES.items():
        for name, columns in indexes.items():
            op.create_index(f"ix_{table}_{name}", table, list(columns))
    for name, expression in _EXPRESSIONS.items():
        op.create_index(f"ix_api_keys_{name}", "api_keys", [sa.text(expression), "id"])


def _fold(connection: sa.Connection, table: str) -> None:
    """Fold the names of a table, some at a time."""
    rows = sa.table(table, sa.column("id"), sa.column("name"), sa.column("folded_name"))
    change = sa.update(rows).where(rows.c.id == sa.bindparam("row"))
    names = connection.execute(sa.select(rows.c.id, rows.c.name)).all()
    for start in range(0, len(names), _AT_ONCE):
        connection.execute(
            change.values(folded_name=sa.bindparam("folded")),
            [
                {"row": row_id, "folded": normalize("NFKC", normalize("NFKD", name).casefold())}
                for row_id, name in names[start : start + _AT_ONCE]
            ],
        )
