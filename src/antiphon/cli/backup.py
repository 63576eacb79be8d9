"""`antiphon backup`: copies the database into a file, also while a server runs."""

import argparse
import asyncio
from pathlib import Path

from antiphon.cli.command import CommandError, as_command
from antiphon.cli.output import decimal_size, say
from antiphon.service.backup import back_up
from antiphon.settings import Settings, other_default_folder
from antiphon.store.data_folder import refuse_without_database
from antiphon.store.database.dumps import dump_command


def add_to(family: argparse.ArgumentParser) -> None:
    """Set up the command."""
    as_command(family, _backup, json=False)
    family.add_argument("file", metavar="FILE", help="a new file, which holds all keys and bills")


def _backup(arguments: argparse.Namespace, settings: Settings) -> int:
    if settings.database_url is not None:
        command = dump_command(settings.database_url.reveal(), arguments.file)
        raise CommandError(f"PostgreSQL backs itself up: {command}")
    refuse_without_database(settings.data_dir, other_default_folder(settings.data_dir))
    size = asyncio.run(back_up(settings.data_dir, Path(arguments.file)))
    say(f"Wrote {arguments.file} ({decimal_size(size)}).")
    return 0
