"""The command line. Each family of commands is a module of its name, imported when it is used.

So `antiphon --help` and mistakes are quick, and the modules import what they need at their top.
"""

import argparse
import gc
import re
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from io import TextIOWrapper

from antiphon import __version__
from antiphon.cli.command import Command, CommandError, CommandParser, with_arguments_named
from antiphon.cli.program import shown_on

FAMILIES = {
    "serve": "serve the API",
    "service": "have systemd run the server: install, show, uninstall",
    "config": "write a file of settings, and show which settings count",
    "doctor": "look for what keeps a server from working, and say what mends it",
    "message": "ask a model once, and print its answer",
    "chat": "talk with a model in the terminal",
    "launch": "start Claude Code, OpenCode or an editor, set up for a server",
    "worker": "work on Message Batches beside servers, without a port",
    "models": "choose, fetch and list models",
    "keys": "make, list, rotate and revoke API keys",
    "workspaces": "make and list workspaces, and say who is a member",
    "users": "add, list and remove users",
    "invites": "invite people to become users",
    "console": "open the Console in the browser: the setup, or a sign-in",
    "limits": "limit requests, tokens and spending",
    "batches": "create, watch and read Message Batches",
    "files": "upload, list, download and delete files that requests name",
    "cache": "list and remove prefixes of prompts that are kept on the disk",
    "usage": "show what was used, and what it cost",
    "requests": "list finished requests, and explain one",
    "audit": "show who changed what",
    "backup": "copy the database into a file, also while a server runs",
    "restore": "make a backup the database again, while no server runs",
    "openapi": "print the description of the API for programs",
    "completion": "print what makes a shell complete these commands",
}
STOPPED_BY_HAND = 130

# The errors with a message for users, by the modules that have them.
_EXPECTED = {
    "antiphon.core.errors": "ApiError",
    "antiphon.engines.base": "EngineStartError",
    "antiphon.server.run": "ServeError",
    "antiphon.service.admin.keys": "KeyRefusedError",
    "antiphon.settings": "SettingsError",
    "antiphon.store.counters.base": "CountersError",
    "antiphon.store.database.errors": "StoreError",
    "antiphon.weights.source": "PullError",
    "antiphon.weights.spec": "SpecError",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; without `arguments`, those of the process."""
    words = sys.argv[1:] if arguments is None else arguments
    for stream in (sys.stdout, sys.stderr):
        # A terminal that knows few characters gets names all the same.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        with _no_garbage_collection(freeze=arguments is None):
            parsed = _parsed(words)
        return _run(parsed)
    except KeyboardInterrupt:
        return STOPPED_BY_HAND
    except SystemExit:
        # Help, or a mistake: the parser has printed it. Python would look for this exception among
        # the expected errors below, and import the server for it.
        raise
    except BrokenPipeError:
        # The program that reads the output has ended: `antiphon audit | head`.
        sys.stdout = None  # so that nothing is flushed at the end
        return 0
    except OSError as error:
        # The output cannot be written, as to a full disk. The command itself is done.
        sys.stdout = None
        where = f"{error.filename}: " if error.filename else ""
        _complain(f"{where}{error.strerror or error}")
        return 1
    except ModuleNotFoundError as error:
        extra = _extra_with(str(error.name).partition(".")[0])
        if extra is None:
            raise
        _complain(f"this needs: pip install 'antiphon[{extra}]'")
        return 1
    except expected_errors() as error:
        _complain(with_arguments_named(str(error), parsed.parser))
        return 1


def _run(parsed: argparse.Namespace) -> int:
    """Run a command with the settings that it needs."""
    flags = {
        name: value
        for name in parsed.settings
        if (value := getattr(parsed, name, None)) is not None
    }
    # Help and mistakes have ended the program by now, and need none: 40 ms.
    from antiphon.settings import Settings, SettingsError  # noqa: PLC0415

    try:
        settings = Settings.load(flags, config=parsed.config)
    except SettingsError as error:
        if "without_settings" not in parsed:
            raise
        # `doctor` tells of wrong settings as of other problems.
        told: int = parsed.without_settings(parsed, str(error))
        return told
    command: Command = parsed.command
    return command(parsed, settings)


def _parsed(words: Sequence[str]) -> argparse.Namespace:
    """Read the arguments. Exits with 2 if they are no command."""
    if words[:1] == ["help"]:
        words = [*words[1:], "--help"]
    own, passed_on = _passed_on(words)
    whole = parser(own)
    if words and words[0].startswith("-") and words[0] not in {"-h", "--help", "--version"}:
        whole.error(f"flags stand after the command: `antiphon COMMAND {words[0][:80]} …`")
    parsed, unknown = whole.parse_known_args(own)
    parsed.passed_on = passed_on
    if unknown:
        # By the command's own parser, whose help lists what it takes.
        parsed.parser.refuse(unknown)
    return parsed


def _passed_on(words: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Return the words of a command, and those that `launch` passes on: behind the first `--`."""
    if words[:1] != ["launch"] or "--" not in words:
        return words, ()
    at = words.index("--")
    return words[:at], words[at + 1 :]


def _complain(message: str) -> None:
    """Print why a command failed: one line, which a terminal gets in lines of whole words."""
    print(shown_on(sys.stderr, f"antiphon: {message}"), file=sys.stderr)  # noqa: T201 - the output


@contextmanager
def _no_garbage_collection(*, freeze: bool) -> Iterator[None]:
    """Import without garbage collection, and with `freeze` leave what was imported out of it.

    Imported objects stay, and each collection would visit all of them, the last ones after the
    command is done: a third of its time (docs/decisions/0019-start-and-size.md). Only the program
    freezes: in a process that goes on, other objects would never be collected either.
    """
    gc.disable()
    try:
        yield
    finally:
        if freeze:
            gc.freeze()
        gc.enable()


def _extra_with(module: str) -> str | None:
    """Return the extra of this package that installs a module, if one does."""
    from importlib import metadata  # noqa: PLC0415 - 40 ms, and only for this mistake

    for requirement in metadata.requires("antiphon") or ():
        found = re.match(r"([A-Za-z0-9_.-]+).*extra == ['\"](\w+)", requirement)
        if found is not None and found[1].replace("-", "_").lower() == module:
            return found[2]
    return None


def expected_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions with a message for the user of the command line.

    A module that was not imported has raised nothing, and may need packages that are not there.
    """
    found = [
        getattr(sys.modules[module], name)
        for module, name in _EXPECTED.items()
        if module in sys.modules
    ]
    return (CommandError, *found)


def parser(wanted: Collection[str]) -> argparse.ArgumentParser:
    """Return the parser; only the wanted families have their actions and flags."""
    description = "The Claude API on your own machines."
    if find_spec("starlette") is None:
        description += " This is the client alone: pip install 'antiphon[server]' adds the server."
    whole = CommandParser(
        prog="antiphon",
        description=description,
        epilog="`antiphon serve` starts a server. `antiphon COMMAND --help` lists the actions and "
        "flags of a command; flags stand after it. Settings can also stand in antiphon.toml and in "
        "ANTIPHON_* variables: docs/reference/settings.md.",
    )
    whole.add_argument("--version", action="version", version=f"antiphon {__version__}")
    commands = whole.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, does in FAMILIES.items():
        family = commands.add_parser(name, help=does, description=does[0].upper() + does[1:] + ".")
        if name in wanted:
            import_module(f"antiphon.cli.{name}").add_to(family)
    return whole
