import asyncio
import subprocess
import sys
import warnings
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import TypeAlias

import asyncpg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from msgspec import structs
from msgspec.structs import replace
from sqlalchemy import Connection, Text, inspect, text

from antiphon.core.billing.rollups import HOUR, MINUTE, WIDTHS
from antiphon.core.pagination import IdCursor
from antiphon.store.accounts import KeyKind, KeyStatus, active_secrets, count_keys, list_keys
from antiphon.store.audit import AuditFilter, list_audit_entries
from antiphon.store.database import migrations
from antiphon.store.database.batch_tables import message_batches
from antiphon.store.database.changes import revision
from antiphon.store.database.database import Database, open_database
from antiphon.store.database.errors import StoreError
from antiphon.store.database.migrations import NEWEST, migrate, versions
from antiphon.store.database.rollup_tables import DIMENSIONS
from antiphon.store.database.tables import ledger, metadata
from antiphon.store.ledger import SpentOnDay, add_entries, spent_by_day
from antiphon.store.listings import Selection, page_of_users
from antiphon.store.reports import ReportQuery, sums
from antiphon.store.rollups import MEASURES, SUMMARY, rollup_floors
from support.ledger import NOON, an_entry
from support.logs import capture_logs

OpenDatabase: TypeAlias = Callable[[], Awaitable[Database]]

BEFORE_ROLLUPS = "0010"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

pytestmark = pytest.mark.anyio

# Imports once, and migrates in so many processes: each import takes a second of a core.
MIGRATE = """
import asyncio, os, sys
from antiphon.store.database.batch_tables import message_batches
from antiphon.store.database.database import open_database
from antiphon.store.database.migrations import migrate

async def main(gate):
    database = await open_database(sys.argv[1])
    os.write(1, b"ready\\n")
    os.read(gate, 1)
    await migrate(database)
    await database.aclose()
    os.write(1, b"%a\\n" % ("alembic" in sys.modules))

if sys.argv[3:]:
    __import__("alembic.command")
# The gate opens for all at once, when nobody can write to it any more.
gate, opener = os.pipe()
for _ in range(int(sys.argv[2])):
    if not os.fork():
        os.close(opener)
        asyncio.run(main(gate))
        sys.exit()
sys.stdin.readline()
os.close(opener)
ends = [os.wait()[1] for _ in range(int(sys.argv[2]))]
sys.exit(any(ends))
"""


def differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    with warnings.catch_warnings():
        # Indexes of expressions cannot be compared on SQLite: test_spent.py and test_listings.py
        # show that they are there, and used.
        warnings.filterwarnings("ignore", "Skipped unsupported reflection of expression-based")
        warnings.filterwarnings("ignore", "autogenerate skipping metadata-specified expression")
        return list(compare_metadata(context, metadata))


SCHEMA = {
    "sqlite": "SELECT type, name, sql FROM sqlite_master",
    "postgresql": """
        SELECT 'column', concat_ws(' ', table_name, ordinal_position, column_name),
            concat_ws(' ', data_type, character_maximum_length, is_nullable, column_default)
        FROM information_schema.columns WHERE table_schema = current_schema()
        UNION ALL SELECT 'constraint', conname, pg_get_constraintdef(oid)
        FROM pg_constraint
        WHERE connamespace = current_schema()::regnamespace AND contype <> 'n'
        UNION ALL SELECT 'index', indexname, indexdef
        FROM pg_indexes WHERE schemaname = current_schema()
    """,
}


def everything(connection: Connection) -> list[tuple[str, ...]]:
    """Every table, column, constraint and index, and the rows that are there from the start."""
    schema = connection.exec_driver_sql(SCHEMA[connection.dialect.name]).all()
    rows = [
        (name, str(connection.exec_driver_sql(f"SELECT * FROM {name}").all()))  # noqa: S608 - names of our own tables
        for name in inspect(connection).get_table_names()
    ]
    # Alembic's own table is written with other spaces than SQLAlchemy writes.
    plain = [tuple("".join(str(part).replace('"', "").split()) for part in row) for row in schema]
    return sorted([*plain, *rows])


def drop_everything(connection: Connection) -> None:
    metadata.drop_all(connection)
    connection.exec_driver_sql("DROP TABLE alembic_version")


