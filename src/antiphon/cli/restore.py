"""`antiphon restore`: makes a backup the database of the data folder again."""

import argparse
import asyncio
from pathlib import Path

from antiphon.cli.command import CommandError, as_command
from antiphon.cli.output import say
from antiphon.service.backup import restore
from antiphon.settings import Settings
from antiphon.store.database.dumps import undump_command


def add_to(family: argparse.ArgumentParser) -> None:
    """Set up the command."""
    as_command(family, _restore, json=False)
    family.add_argument("file", metavar="FILE", help="what `antiphon backup` has written")
    family.add_argument("--yes", action="store_true", help="replace the database that is there")


def _restore(arguments: argparse.Namespace, settings: Settings) -> int:
    if settings.database_url is not None:
        command = undump_command(settings.database_url.reveal(), arguments.file)
        raise CommandError(f"PostgreSQL restores itself, while no server runs: {command}")
    done = asyncio.run(restore(settings.data_dir, Path(arguments.file), replace=arguments.yes))
    last = done.last_request_at
    when = "it has no request yet" if last is None else f"its last request began {last:%F %R} UTC"
    say(f"Restored {arguments.file} into {settings.data_dir}: {when}.")
    if done.replaced is not None:
        say(f"The database before it is {done.replaced}.")
    say("Keys and limits are as they were then: revoke again what was revoked since.")
    return 0
