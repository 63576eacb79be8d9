from pathlib import Path

import pytest

from antiphon.service.platform import opened_database
from antiphon.settings import Settings
from antiphon.store.data_folder import INSTALLATION_FILE, JOURNAL_FOLDER, database_path
from antiphon.store.database.errors import StoreError

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
