"""The parts of every command: its parser, its flags, and the question before a change."""

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

from antiphon.cli.program import as_called
from antiphon.settings import Settings

Command: TypeAlias = Callable[[argparse.Namespace, Settings], int]

# Words of other programs for the same actions.
_SYNONYMS = {
    **dict.fromkeys(("ls", "show", "get"), "list"),
    **dict.fromkeys(("rm", "delete", "del"), "remove"),
    **dict.fromkeys(("new", "add", "make"), "create"),
    **dict.fromkeys(("start", "run", "server"), "serve"),
    **dict.fromkeys(("fetch", "download", "get"), "pull"),
}


class CommandError(Exception):
    """A command that cannot be done. The message is for the user."""


class CommandParser(argparse.ArgumentParser):
    """A parser that takes flags by their whole names only, and suggests the word that was meant."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "allow_abbrev": False})

    def error(self, message: str) -> NoReturn:
        """Print the error and where to find help; exit with 2."""
        found = re.search(r"invalid choice: '(.*)' \(choose from (.*)\)", message)
        if found is not None:
            message = message[: found.start()] + _no_such(found[1], re.findall("'(.*?)'", found[2]))
        self.exit(2, as_called(f"{self.prog}: error: {message}\nSee `{self.prog} --help`.\n"))

    def format_help(self) -> str:
        """Return the help; the examples in it as the reader can call them."""
        return as_called(super().format_help())


def _no_such(word: str, choices: Sequence[str]) -> str:
    """Return the error of an unknown word, with the choice that was probably meant."""
    word = word[:80]
    meant = _SYNONYMS.get(word)
    near = [meant] if meant in choices else get_close_matches(word, choices, 1, 0.6)
    if near:
        return f"there is no {word!r}; did you mean `{near[0]}`?"
    return f"there is no {word!r}; choose from {', '.join(choices)}"


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
    command: argparse.ArgumentParser,
    run: Command,
    *,
    json: bool = True,
    settings: Sequence[str] = (),
) -> argparse.ArgumentParser:
    """Turn a parser into a command, with the flags of every command.

    `settings` are its own flags that set the setting of the same name.
    """
    command.set_defaults(command=run, settings=("data_dir", *settings))
    command.add_argument(
        "--config", type=Path, metavar="FILE", help="the settings; default: ./antiphon.toml"
    )
    command.add_argument("--data-dir", metavar="DIR", help="where keys and models are kept")
    if json:
        command.add_argument("--json", action="store_true", help="print JSON")
    return command


def add_confirmation(command: argparse.ArgumentParser) -> None:
    """Add the flag that answers the question of `confirm`."""
    command.add_argument("--yes", action="store_true", help="do not ask")


def confirm(arguments: argparse.Namespace, question: str) -> None:
    """Ask before a change that cannot be undone, if a person is there to answer.

    Raises `CommandError` if the answer is not yes.
    """
    if arguments.yes or not sys.stdin.isatty():
        return
    if input(f"{question} [y/N] ").strip().lower() not in {"y", "yes"}:
        raise CommandError("nothing was changed")
