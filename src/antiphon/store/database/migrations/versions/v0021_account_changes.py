"""What changes of the accounts were of, so that a copy in memory is not read again as a whole."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"

# In which a part of a name or of a hint is found without the rows of keys that have none.
_SEARCHED: dict[str, list[Any]] = {
    "name": ["folded_name", "id", "hint"],
    "used": [sa.text("coalesce(last_used_at, 0)"), "id", "folded_name", "hint"],
    "end": [sa.text("coalesce(expires_at, 9223372036854775807)"), "id", "folded_name", "hint"],
}


def upgrade() -> None:
    """Add the table, and indexes of what is found by a key, a group or its age."""
    op.create_table(
        "account_changes",
        sa.Column("revision", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("object_id", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("revision", name="pk_account_changes"),
    )
    op.create_index("ix_key_secrets_key", "key_secrets", ["key_id"])
    for name, columns in _SEARCHED.items():
        op.drop_index(f"ix_api_keys_{name}", "api_keys")
        op.create_index(f"ix_api_keys_{name}", "api_keys", columns)
    op.create_index("ix_rate_limits_group", "rate_limits", ["group_id"])
    op.create_index("ix_spend_limits_newest", "spend_limits", ["created_at", "id"])
