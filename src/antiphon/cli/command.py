"""The parts of every command: its parser, its flags, and the question before a change."""

import argparse
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from antiphon.cli.output import say
from antiphon.cli.program import as_called, folded_example, shown_on
from antiphon.wire.errors import shortened

if TYPE_CHECKING:
    from antiphon.settings import Settings

Command: TypeAlias = "Callable[[argparse.Namespace, Settings], int]"

# Words of other programs, and the words here for the same: the first that a family has is meant.
_SYNONYMS = {
    **dict.fromkeys(("ls", "show", "describe"), ("list", "show")),
    # A key is revoked and a workspace archived: `workspaces remove` removes a member.
    **dict.fromkeys(
        ("rm", "delete", "del", "remove", "destroy"),
        ("revoke", "archive", "clear", "delete", "remove"),
    ),
    **dict.fromkeys(("new", "add", "make", "create", "invite"), ("create", "add", "set", "pull")),
    **dict.fromkeys(("start", "run", "server", "up"), ("serve",)),
    **dict.fromkeys(("fetch", "download", "install"), ("pull",)),
    **dict.fromkeys(("update", "edit", "change", "modify"), ("set", "role", "rename")),
    **dict.fromkeys(("token", "tokens", "apikey", "apikeys", "api-keys", "secrets"), ("keys",)),
    **dict.fromkeys(("team", "teams", "project", "projects"), ("workspaces",)),
    **dict.fromkeys(("people", "members", "person"), ("users",)),
    **dict.fromkeys(("quota", "quotas", "budget", "spend"), ("limits",)),
    **dict.fromkeys(("log", "logs", "history", "changes"), ("audit",)),
    **dict.fromkeys(("cost", "costs", "stats", "report", "reports"), ("usage",)),
    **dict.fromkeys(("settings", "setting", "configuration", "conf", "init"), ("config", "init")),
    **dict.fromkeys(("completions", "complete", "autocomplete"), ("completion",)),
    "balance": ("limits",),
    "claude-code": ("claude",),
    "code": ("vscode",),
    "open": ("launch",),
    "get": ("pull", "list"),
    "dump": ("backup",),
    "help": ("--help",),
    "version": ("--version",),
}


# The fields of requests to the API, and the arguments of commands that set them.
_ARGUMENTS = {
    "Idempotency-Key": "idempotency_key",
    "after_id": "after",
    "amount": "spend",
    "created_by_user_id": "user",
    "email": "email",
    "expires_in_seconds": "expires",
    "filename": "name",
    "name": "name",
    "role": "role",
    "scope.api_key_id": "key",
    "scope.workspace_id": "workspace",
    "status": "key",
    "user_id": "user",
    "workspace_role": "role",
}


class CommandError(Exception):
    """A command that cannot be done. The message is for the user."""


class HelpFormatter(argparse.HelpFormatter):
    """Formats help; argparse measures the names of actions without their indentation."""

    def add_argument(self, action: argparse.Action) -> None:
        super().add_argument(action)
        if action.nargs == argparse.PARSER:
            self._action_max_length += self._indent_increment

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        # Commands get the length that they are printed with before lines are folded.
        return super()._fill_text(as_called(text), width, indent)

    def _split_lines(self, text: str, width: int) -> list[str]:
        return super()._split_lines(as_called(text), width)


