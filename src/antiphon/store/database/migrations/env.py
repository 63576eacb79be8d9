"""Alembic runs this file, with the connection and the transaction of its caller."""

from alembic import context

from antiphon.store.database.file_tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # A migration and its version number are in one transaction, on SQLite as well.
    transactional_ddl=True,
    # SQLite changes a table by copying it.
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
