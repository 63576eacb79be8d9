"""`antiphon openapi`: prints the description of the API for programs."""

import argparse
import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from antiphon.cli.command import as_command
from antiphon.cli.output import say_json
from antiphon.server.app import routes
from antiphon.server.openapi import openapi_document
from antiphon.service.platform import build_platform
from antiphon.settings import Settings


def add_to(family: argparse.ArgumentParser) -> None:
    """Set up the command."""
    as_command(family, lambda _, __: _print(), json=False)
    # It says what this release serves, whatever is set.
    family.set_defaults(without_settings=lambda _, __: _print())


def _print() -> int:
    say_json(asyncio.run(describe_api()))
    return 0


async def describe_api() -> dict[str, Any]:
    """Return the description of a server without models, whose folder is gone afterwards."""
    with TemporaryDirectory(prefix="antiphon-openapi-") as folder:
        # Not what is set here: the description is that of the release.
        settings = Settings(data_dir=Path(folder), engine="scripted")
        async with build_platform(settings, ()) as platform:
            return openapi_document(routes(platform))
