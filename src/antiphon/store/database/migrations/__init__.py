"""Migrates a database of an older release, or an empty one, to this release."""

from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from antiphon.core.billing.rollups import KEPT_FOR
from antiphon.store.database.batch_tables import add_conditions_on_postgresql
from antiphon.store.database.changes import ACCOUNTS, BATCHES
from antiphon.store.database.database import Database
from antiphon.store.database.errors import StoreError
from antiphon.store.database.file_tables import metadata
from antiphon.store.database.rollup_tables import usage_floors
from antiphon.store.database.tables import DAY, revisions

# The newest file of versions/, so that Alembic is imported only for a migration.
NEWEST = "0027"

# An arbitrary number, unlikely to be another program's: "antiphon" on a phone keypad.
_MIGRATION_LOCK = 26844745
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class EmptyDatabaseError(StoreError):
    """The database has no tables, and none may be created."""


async def migrate(database: Database, *, may_create: bool = True) -> None:
    """Bring the tables up to date; do nothing if they are.

    Several processes may call it at once: one migrates, the others wait for it. Raises
    `EmptyDatabaseError` for an empty database unless tables may be created in it.
    """
    async with database.read() as connection:
        if await connection.run_sync(schema_version) == NEWEST:
            return
    async with database.write() as connection:
        await connection.run_sync(partial(_upgrade, may_create=may_create))


def schema_version(connection: Connection) -> str | None:
    """Return the version of the tables of a database; `None` if it has none."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    version = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if version is None else str(version)


def _upgrade(connection: Connection, *, may_create: bool) -> None:
    _lock(connection)
    if inspect(connection).get_table_names():
        _migrate(connection)
    elif may_create:
        _create(connection)
    else:
        raise EmptyDatabaseError("The database is empty")


def _create(connection: Connection) -> None:
    """Create the tables of an empty database, as all migrations together would."""
    if connection.dialect.name == "postgresql":
        add_conditions_on_postgresql()
    metadata.create_all(connection, checkfirst=False)
    if connection.dialect.name == "sqlite":
        # Not in `metadata`: Alembic cannot compare an index by an expression.
        columns = f"({DAY}), workspace_id, api_key_id, cost"
        connection.exec_driver_sql(f"CREATE INDEX ix_ledger_days ON ledger ({columns})")
    rows = [{"name": name, "value": 0} for name in (ACCOUNTS, BATCHES)]
    connection.execute(revisions.insert(), rows)
    floors = [{"width": width // _MICROSECOND, "start": _EPOCH} for width in KEPT_FOR]
    connection.execute(usage_floors.insert(), floors)
    connection.exec_driver_sql(
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, "
        "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
    )
    connection.exec_driver_sql(f"INSERT INTO alembic_version VALUES ('{NEWEST}')")  # noqa: S608 - our own name


def _migrate(connection: Connection) -> None:
    # Alembic takes as long to import as half of the server, and most starts migrate nothing.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    config = Config(attributes={"connection": connection})
    # Alembic interpolates its options, so a percent sign in the path has to be doubled.
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise StoreError(
            f"The database has the schema {schema_version(connection)!r}, which this release does "
            f"not know; its own is {NEWEST!r}. Run the release that made it, or a newer one"
        ) from error


def _lock(connection: Connection) -> None:
    """Let one process migrate at a time. On SQLite the write transaction is the lock."""
    if connection.dialect.name == "postgresql":
        # A migration of another process may take minutes.
        connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")
