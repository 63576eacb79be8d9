"""`antiphon completion SHELL`: prints what makes a shell complete the commands."""

import argparse

from antiphon.cli import completion_scripts
from antiphon.cli.command import ExamplesFormatter, as_command
from antiphon.cli.output import say_unchanged

_EXAMPLES = """examples:
  antiphon completion bash > ~/.local/share/bash-completion/completions/antiphon
  antiphon completion zsh > ~/.zfunc/_antiphon   # with `fpath+=~/.zfunc` in ~/.zshrc
  antiphon completion fish > ~/.config/fish/completions/antiphon.fish"""


def add_to(family: argparse.ArgumentParser) -> None:
    """Set up the command."""
    as_command(family, lambda arguments, _: _print(arguments), json=False)
    # A shell reads it at its start, also where settings are wrong.
    family.set_defaults(without_settings=lambda arguments, _: _print(arguments))
    family.formatter_class = ExamplesFormatter
    family.epilog = _EXAMPLES
    family.add_argument(
        "shell",
        metavar="SHELL",
        choices=tuple(completion_scripts.SHELLS),
        help="bash, zsh or fish",
    )


def _print(arguments: argparse.Namespace) -> int:
    from antiphon.cli import FAMILIES, parser  # noqa: PLC0415 - the family is imported by it

    commands = completion_scripts.commands_of(parser(FAMILIES))
    say_unchanged(completion_scripts.SHELLS[arguments.shell](commands).rstrip("\n"))
    return 0
