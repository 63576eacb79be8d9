import errno
import os
import sqlite3
from functools import partial
from pathlib import Path
from typing import Any

import aiosqlite
import asyncpg
import pytest
from sqlalchemy import make_url

from antiphon.service.installation import opened_database
from antiphon.service.platform import build_platform
from antiphon.settings import Settings
from antiphon.store.data_folder import (
    INSTALLATION_FILE,
    JOURNAL_FOLDER,
    DataFolderError,
    database_path,
    open_data_folder,
    unusable,
)
from antiphon.store.database.database import open_database, server_database_name
from antiphon.store.database.errors import StoreError
from antiphon.store.database.instance_lock import (
    Holder,
    OccupiedError,
    holder_of,
    lock_data_dir,
    serving_address,
)

pytestmark = pytest.mark.anyio


async def open_once(data_dir: Path) -> None:
    async with opened_database(Settings.load({"data_dir": data_dir}, environ={})):
        pass


async def test_folder_that_was_used_gets_no_second_database(tmp_path: Path) -> None:
    await open_once(tmp_path)
    database_path(tmp_path).unlink()
    for _ in range(2):
        with pytest.raises(
            StoreError, match=r"was used before.*`antiphon restore FILE`.*--data-dir"
        ):
            await open_once(tmp_path)
    assert not database_path(tmp_path).exists()


async def test_empty_file_in_a_used_folder_is_no_database(tmp_path: Path) -> None:
    await open_once(tmp_path)
    database_path(tmp_path).write_bytes(b"")
    with pytest.raises(StoreError, match="missing or empty"):
        await open_once(tmp_path)


async def test_journal_of_an_earlier_release_marks_a_folder_as_used(tmp_path: Path) -> None:
    (tmp_path / JOURNAL_FOLDER).mkdir()
    with pytest.raises(StoreError, match="was used before"):
        await open_once(tmp_path)


async def test_folder_of_an_earlier_release_is_opened_and_marked(tmp_path: Path) -> None:
    await open_once(tmp_path)
    (tmp_path / INSTALLATION_FILE).unlink()
    (tmp_path / JOURNAL_FOLDER).mkdir()
    await open_once(tmp_path)
    assert (tmp_path / INSTALLATION_FILE).stat().st_mode & 0o777 == 0o600


async def test_folder_whose_first_start_was_killed_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "server.lock").touch()
    database_path(tmp_path).touch()
    await open_once(tmp_path)


async def start_once(data_dir: Path, url: str | None = None) -> None:
    """Build a platform, as a start of the server does."""
    flags = {"data_dir": data_dir} | ({} if url is None else {"database_url": url})
    async with build_platform(Settings.load(flags, environ={}), ()):
        pass


async def error_of_start(data_dir: Path, url: str | None = None) -> str:
    with pytest.raises(StoreError) as caught:
        await start_once(data_dir, url)
    return str(caught.value)


@pytest.mark.empty_database
async def test_folder_that_was_used_founds_no_second_database_on_a_server(
    tmp_path: Path, postgres_url: str
) -> None:
    name = server_database_name(postgres_url)
    await start_once(tmp_path)
    assert await error_of_start(tmp_path, postgres_url) == (
        f"{name} is empty, but {tmp_path} was used before with antiphon.db: remove database_url "
        "to use antiphon.db again, or choose a new folder with --data-dir"
    )
    # Nothing was founded: a new folder founds it.
    await start_once(tmp_path / "new", postgres_url)
    await start_once(tmp_path, postgres_url)


@pytest.mark.empty_database
async def test_database_on_a_server_that_was_emptied_is_not_founded_again(
    tmp_path: Path, postgres_url: str
) -> None:
    name = server_database_name(postgres_url)
    await start_once(tmp_path, postgres_url)
    connection = await asyncpg.connect(postgres_url)
    try:
        await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    finally:
        await connection.close()
    assert await error_of_start(tmp_path, postgres_url) == (
        f"{name} is empty, but {tmp_path} was used before with {name}: restore the database with "
        "pg_restore, or correct database_url, or choose a new folder with --data-dir"
    )
    # As if the URL was forgotten.
    assert f"set database_url to {name}" in await error_of_start(tmp_path)
    (tmp_path / INSTALLATION_FILE).write_bytes(b"\xff")
    assert "was used before: restore" in await error_of_start(tmp_path, postgres_url)


async def test_note_of_a_folder_holds_no_password(tmp_path: Path, postgres_url: str) -> None:
    url = make_url(postgres_url).set(password="hunter2")
    await start_once(tmp_path, url.render_as_string(hide_password=False))
    assert "hunter2" not in (tmp_path / INSTALLATION_FILE).read_text(encoding="utf-8")


@pytest.mark.empty_database
async def test_empty_database_on_a_server_is_refused_by_what_only_reads(
    tmp_path: Path, postgres_url: str
) -> None:
    settings = Settings.load({"data_dir": tmp_path, "database_url": postgres_url}, environ={})
    with pytest.raises(StoreError, match=r"is empty: correct database_url; `antiphon serve`"):
        async with opened_database(settings, may_found=False):
            pass


async def lock_once(data_dir: Path, address: str = "") -> None:
    with lock_data_dir(data_dir, address):
        pass


def error_of(data_dir: Path) -> str:
    with pytest.raises(DataFolderError) as caught:
        open_data_folder(data_dir)
    return str(caught.value)


