"""The parts of every command: its parser, and the reading of spans of time and moments."""

import argparse
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

from antiphon.settings import Settings

Command: TypeAlias = Callable[[argparse.Namespace, Settings], int]

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class CommandError(Exception):
    """A command that cannot be done. The message is for the user."""


def actions_of(family: argparse.ArgumentParser) -> Any:
    """Return the parser of a family's actions."""
    return family.add_subparsers(title="actions", metavar="ACTION", required=True)


def add_command(
    actions: Any, name: str, run: Command, does: str, *, json: bool = True
) -> argparse.ArgumentParser:
    """Add an action to a family."""
    command: argparse.ArgumentParser = actions.add_parser(
        name, help=does, description=does[0].upper() + does[1:] + "."
    )
    return as_command(command, run, json=json)


def as_command(
    command: argparse.ArgumentParser, run: Command, *, json: bool = True
) -> argparse.ArgumentParser:
    """Turn a parser into a command, with the flags of every command."""
    command.set_defaults(command=run)
    command.add_argument("--config", type=Path, metavar="FILE", help="default: ./antiphon.toml")
    command.add_argument("--data-dir", metavar="DIR", help="where keys and models are kept")
    if json:
        command.add_argument("--json", action="store_true", help="for scripts")
    return command


def span(text: str) -> timedelta:
    """Read a span of time: `90m`, `24h`, `30d`, `2w`, or `0`."""
    if text == "0":
        return timedelta()
    found = re.fullmatch(r"([0-9]{1,5})([mhdw])", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no span of time such as 90m, 24h, 30d or 2w")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def span_within(shortest: timedelta, longest: timedelta) -> Callable[[str], timedelta]:
    """Return a reader of spans within these bounds."""

    def read(text: str) -> timedelta:
        found = span(text)
        if not shortest <= found <= longest:
            wrong = (
                "shorter than a minute" if found < shortest else f"more than {longest.days} days"
            )
            raise argparse.ArgumentTypeError(f"{text!r} is {wrong}")
        return found

    return read


def moment_or_span(text: str) -> datetime | timedelta:
    """Read a day or a moment (UTC without a zone), or a span before now."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        try:
            return span(text)
        except argparse.ArgumentTypeError:
            raise argparse.ArgumentTypeError(
                f"{text!r} is neither a day such as 2026-11-23 nor a span of time such as 7d"
            ) from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
