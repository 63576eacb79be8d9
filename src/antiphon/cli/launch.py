"""`antiphon launch`: starts a program of others that is set up for a server."""

import argparse
import os
import shlex
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from antiphon.cli.command import CommandError, as_command, home_folder
from antiphon.cli.launching.key import LaunchKey, given_key, own_key
from antiphon.cli.launching.known import PROGRAMS
from antiphon.cli.launching.program import Program, Setup
from antiphon.cli.launching.server import (
    OfferedModel,
    base_url,
    chosen,
    is_on_this_machine,
    offered_models,
)
from antiphon.cli.launching.settings_file import Written, add_to_file
from antiphon.cli.output import hint, say, say_unchanged
from antiphon.settings import Settings, environment_with

_IGNORED = (signal.SIGPIPE, signal.SIGXFSZ)
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")


def add_to(family: argparse.ArgumentParser) -> None:
    """Set up the command."""
    as_command(family, _launch, json=False)
    family.epilog = (
        "What stands behind `--` goes to the program: `antiphon launch claude -- -p Hi`."
    )
    family.add_argument(
        "program", metavar="PROGRAM", choices=tuple(PROGRAMS), help=", ".join(PROGRAMS)
    )
    family.add_argument(
        "--base-url",
        metavar="URL",
        help="the server; default: the one that runs on the data folder",
    )
    family.add_argument("--model", metavar="ID", help="the model; default: the server's first")
    family.add_argument(
        "--key-file",
        type=Path,
        metavar="FILE",
        help="where the key for --base-url is; default: ANTHROPIC_AUTH_TOKEN or "
        "ANTHROPIC_API_KEY. A server on the data folder needs none: each program has a key of "
        "its own there",
    )
    instead = family.add_mutually_exclusive_group()
    instead.add_argument(
        "--print-env",
        action="store_true",
        help="start nothing; print the variables for a shell: "
        '`eval "$(antiphon launch claude --print-env)"`',
    )
    instead.add_argument(
        "--write-settings",
        action="store_true",
        help="start nothing; add the server to the program's file of settings. What is there "
        "already stays as it is",
    )
    instead.add_argument(
        "--show-key", action="store_true", help="start nothing; print the key of the program"
    )


def _launch(arguments: argparse.Namespace, settings: Settings) -> int:
    program = PROGRAMS[arguments.program]
    starts = not (arguments.print_env or arguments.write_settings or arguments.show_key)
    executable = _executable(program) if starts else ""
    environ = environment_with()
    url = base_url(settings, arguments.base_url)
    key, models = _key_and_models(arguments, settings, url, environ)
    model = chosen(models, arguments.model)
    setup = Setup(url, key, model, environ, home_folder(), sys.platform)
    if arguments.show_key:
        say_unchanged(key.secret)
        return 0
    if note := context_note(program, model):
        hint(note)
    if arguments.print_env:
        for line in exported(_variables(program, setup), key):
            say_unchanged(line)
        return 0
    if arguments.write_settings:
        return _write_settings(program, setup)
    _hint_at_settings(program, setup, arguments.program)
    return _become(executable, arguments.passed_on, {**environ, **_variables(program, setup)})


def _key_and_models(
    arguments: argparse.Namespace, settings: Settings, url: str, environ: Mapping[str, str]
) -> tuple[LaunchKey, tuple[OfferedModel, ...]]:
    if arguments.base_url is None and arguments.key_file is None:
        return own_key(settings, url, arguments.program)
    key = given_key(arguments.key_file, environ)
    return key, offered_models(url, key.secret)


def _executable(program: Program) -> str:
    found = shutil.which(program.command)
    if found is None:
        raise CommandError(
            f"{program.title} is not installed: there is no `{program.command}` on the PATH. "
            f"Install it: {program.install}"
        )
    return found


def context_note(program: Program, model: OfferedModel) -> str | None:
    """Return a note on a model whose context is too small for a program, or not known."""
    context = model.max_input_tokens
    if context is None:
        return (
            f"Note: the context of {model.id} is not known, as while it loads: {program.title} "
            "goes by a guess of its own."
        )
    if context >= program.needs:
        return None
    return (
        f"Note: {program.title} needs about {program.needs:,} tokens of context; {model.id} has "
        f"{context:,} ({program.page})."
    )


def _variables(program: Program, setup: Setup) -> dict[str, str]:
    """Return the variables of a program; a proxy must not be asked for a server of this machine."""
    variables = program.variables(setup)
    proxied = {name.lower() for name, value in setup.environ.items() if value} & {*_PROXIES}
    if proxied and is_on_this_machine(setup.url):
        direct = setup.environ.get("NO_PROXY") or setup.environ.get("no_proxy") or ""
        hosts = [one for one in direct.split(",") if one]
        # Some programs read the one, some the other.
        value = ",".join([*hosts, "127.0.0.1", "localhost", "::1"])
        variables |= {"NO_PROXY": value, "no_proxy": value}
    return variables


def exported(variables: Mapping[str, str], key: LaunchKey) -> list[str]:
    """Return lines for a shell that set the variables. They do not have the key itself."""
    return [
        f"export {name}={key.in_shell if value == key.secret else shlex.quote(value)}"
        for name, value in variables.items()
    ]


def _write_settings(program: Program, setup: Setup) -> int:
    files = program.files(setup)
    if not files:
        raise CommandError(
            f"{program.title} has no file of settings for this; use --print-env instead"
        )
    for file in files:
        written = add_to_file(file.path, file.add)
        for line in told(file.path, written):
            say(line)
    if program.afterwards:
        say(program.afterwards)
    return 0


def told(path: Path, written: Written) -> list[str]:
    """Return what became of a file of settings, in sentences."""
    merged = written.merged
    added = ", ".join(".".join(one) for one in merged.added)
    lines = [f"{path}: added {added}." if added else f"{path} is unchanged."]
    lines += [
        f"It keeps its own {'.'.join(one)}, which is another: change it yourself, or leave it."
        for one in merged.kept
    ]
    if written.backup is not None:
        lines.append(f"The file as it was before: {written.backup}")
    return lines


def _hint_at_settings(program: Program, setup: Setup, name: str) -> None:
    """Say that a program that goes by its settings alone lacks the server in them."""
    if program.has_variables:
        return
    for file in program.files(setup):
        # A file that cannot be read is no reason not to start the program.
        with suppress(OSError, ValueError):
            text = file.path.read_text(encoding="utf-8") if file.path.exists() else ""
            if not file.add(text).added:
                continue
            hint(
                f"{program.title} does not know the server yet: `antiphon launch {name} "
                f"--write-settings` adds it to {file.path}."
            )


def _become(executable: str, arguments: Sequence[str], environ: Mapping[str, str]) -> NoReturn:
    """Replace this process by the program: its status and its signals are the program's."""
    sys.stdout.flush()
    sys.stderr.flush()
    for ignored in _IGNORED:
        # Python ignores it, and the program would, and so would all that it starts.
        signal.signal(ignored, signal.SIG_DFL)
    os.execve(executable, [executable, *arguments], environ)  # noqa: S606 - what the user asked for
