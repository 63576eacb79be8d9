import resource
import shutil
import signal
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import anyio
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, select

from antiphon.server.app import build_app
from antiphon.service.backup import back_up, restore
from antiphon.service.installation import opened_database
from antiphon.service.platform import Platform
from antiphon.settings import Settings
from antiphon.store.database import migrations
from antiphon.store.database.database import open_database, sqlite_url
from antiphon.store.database.errors import StoreError
from antiphon.store.database.migrations import NEWEST, schema_version
from antiphon.store.database.tables import ledger
from antiphon.store.files import bytes_of_files
from antiphon.store.organizations import find_organization
from support.asgi import HELLO, Client

pytestmark = pytest.mark.anyio


async def ids_in(path: Path) -> list[str]:
    database = await open_database(sqlite_url(path))
    async with database.read() as connection:
        found = list(await connection.scalars(select(ledger.c.id)))
    await database.aclose()
    return found


async def test_backup_has_the_ended_requests_that_are_only_in_the_journal(
    platform: Callable[..., Awaitable[Platform]], tmp_path: Path
) -> None:
    client = Client(build_app(await platform(text="one two three", tokens_per_second=20)))
    holder = sqlite3.connect(tmp_path / "antiphon.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    ended = [await client.create() for _ in range(3)]
    running = client.start("POST", "/v1/messages", {**HELLO, "stream": True})
    await running.until(b"one")
    await back_up(tmp_path, tmp_path / "copy.db")
    holder.close()
    await running.task
    assert sorted(await ids_in(tmp_path / "copy.db")) == sorted(
        answer.headers["request-id"] for answer in ended
    )


async def test_entry_that_is_in_the_database_and_in_a_journal_is_in_the_backup_once(
    platform: Callable[..., Awaitable[Platform]], tmp_path: Path
) -> None:
    started = await platform()
    client = Client(build_app(started))
    await client.create()
    (journal,) = (tmp_path / "journal").glob("*.journal")
    kept = journal.read_bytes()
    await started.ledger.flush()
    (tmp_path / "journal" / "kept.journal").write_bytes(kept)
    await back_up(tmp_path, tmp_path / "copy.db")
    assert len(await ids_in(tmp_path / "copy.db")) == 1


def crashed_now(folder: Path) -> Path:
    """Return a folder with the files of this moment, as after the end of the process."""
    crashed = folder / "crashed"
    (crashed / "journal").mkdir(parents=True)
    for path in (*folder.glob("antiphon.db*"), *folder.glob("journal/*.journal")):
        (crashed / path.relative_to(folder)).write_bytes(path.read_bytes())
    return crashed


def found(folder: Path, pattern: str) -> list[str]:
    return [path.name for path in folder.glob(pattern)]


async def test_request_that_a_crash_has_broken_off_is_in_the_backup(
    platform: Callable[..., Awaitable[Platform]], tmp_path: Path
) -> None:
    client = Client(build_app(await platform(text="one two three", tokens_per_second=20)))
    running = client.start("POST", "/v1/messages", {**HELLO, "stream": True})
    await running.until(b"one")
    crashed = crashed_now(tmp_path)
    await running.task
    await back_up(crashed, tmp_path / "copy.db")
    assert await ids_in(tmp_path / "copy.db") == [running.answer.headers["request-id"]]


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """A folder with a database that no process uses."""
    folder = tmp_path / "data"
    async with opened_database(Settings.load({"data_dir": folder}, environ={})):
        pass
    return folder


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Let this process write no larger files, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


async def test_backup_that_finds_no_room_names_its_own_file_and_leaves_none(
    folder: Path, tmp_path: Path
) -> None:
    with files_of_at_most(65536), pytest.raises(StoreError) as failure:
        await back_up(folder, tmp_path / "copy.db")
    assert str(tmp_path / ".copy.db.unfinished") in str(failure.value)
    assert str(folder) not in str(failure.value)
    assert not found(tmp_path, "*copy*")


async def test_backups_to_one_file_at_once_make_one_whole_backup(
    folder: Path, tmp_path: Path
) -> None:
    target, refusals = tmp_path / "copy.db", []

    async def try_to_back_up() -> None:
        try:
            await back_up(folder, target)
        except StoreError as error:
            refusals.append(str(error))

    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(try_to_back_up)
    assert len(refusals) == 3
    assert all("exists" in refusal for refusal in refusals)
    assert found(tmp_path, "*copy*") == ["copy.db"]
    await restore(tmp_path / "fresh", target, replace=False)


async def test_unfinished_backup_of_another_process_is_left_alone(
    folder: Path, tmp_path: Path
) -> None:
    unfinished = tmp_path / ".copy.db.unfinished"
    unfinished.write_bytes(b"being written")
    with pytest.raises(StoreError, match=r"copy\.db\.unfinished exists: .* delete it"):
        await back_up(folder, tmp_path / "copy.db")
    assert unfinished.read_bytes() == b"being written"


async def test_no_restore_deletes_a_database_that_an_earlier_one_has_replaced(
    folder: Path, tmp_path: Path
) -> None:
    await back_up(folder, tmp_path / "copy.db")
    path = folder / "antiphon.db"
    first = path.read_bytes()
    asides = [(await restore(folder, tmp_path / "copy.db", replace=True)).replaced]
    # As after a restore that was killed between its two renamings.
    path.unlink()
    asides.append((await restore(folder, tmp_path / "copy.db", replace=False)).replaced)
    asides.append((await restore(folder, tmp_path / "copy.db", replace=True)).replaced)
    assert [aside and aside.name for aside in asides] == [
        "antiphon.db.before-restore",
        None,
        "antiphon.db.before-restore-2",
    ]
    with sqlite3.connect(asides[0] or "") as connection:
        assert connection.execute("PRAGMA quick_check").fetchone() == ("ok",)
    connection.close()
    assert len((asides[0] or path).read_bytes()) == len(first)


@pytest.mark.parametrize("way", ["backup", "restore", "data folder"])
async def test_path_that_is_no_utf8_is_refused_in_a_sentence(
    folder: Path, tmp_path: Path, way: str
) -> None:
    odd = tmp_path / "\udce9"
    match way:
        case "backup":
            trying: Awaitable[object] = back_up(folder, odd)
        case "restore":
            odd.touch()
            trying = restore(tmp_path / "fresh", odd, replace=False)
        case _:
            shutil.move(folder, odd)
            trying = back_up(odd, tmp_path / "copy.db")
    with pytest.raises(StoreError, match=r"'.*\\udce9.*' is not UTF-8"):
        await trying
    assert not found(tmp_path, ".*")


def before_files(connection: Connection) -> None:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    command.upgrade(config, "0022")


@pytest.fixture
async def older(tmp_path: Path) -> Path:
    """The backup of a release that kept no files."""
    path = tmp_path / "older.db"
    database = await open_database(sqlite_url(path))
    async with database.write() as connection:
        await connection.run_sync(before_files)
        founded = "INSERT INTO organizations (id, name, created_at) VALUES ('org', 'Lab', 1)"
        await connection.exec_driver_sql(founded)
    await database.aclose()
    return path


async def test_backup_of_an_older_release_is_brought_up_to_date(
    older: Path, tmp_path: Path
) -> None:
    await restore(tmp_path / "data", older, replace=False)
    settings = Settings.load({"data_dir": tmp_path / "data"}, environ={})
    async with opened_database(settings) as database, database.read() as connection:
        assert await connection.run_sync(schema_version) == NEWEST
        organization = await find_organization(connection)
        assert organization is not None
        assert organization.name == "Lab"
        assert await bytes_of_files(connection) == 0


async def test_backup_of_a_newer_release_is_refused(older: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(older)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    with pytest.raises(StoreError, match="schema '9999', which this release does not know"):
        await restore(tmp_path / "data", older, replace=False)
    assert found(tmp_path / "data", "antiphon.db*") == []