class ExamplesFormatter(HelpFormatter):
    """Formats help that ends with examples, a line for each."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if "\n" not in text:
            return super()._fill_text(text, width, indent)
        return "\n".join(folded_example(line) for line in as_called(text).splitlines())


class CommandParser(argparse.ArgumentParser):
    """A parser that takes flags by their whole names only, and suggests the word that was meant."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"formatter_class": HelpFormatter, **options, "allow_abbrev": False})
        self._words: Sequence[str] = ()

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse as ever, and keep the words for an error that is about them."""
        self._words = tuple(sys.argv[1:] if args is None else args)
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Print the error and where to find help, or the help if nothing was asked for.

        Exits with 2 either way: nothing was done.
        """
        if re.search(r"required: (COMMAND|ACTION|PROGRAM)$", message):
            self.exit(2, self.format_help())
        found = re.search(r"invalid choice: '(.*)' \(choose from (.*)\)", message, re.DOTALL)
        if found is not None:
            choices = re.findall("'(.*?)'", found[2])
            flag = self._flag_before(found[1])
            if flag is None:
                message = message[: found.start()] + _no_such(found[1], choices)
            else:
                message = f"{flag} stands after the action, which is one of {', '.join(choices)}"
        said = f"{self.prog}: error: {message}\nSee `{self.prog} --help`."
        self.exit(2, f"{shown_on(sys.stderr, said)}\n")

    def _flag_before(self, word: str) -> str | None:
        """Return the unknown flag whose value was taken for an action, if there is one."""
        known = {flag for action in self._actions for flag in action.option_strings}
        for flag, value in pairwise(self._words):
            if value == word:
                return flag if flag.startswith("--") and flag not in known else None
        return None

    def refuse(self, words: Sequence[str]) -> NoReturn:
        """Exit with the error of words that this command does not take."""
        flags = [flag for action in self._actions for flag in action.option_strings]
        near = [flag for word in words for flag in get_close_matches(word, flags, 1, 0.7)]
        meant = f"; did you mean `{near[0]}`?" if near else ""
        if not any(word.startswith("-") for word in words):
            meant = "; a name with spaces stands in quotes"
        self.error(f"unrecognized arguments: {shortened(' '.join(words))}{meant}")


def _no_such(word: str, choices: Sequence[str]) -> str:
    """Return the error of an unknown word, with the choice that was probably meant."""
    word = word[:80]
    known = (*choices, "--help", "--version")
    meant = [one for one in _SYNONYMS.get(word, ()) if one in known]
    near = meant or get_close_matches(word, choices, 1, 0.6)
    if near:
        return f"there is no {word!r}; did you mean `{near[0]}`?"
    return f"there is no {word!r}; choose from {', '.join(choices)}"


def with_arguments_named(message: str, command: argparse.ArgumentParser) -> str:
    """Return an error of the API in which the argument of a command stands for its field.

    `expires_in_seconds: …` becomes `--expires: …`, and `email: …` becomes `EMAIL: …`.
    """
    found = re.match(r"([A-Za-z_.-]+): ", message)
    dest = _ARGUMENTS.get(found[1]) if found else None
    for action in command._actions:  # noqa: SLF001 - argparse has no other list of them
        if found and dest is not None and action.dest == dest:
            named = action.option_strings[-1] if action.option_strings else action.metavar
            return f"{named}: {message[found.end() :]}"
    return message


def home_folder() -> Path:
    """Return the folder of this user. Raises `CommandError` for one who has none."""
    try:
        return Path.home()
    except RuntimeError as error:  # a user whom the system does not know, as in a container
        raise CommandError("this user has no home folder: set HOME") from error


def repeated_flags(arguments: argparse.Namespace) -> str:
    """Return the flags with which another command finds the same objects, each after a space.

    They are those of this command that say which settings, data folder and workspace are meant, in
    the words of the caller and quoted for a shell; a folder stays relative to the current one.
    """
    given = (
        ("--config", arguments.config),
        ("--data-dir", arguments.data_dir),
        ("--workspace", getattr(arguments, "workspace", None)),
        ("--base-url", getattr(arguments, "base_url", None)),
        ("--key-file", getattr(arguments, "key_file", None)),
    )
    return "".join(f" {flag} {shlex.quote(str(value))}" for flag, value in given if value)


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
    command.set_defaults(command=run, parser=command, settings=("data_dir", *settings))
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

    Raises `CommandError` if the answer is not yes, or if the input ends (Ctrl-D).
    """
    if arguments.yes or not sys.stdin.isatty():
        return
    try:
        answer = input(f"{question} [y/N] ")
    except EOFError:
        say()  # the error is a line of its own
        answer = ""
    if answer.strip().lower() not in {"y", "yes"}:
        raise CommandError("nothing was changed")
