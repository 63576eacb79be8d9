"""What `--help` prints, after every command."""

import argparse
import re
from collections.abc import Iterator

import pytest

from antiphon.cli import FAMILIES, parser

COLUMNS = 80


def parsers(whole: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield whole
    for action in whole._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                yield from parsers(child)


PARSERS = {one.prog: one for one in parsers(parser(FAMILIES))}


@pytest.mark.parametrize("command", PARSERS)
def test_help_fits_into_a_terminal(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    assert [
        line for line in PARSERS[command].format_help().splitlines() if len(line) > COLUMNS
    ] == []


@pytest.mark.parametrize("command", PARSERS)
def test_every_argument_has_help_that_names_its_default_plainly(command: str) -> None:
    for action in PARSERS[command]._actions:
        assert isinstance(action, argparse._SubParsersAction) or action.help, action.dest
        assert not re.search(r"\([^)]*\)$|\(default", action.help or ""), action.help


def test_help_says_where_flags_stand() -> None:
    assert "flags stand after it" in " ".join(PARSERS["antiphon"].format_help().split())


@pytest.mark.parametrize("command", PARSERS)
def test_action_stands_on_one_line_with_what_it_does(command: str) -> None:
    for action in PARSERS[command]._actions:
        for choice in action._choices_actions if action.nargs == argparse.PARSER else ():
            assert re.search(
                rf"^    {choice.dest} +\w", PARSERS[command].format_help(), re.MULTILINE
            ), choice.dest
