"""What `--help` prints, after every command."""

import argparse
import re
import shlex
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest

from antiphon.cli import FAMILIES, main, parser

COLUMNS = 80


def parsers(whole: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield whole
    for action in whole._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                yield from parsers(child)


PARSERS = {one.prog: one for one in parsers(parser(FAMILIES))}


def too_long(text: str) -> list[str]:
    return [line for line in text.splitlines() if len(line) > COLUMNS]


def test_help_fits_into_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    wide = {command: too_long(one.format_help()) for command, one in PARSERS.items()}
    assert {command: lines for command, lines in wide.items() if lines} == {}


@pytest.fixture
def long_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The program of a clone, which is not on the PATH, as somebody calls it."""
    folder = tmp_path / "projects/antiphon/.venv/bin"
    folder.mkdir(parents=True)
    (folder / "antiphon").touch(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    called = "projects/antiphon/.venv/bin/antiphon"
    monkeypatch.setattr(sys, "argv", [called])
    return called


def test_help_of_a_program_off_the_path_fits_into_a_terminal(long_program: str) -> None:
    for command, one in PARSERS.items():
        help_text = one.format_help()
        assert too_long(help_text) == [], command
        assert ("examples:" in help_text) <= (long_program in help_text), command


def test_example_that_is_too_long_can_be_pasted(long_program: str) -> None:
    lines = PARSERS["antiphon limits set"].format_help().splitlines()
    start = next(n for n, line in enumerate(lines) if f"{long_program} limits set" in line)
    assert lines[start].endswith(" \\")
    pasted = "\n".join(lines[start : start + 2]).replace("\\\n", "")
    assert shlex.split(pasted) == [
        long_program,
        *["limits", "set", "--workspace", "research", "--requests", "60", "--spend", "100/month"],
    ]
    usage = PARSERS["antiphon usage"].format_help().splitlines()
    comment = usage.index("  # since a day, key by key")
    assert usage[comment + 1] == f"  {long_program} usage --since 2026-11-01 --by key"


@pytest.mark.parametrize("words", ["keys create", "limits set --organization --requests x", "keyz"])
def test_usage_error_fits_into_a_terminal(
    words: str,
    long_program: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with pytest.raises(SystemExit):
        main(words.split())
    said = capsys.readouterr().err
    assert too_long(said) == []
    assert long_program in said


def test_every_argument_has_help_that_names_its_default_plainly() -> None:
    for action in chain.from_iterable(one._actions for one in PARSERS.values()):
        assert isinstance(action, argparse._SubParsersAction) or action.help, action.dest
        assert not re.search(r"\([^)]*\)$|\(default", action.help or ""), action.help


def test_help_says_where_flags_stand() -> None:
    assert "flags stand after it" in " ".join(PARSERS["antiphon"].format_help().split())


def test_action_stands_on_one_line_with_what_it_does() -> None:
    for command, one in PARSERS.items():
        help_text = one.format_help()
        for action in one._actions:
            for choice in action._choices_actions if action.nargs == argparse.PARSER else ():
                line = rf"^    {choice.dest} +\w"
                assert re.search(line, help_text, re.MULTILINE), (command, choice.dest)


def test_client_alone_says_how_the_server_is_added(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    for missing, told in ((False, False), (True, True)):
        if missing:
            monkeypatch.setitem(sys.modules, "starlette", None)
        with pytest.raises(SystemExit):
            main(["--help"])
        said = capsys.readouterr().out
        hint = "This is the client alone: pip install 'antiphon[server]'"
        assert (hint in " ".join(said.split())) is told
        assert max(map(len, said.splitlines())) <= COLUMNS
