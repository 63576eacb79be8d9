"""The tables of the Console: passwords, identities, sessions of browsers, one-time links."""

from sqlalchemy import (
    Column,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)

from antiphon.store.database.batch_tables import metadata
from antiphon.store.database.tables import Moment

# `metadata` is exported: whoever creates every table takes it from here.
__all__ = [
    "answered_requests",
    "console_links",
    "console_sessions",
    "identities",
    "metadata",
    "passwords",
]

# `hash` is one of argon2id, in the format of its reference implementation. A user without a row
# cannot sign in by a password.
passwords = Table(
    "passwords",
    metadata,
    Column("user_id", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Column("changed_at", Moment, nullable=False),
    PrimaryKeyConstraint("user_id", name="pk_passwords"),
    ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_passwords_user", ondelete="CASCADE"),
)

# `digest` is that of the token in the cookie. Until `renews_until` the session may set a password
# without the current one: it began with a link. `provider` is the issuer by which it began, if it
# can be ended there too, and `id_token` what tells the provider which of its sessions that is.
console_sessions = Table(
    "console_sessions",
    metadata,
    Column("digest", LargeBinary, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("last_used_at", Moment, nullable=False),
    Column("ends_at", Moment, nullable=False),
    Column("renews_until", Moment),
    Column("provider", Text),
    Column("id_token", Text),
    PrimaryKeyConstraint("digest", name="pk_console_sessions"),
    ForeignKeyConstraint(
        ["user_id"], ["users.id"], name="fk_console_sessions_user", ondelete="CASCADE"
    ),
    Index("ix_console_sessions_user", "user_id", "created_at"),
)

# A link works once: its use removes the row. `kind` is setup, sign_in or invite; `subject` is the
# id of the user or of the invite.
console_links = Table(
    "console_links",
    metadata,
    Column("digest", LargeBinary, nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject", Text),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    PrimaryKeyConstraint("digest", name="pk_console_links"),
)

# Who a user is at an OpenID provider. Without a user, it is that of a user who was removed: such a
# person comes back by an invite only.
identities = Table(
    "identities",
    metadata,
    Column("issuer", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("user_id", Text),
    Column("linked_at", Moment, nullable=False),
    PrimaryKeyConstraint("issuer", "subject", name="pk_identities"),
    UniqueConstraint("issuer", "user_id", name="uq_identities_user"),
    ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_identities_user", ondelete="SET NULL"),
    Index("ix_identities_user", "user_id"),
)

# The requests for authorization that were answered, so that no answer counts twice. A row goes
# when the request would have expired anyway.
answered_requests = Table(
    "answered_requests",
    metadata,
    Column("digest", LargeBinary, nullable=False),
    Column("expires_at", Moment, nullable=False),
    PrimaryKeyConstraint("digest", name="pk_answered_requests"),
)