def test_missing_folder_is_made_for_its_owner_alone_and_stays_empty(tmp_path: Path) -> None:
    open_data_folder(tmp_path / "new" / "data")
    assert (tmp_path / "new" / "data").stat().st_mode & 0o777 == 0o700
    assert not list((tmp_path / "new" / "data").iterdir())


def test_file_in_place_of_the_folder_or_above_it_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for data_dir in (file, file / "data", file / "more" / "data"):
        assert error_of(data_dir) == (
            f"the data folder {data_dir} cannot be used: {file} is not a folder. "
            "Choose another one with --data-dir"
        )


def test_link_that_leads_nowhere_is_no_folder(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "nowhere")
    assert f"{link} is not a folder" in error_of(link)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="has no folder that takes no file")
def test_folder_that_takes_no_file_is_named_with_the_flag() -> None:
    said = error_of(Path("/proc/self/antiphon"))
    assert said.startswith("the data folder /proc/self/antiphon cannot be used: ")
    assert said.endswith("Choose another one with --data-dir")


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.EACCES, "permission denied. Choose another one"),
        (errno.EROFS, "its file system is read-only. Choose another one"),
        (errno.ENOSPC, "its disk is full. Free some space"),
        (errno.EDQUOT, "its disk is full. Free some space"),
        (errno.EIO, f"{os.strerror(errno.EIO)}. Choose another one"),
    ],
)
def test_reason_of_the_system_is_put_in_words(number: int, reason: str, tmp_path: Path) -> None:
    said = str(unusable(tmp_path, OSError(number, os.strerror(number))))
    assert f"the data folder {tmp_path} cannot be used: {reason}" in said
    assert "--data-dir" in said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives folders away")
def test_folder_of_another_user_is_told_with_the_user(tmp_path: Path) -> None:
    os.chown(tmp_path, 65534, 65534)
    said = str(unusable(tmp_path / "data", PermissionError(errno.EACCES, "denied")))
    assert f"permission denied, as {tmp_path} belongs to the user nobody." in said


async def test_disk_that_is_full_while_the_database_is_founded_is_told_and_harms_nothing(
    tmp_path: Path,
) -> None:
    settings = Settings.load({"data_dir": tmp_path}, environ={})

    def small(path: str, **options: Any) -> aiosqlite.Connection:
        def connect() -> sqlite3.Connection:
            connection = sqlite3.connect(path, **options)
            connection.execute("PRAGMA max_page_count = 20")
            return connection

        return aiosqlite.Connection(connect, 64)

    with pytest.raises(DataFolderError, match=r"its disk is full\. Free some space.*--data-dir"):
        async with opened_database(settings, open_database=partial(open_database, connect=small)):
            pass
    await open_once(tmp_path)


@pytest.mark.parametrize("lock", [True, False])
async def test_every_way_into_the_folder_names_it(lock: bool, tmp_path: Path) -> None:
    data_dir = tmp_path / "file"
    data_dir.touch()
    with pytest.raises(DataFolderError, match="--data-dir"):
        await (lock_once(data_dir) if lock else open_once(data_dir))


async def test_error_of_a_locked_folder_names_the_process_and_its_address(tmp_path: Path) -> None:
    with lock_data_dir(tmp_path, "127.0.0.1:8000"), pytest.raises(OccupiedError) as caught:
        await lock_once(tmp_path, "127.0.0.1:9000")
    said = str(caught.value)
    assert said.startswith(
        f"another server (process {os.getpid()} on 127.0.0.1:8000) uses the data folder {tmp_path}"
    )
    assert "--data-dir" in said
    assert "counters_url" in said
    with lock_data_dir(tmp_path):
        assert (tmp_path / "server.lock").read_text() == f"{os.getpid()} \n"


@pytest.mark.parametrize("content", ["", "nonsense", "12 \x1b[31m\n", "\udcff"])
async def test_lock_file_that_cannot_be_read_names_nobody(content: str, tmp_path: Path) -> None:
    with lock_data_dir(tmp_path):
        (tmp_path / "server.lock").write_bytes(content.encode(errors="surrogateescape"))
        with pytest.raises(OccupiedError, match="another server uses the data folder"):
            await lock_once(tmp_path)


def test_address_of_a_server_is_known_while_it_runs(tmp_path: Path) -> None:
    assert serving_address(tmp_path) is None
    with lock_data_dir(tmp_path, "127.0.0.1:9351"):
        assert serving_address(tmp_path) == "127.0.0.1:9351"
    # The file still names this process, which runs, but holds no lock.
    assert "9351" in (tmp_path / "server.lock").read_text()
    assert serving_address(tmp_path) is None
    with lock_data_dir(tmp_path):
        assert serving_address(tmp_path) is None


def test_server_that_names_no_address_holds_the_folder(tmp_path: Path) -> None:
    with lock_data_dir(tmp_path):
        assert holder_of(tmp_path) == Holder(os.getpid(), "")
    assert holder_of(tmp_path) is None


@pytest.mark.parametrize(
    "content", ["nonsense", f"{2**22 + 1} [::1]:9351\n", f"{10**30} a:1\n", "1 a:b\n"]
)
def test_what_names_no_running_process_has_no_address(content: str, tmp_path: Path) -> None:
    with lock_data_dir(tmp_path):
        (tmp_path / "server.lock").write_text(content)
        assert serving_address(tmp_path) is None
