"""The data folder: where its database is, and whether the folder was used before.

A lost database is never replaced by an empty one: in that, the keys of the settings would be the
first keys again, also if they had been revoked, and nothing that was spent would count.
"""

import os
from pathlib import Path

from antiphon.store.database.errors import StoreError

DATABASE_FILE = "antiphon.db"
JOURNAL_FOLDER = "journal"
# Written when the database is founded, and never removed by the program.
INSTALLATION_FILE = "installation"
_NOTE = "Antiphon has used this folder: its database is antiphon.db.\n"


def database_path(data_dir: Path) -> Path:
    """Return the path of the SQLite database of a data folder."""
    return data_dir / DATABASE_FILE


def is_used(data_dir: Path) -> bool:
    """Return whether a database was founded in this folder; earlier releases left a journal."""
    return (data_dir / INSTALLATION_FILE).exists() or (data_dir / JOURNAL_FOLDER).exists()


def mark_used(data_dir: Path) -> None:
    """Note that the folder has a database. Raises `StoreError`."""
    path = data_dir / INSTALLATION_FILE
    if path.exists():
        return
    try:
        path.write_text(_NOTE, encoding="utf-8")
        path.chmod(0o600)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {os.strerror(error.errno or 0)}") from error


def lost_database(data_dir: Path) -> StoreError:
    """Return the refusal to found a database in a folder that has lost its own."""
    return StoreError(
        f"{database_path(data_dir)} is missing or empty, but {data_dir} was used before: restore "
        "the database with `antiphon restore FILE`, or choose a new folder with --data-dir"
    )
