"""The organization: users, workspaces, keys with two secrets, limits, the audit log."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create the new tables, and copy the keys: a revoked key becomes an archived one."""
    _create_organization()
    _create_limits()
    op.rename_table("api_keys", "old_api_keys")
    _create_keys()
    _carry_keys()
    op.drop_table("old_api_keys")


def _create_organization() -> None:
    _create(
        "organizations",
        ["id"],
        _text("id"),
        _text("name"),
        _moment("created_at"),
    )
    _create(
        "users",
        ["id"],
        _text("id"),
        _text("email"),
        _text("name"),
        _text("role"),
        _moment("added_at"),
        sa.UniqueConstraint("email", name="uq_users_email"),
    )
    _create(
        "invites",
        ["id"],
        _text("id"),
        _text("email"),
        _text("role"),
        _moment("invited_at"),
        _moment("expires_at"),
        _moment("accepted_at", nullable=True),
        _moment("deleted_at", nullable=True),
    )
    _create(
        "workspaces",
        ["id"],
        _text("id"),
        _text("name"),
        _text("display_color"),
        sa.Column("tags", sa.JSON, nullable=False),
        sa.Column("is_default", sa.Boolean, nullable=False),
        _moment("created_at"),
        _moment("archived_at", nullable=True),
    )
    _create(
        "workspace_members",
        ["workspace_id", "user_id"],
        _text("workspace_id"),
        _text("user_id"),
        _text("workspace_role"),
        _moment("added_at"),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name="fk_members_workspace"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_members_user", ondelete="CASCADE"
        ),
    )


def _create_limits() -> None:
    _create(
        "rate_limits",
        ["scope", "scope_id", "group_id", "type"],
        _text("scope"),
        _text("scope_id"),
        _text("group_id"),
        _text("type"),
        sa.Column("value", sa.BigInteger, nullable=False),
    )
    _create(
        "spend_limits",
        ["id"],
        _text("id"),
        _text("scope"),
        _text("scope_id"),
        _text("period"),
        sa.Column("amount", sa.BigInteger, nullable=False),
        _moment("created_at"),
        _moment("updated_at"),
        sa.UniqueConstraint("scope", "scope_id", "period", name="uq_spend_limits_scope"),
    )
    _create(
        "audit_log",
        ["id"],
        _text("id"),
        _moment("at"),
        sa.Column("actor", sa.JSON, nullable=False),
        _text("action"),
        _text("object_type"),
        _text("object_id"),
        sa.Column("before", sa.JSON),
        sa.Column("after", sa.JSON),
        _text("request_id", nullable=True),
    )
    op.create_index("ix_audit_log_at", "audit_log", ["at", "id"])


def _create_keys() -> None:
    if op.get_bind().dialect.name == "postgresql":
        # In PostgreSQL constraint names are unique in a schema, and a renamed table keeps its own.
        op.execute("ALTER TABLE old_api_keys RENAME CONSTRAINT pk_api_keys TO pk_old_api_keys")
    _create(
        "api_keys",
        ["id"],
        _text("id"),
        _text("name"),
        _text("kind"),
        _text("status"),
        _text("workspace_id", nullable=True),
        _text("hint"),
        _moment("created_at"),
        _text("created_by", nullable=True),
        _moment("expires_at", nullable=True),
        _moment("archived_at", nullable=True),
        _moment("last_used_at", nullable=True),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name="fk_api_keys_workspace"),
    )
    _create(
        "key_secrets",
        ["digest"],
        sa.Column("digest", sa.LargeBinary, nullable=False),
        _text("key_id"),
        _moment("valid_until", nullable=True),
        sa.ForeignKeyConstraint(["key_id"], ["api_keys.id"], name="fk_key_secrets_key"),
    )


def _carry_keys() -> None:
    # The keys get their workspace, the Default one, when the organization is founded.
    op.execute(
        "INSERT INTO api_keys (id, name, kind, status, hint, created_at, created_by, archived_at) "
        "SELECT id, name, 'api', CASE status WHEN 'revoked' THEN 'archived' ELSE status END, "
        "hint, created_at, created_by, revoked_at FROM old_api_keys"
    )
    op.execute("INSERT INTO key_secrets (digest, key_id) SELECT digest, id FROM old_api_keys")


def _create(name: str, key: list[str], *parts: Any) -> None:
    op.create_table(name, *parts, sa.PrimaryKeyConstraint(*key, name=f"pk_{name}"))


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=nullable)


def _moment(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=nullable)