async def migrated(url: str, processes: int, *preload: str) -> list[bytes]:
    """Migrate in so many processes at once; return whether each of them has imported Alembic."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-W",
        "error",
        "-c",
        MIGRATE,
        url,
        str(processes),
        *preload,
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
    )
    assert process.stdout is not None
    async with asyncio.timeout(60):
        for _ in range(processes):
            assert await process.stdout.readline() == b"ready\n"
    output, errors = await process.communicate(b"go\n")
    assert (process.returncode, errors) == (0, b"")
    return output.splitlines()


async def test_empty_database_gets_the_tables_that_the_code_expects(database: Database) -> None:
    async with database.read() as connection:
        assert await connection.run_sync(differences) == []
        assert await count_keys(connection) == 0
        assert await revision(connection) == 0


async def test_new_database_is_what_the_migrations_would_have_made(database: Database) -> None:
    async with database.write() as connection:
        made = await connection.run_sync(everything)
        await connection.run_sync(drop_everything)
        assert await connection.run_sync(everything) != made
        await connection.run_sync(upgrade_to("head"))
        migrated = await connection.run_sync(everything)
    assert made == migrated


async def test_schema_of_other_releases_becomes_the_newest(database: Database) -> None:
    """`make soak` begins at each; the way from the first to the newest has all migrations."""
    releases = [one.revision for one in scripts().walk_revisions()]
    assert len(releases) > 9
    await become_the_newest(database, releases[1], releases[len(releases) // 2], releases[-1])


@pytest.mark.soak
async def test_schema_of_every_release_becomes_the_newest(database: Database) -> None:
    await become_the_newest(database, *(one.revision for one in scripts().walk_revisions()))


async def become_the_newest(database: Database, *releases: str) -> None:
    async with database.write() as connection:
        newest = await connection.run_sync(everything)
    for release in releases:
        async with database.write() as connection:
            await connection.run_sync(drop_everything)
            await connection.run_sync(upgrade_to(release))
            assert (await connection.run_sync(everything) == newest) == (release == NEWEST)
        await migrate(database)
        async with database.read() as connection:
            assert await connection.run_sync(everything) == newest


async def test_second_migration_is_harmless(database: Database) -> None:
    await migrate(database)
    async with database.read() as connection:
        version = await connection.scalar(text("SELECT version_num FROM alembic_version"))
    assert version == NEWEST


@pytest.mark.empty_database
@pytest.mark.parametrize("before", [pytest.param(None, marks=pytest.mark.soak), "0005"])
async def test_processes_that_migrate_at_once_do_it_once(
    url: str, opened: OpenDatabase, before: str | None
) -> None:
    if before is not None:
        async with (await opened()).write() as connection:
            await connection.run_sync(upgrade_to(before))
    assert await migrated(url, 4, "alembic") == [b"True"] * 4
    async with (await opened()).read() as connection:
        assert await connection.run_sync(differences) == []


async def test_process_that_has_nothing_to_migrate_imports_no_alembic(
    url: str, database: Database
) -> None:
    assert database
    assert await migrated(url, 1) == [b"False"]


@pytest.mark.empty_database
async def test_empty_database_is_filled_without_alembic(url: str, opened: OpenDatabase) -> None:
    assert await opened()
    assert await migrated(url, 1) == [b"False"]


async def test_database_of_a_newer_release_is_refused_and_left_alone(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match=r"the schema '9999', which this release does not know"):
        await migrate(database)
    async with database.read() as connection:
        assert await connection.run_sync(differences) == []


@pytest.mark.empty_database
async def test_failed_migration_leaves_nothing(opened: OpenDatabase) -> None:
    database = await opened()
    async with database.write() as connection:
        await connection.execute(text("CREATE TABLE revision (name text)"))
    with pytest.raises(StoreError, match="already exists"):
        await migrate(database)
    async with database.read() as connection:
        tables = await connection.run_sync(lambda sync: inspect(sync).get_table_names())
    assert tables == ["revision"]


def scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    return ScriptDirectory.from_config(config)


def test_migrations_are_one_chain_named_by_their_files() -> None:
    # Alembic itself warns of two files with one revision, and takes the last of them.
    names = sorted(Path(versions.__file__).parent.glob("v*.py"))
    files = [import_module(f"{versions.__name__}.{name.stem}") for name in names]
    numbers = [f"{number:04}" for number in range(1, len(files) + 1)]
    assert [name.stem[1:5] for name in names] == numbers
    assert [file.revision for file in files] == numbers
    assert [file.down_revision for file in files] == [None, *numbers[:-1]]
    assert numbers[-1] == NEWEST
    assert scripts().get_heads() == [NEWEST]


def test_import_of_migrations_costs_no_alembic() -> None:
    program = "import sys, antiphon.store.database.migrations; print('alembic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout == b"False\n"


def upgrade_to(version: str) -> Callable[[Connection], None]:
    def upgrade(connection: Connection) -> None:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(Path(migrations.__file__).parent))
        command.upgrade(config, version)

    return upgrade


@pytest.mark.empty_database
async def test_keys_of_the_release_before_are_active_after_the_migration(
    opened: OpenDatabase,
) -> None:
    database = await opened()
    async with database.write() as connection:
        await connection.run_sync(upgrade_to("0002"))
        for number, status in enumerate(("active", "revoked")):
            await connection.execute(
                text(
                    "INSERT INTO api_keys (id, name, digest, hint, status, created_at, revoked_at)"
                    " VALUES (:id, 'laptop', :digest, 'h', :status, 5, :revoked_at)"
                ),
                {
                    "id": f"apikey_{number}",
                    "digest": bytes([number]),
                    "status": status,
                    "revoked_at": 7 if number else None,
                },
            )
    await migrate(database)
    async with database.read() as connection:
        opening = await active_secrets(connection)
        active, archived = await list_keys(connection)
    assert list(opening) == [b"\x00"]
    assert opening[b"\x00"].key == active
    assert (active.status, archived.status) == (KeyStatus.ACTIVE, KeyStatus.ARCHIVED)
    assert (archived.archived_at, active.kind) == (EPOCH + timedelta(microseconds=7), KeyKind.API)


@pytest.mark.empty_database
async def test_names_and_actors_of_the_release_before_are_found(opened: OpenDatabase) -> None:
    database = await opened()
    async with database.write() as connection:
        await connection.run_sync(upgrade_to("0014"))
        await connection.execute(
            text(
                "INSERT INTO users (id, email, name, role, added_at)"
                " VALUES ('user_1', 'a@example.org', 'Ärztin', 'user', 5)"
            )
        )
        for number, actor in enumerate(('{"type": "user", "id": "user_1"}', '{"type": "server"}')):
            await connection.exec_driver_sql(
                "INSERT INTO audit_log (id, at, actor, action, object_type, object_id)"  # noqa: S608
                f" VALUES ('audit_{number}', 5, '{actor}', 'user.create', 'user', 'user_1')"
            )
    await migrate(database)
    async with database.read() as connection:
        page = await page_of_users(connection, IdCursor(), Selection(contains="ärZ"))
        changes = await list_audit_entries(
            connection, limit=9, wanted=AuditFilter(actor_id="user_1")
        )
    assert [user.name for user in page.records] == ["Ärztin"]
    assert [one.id for one in changes] == ["audit_0"]


@pytest.mark.empty_database
async def test_ledger_of_the_release_before_is_added_up_to_the_same(opened: OpenDatabase) -> None:
    database = await opened()
    columns = [column.name for column in ledger.columns if not column.nullable]
    numbers = dict.fromkeys(columns, 7) | {"started_at": 86_400_000_000, "cost": 11}
    row = numbers | {column.name: "x" for column in ledger.columns if isinstance(column.type, Text)}
    names = ", ".join(row)
    values = ", ".join(f":{name}" for name in row)
    async with database.write() as connection:
        await connection.run_sync(upgrade_to("0005"))
        insert = text(f"INSERT INTO ledger ({names}) VALUES ({values})")  # noqa: S608 - columns
        await connection.execute(insert, row)
        await connection.execute(insert, row | {"id": "y"})
    await migrate(database)
    async with database.read() as connection:
        assert await spent_by_day(connection, EPOCH.date()) == (
            SpentOnDay(EPOCH.date() + timedelta(days=1), "x", "x", 22),
        )


@pytest.mark.empty_database
async def test_ledger_of_the_release_before_is_rolled_up(opened: OpenDatabase) -> None:
    database = await opened()
    ages = [timedelta(0), timedelta(hours=2), timedelta(days=2), timedelta(days=3)]
    ages += [timedelta(days=89), timedelta(days=90), timedelta(days=400)]
    entries = [
        replace(an_entry(number, NOON - age), first_token_at=NOON - age + timedelta(seconds=number))
        for number, age in enumerate(ages)
    ]
    # What that release does not have comes with a later migration.
    later = {"money_us", "web_searches", "web_search_cost"}
    names = [column.name for column in ledger.columns if column.name not in later]
    columns = ", ".join(names)
    values = ", ".join(f":{name}" for name in names)
    async with database.write() as connection:
        await connection.run_sync(upgrade_to("head"))
        await add_entries(connection, entries)
        rows = (await connection.execute(text("SELECT * FROM ledger"))).mappings().all()
        await connection.run_sync(drop_everything)
        await connection.run_sync(upgrade_to(BEFORE_ROLLUPS))
        insert = text(f"INSERT INTO ledger ({columns}) VALUES ({values})")  # noqa: S608 - columns
        await connection.execute(insert, [{name: row[name] for name in names} for row in rows])
    with capture_logs() as logs:
        await migrate(database)
    # The first of every ten days is told.
    assert [(log["event"], log["day"], log["last"]) for log in logs] == [
        ("database.sums_up_the_ledger", (NOON - ages[-1]).date().isoformat(), "2026-07-01")
    ]
    # The newest three days have minutes, the newest ninety hours.
    midnight = NOON.replace(hour=0)
    async with database.read() as connection:
        assert await rollup_floors(connection) == {
            MINUTE: midnight - timedelta(days=2),
            HOUR: midnight - timedelta(days=89),
        }
        counts = text("SELECT width, count(*) FROM usage_rollups WHERE width > 0 GROUP BY width")
        kept = {row[0]: row[1] for row in (await connection.execute(counts)).all()}
        assert kept == {60_000_000: 3, 3_600_000_000: 5, 86_400_000_000: 6}
        for width in WIDTHS:
            asked = ReportQuery(
                start=NOON - timedelta(days=500),
                end=NOON + timedelta(days=1),
                width=width,
                default_workspace="",
            )
            for dimensions in (DIMENSIONS, SUMMARY):
                kept = structs.replace(asked, group_by=dimensions)
                exact = structs.replace(kept, from_ledger=True)
                assert await sums(connection, kept, tuple(MEASURES)) == await sums(
                    connection, exact, tuple(MEASURES)
                )


@pytest.mark.empty_database
async def test_batches_of_the_release_before_have_the_costs_of_their_entries(
    opened: OpenDatabase,
) -> None:
    database = await opened()
    columns = [column for column in message_batches.columns if column.name != "cost"]
    numbers = {one.name: 7 for one in columns if not one.nullable}
    row = numbers | {"version": "x", "betas": "[]", "ready": True}
    names, values = ", ".join(row), ", ".join(f":{name}" for name in row)
    entry = {column.name: 7 for column in ledger.columns if not column.nullable}
    entry |= {column.name: "x" for column in ledger.columns if isinstance(column.type, Text)}
    entries = [
        entry | {"id": f"req_{number}", "batch_id": batch, "cost": 11}
        for number, batch in enumerate(["msgbatch_1", "msgbatch_1", None])
    ]
    facts, marks = ", ".join(entry), ", ".join(f":{name}" for name in entry)
    async with database.write() as connection:
        await connection.run_sync(upgrade_to("0018"))
        insert = text(f"INSERT INTO message_batches ({names}) VALUES ({values})")  # noqa: S608 - columns
        await connection.execute(insert, [row | {"id": f"msgbatch_{one}"} for one in (1, 2)])
        add = text(f"INSERT INTO ledger ({facts}) VALUES ({marks})")  # noqa: S608 - columns
        await connection.execute(add, entries)
    await migrate(database)
    async with database.read() as connection:
        found = await connection.execute(text("SELECT id, cost FROM message_batches ORDER BY id"))
        assert [tuple(one) for one in found] == [("msgbatch_1", 22), ("msgbatch_2", 0)]


@pytest.mark.empty_database
async def test_migration_waits_for_that_of_another_process_as_long_as_it_takes(
    postgres_url: str,
) -> None:
    other = await asyncpg.connect(postgres_url)
    await other.execute("SELECT pg_advisory_lock(26844745)")
    database = await open_database(postgres_url, patience_s=0.5)
    migrating = asyncio.create_task(migrate(database))
    await asyncio.sleep(2)
    assert not migrating.done()
    await other.close()
    await migrating
    await database.aclose()
