"""Commands in messages, as the reader can call them."""

import io
import json
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from antiphon.cli.output import hint, say_json
from antiphon.cli.program import WIDTH, as_called, folded, folded_command, shown_on

TEXT = "`antiphon keys create` makes one, after pip install 'antiphon[server]'"


@pytest.fixture(autouse=True)
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an environment, in which the reader is."""
    for name in (".venv/bin", "with space"):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        for program in ("antiphon", "pip"):
            (folder / program).touch(0o755)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_program_off_the_path_is_named_as_it_was_called() -> None:
    assert as_called(TEXT, ".venv/bin/antiphon", "/usr/bin") == (
        "`.venv/bin/antiphon keys create` makes one, after .venv/bin/pip install 'antiphon[server]'"
    )


def test_example_of_the_help_is_named_as_it_was_called() -> None:
    text = "examples:\n  antiphon usage    for days\n  ls | antiphon usage | antiphon usage --csv"
    assert as_called(text, ".venv/bin/antiphon", "/usr/bin") == (
        "examples:\n  .venv/bin/antiphon usage    for days\n"
        "  ls | .venv/bin/antiphon usage | .venv/bin/antiphon usage --csv"
    )


def test_program_with_a_space_in_its_path_is_quoted(clone: Path) -> None:
    program = clone / "with space/antiphon"
    assert f"`'{program}' keys create`" in as_called(TEXT, str(program), "/usr/bin")


@pytest.mark.parametrize("invoked", [".venv/bin/antiphon", "{clone}/.venv/bin/antiphon"])
def test_program_on_the_path_is_named_alone(clone: Path, invoked: str) -> None:
    here = invoked.format(clone=clone)
    assert as_called(TEXT, here, str(clone / ".venv/bin")) == TEXT


def test_program_behind_a_link_on_the_path_is_named_alone(clone: Path) -> None:
    (clone / "bin").mkdir()
    (clone / "bin/antiphon").symlink_to(clone / ".venv/bin/antiphon")
    assert as_called(TEXT, ".venv/bin/antiphon", str(clone / "bin")) == TEXT


def test_another_program_of_the_name_on_the_path_is_not_meant(clone: Path) -> None:
    said = as_called(TEXT, ".venv/bin/antiphon", str(clone / "with space"))
    assert "`.venv/bin/antiphon keys create`" in said


@pytest.mark.parametrize("invoked", ["/opt/antiphon/cli/__main__.py", "pytest", "gone/antiphon"])
def test_program_that_was_called_otherwise_is_named_alone(invoked: str) -> None:
    assert as_called(TEXT, invoked, "/usr/bin") == TEXT


def test_pip_that_is_not_beside_the_program_is_named_alone(clone: Path) -> None:
    (clone / ".venv/bin/pip").unlink()
    assert "after pip install" in as_called(TEXT, ".venv/bin/antiphon", "/usr/bin")


@pytest.mark.parametrize(
    "text",
    [
        "antiphon keys",
        "   antiphon keys",
        "usage: antiphon keys",
        "`antiphon.toml`",
        "`antiphon_x y`",
        "pip install 'anthropic[aws]'",
    ],
)
def test_what_is_no_command_of_ours_stays(text: str) -> None:
    assert as_called(text, ".venv/bin/antiphon", "/usr/bin") == text


def test_json_is_printed_unchanged(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", [".venv/bin/antiphon"])
    say_json({"name": TEXT})
    assert json.loads(capsys.readouterr().out) == {"name": TEXT}


def test_long_command_is_folded_between_its_words() -> None:
    folder = "/a folder with spaces/" + "x" * 50
    command = f"`.venv/bin/antiphon keys create NAME --data-dir '{folder}' --admin`"
    lines = folded_command(command, "   ").splitlines()
    assert lines == [
        "   `.venv/bin/antiphon keys create NAME --data-dir \\",
        f"       '{folder}' \\",
        "       --admin`",
    ]
    assert folded_command("antiphon usage", "  ") == "  antiphon usage"


def test_command_in_a_message_stays_on_its_line() -> None:
    command = "`uv tool install './dist/antiphon-0.1.0-py3-none-any.whl[server]'`"
    text = f"The program is not on the PATH, where commands need it: {command} does."
    assert folded(text) == (
        f"The program is not on the PATH, where commands need it:\n{command} does."
    )
    longer = f"`antiphon {'word ' * 20}`"
    assert max(map(len, folded(f"It is {longer}.").splitlines())) <= WIDTH


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_message_controls_no_terminal() -> None:
    said = "the server says \x1b]52;c;aGk=\x07 and \x9b2J"
    assert shown_on(Terminal(), said) == r"the server says \x1b]52;c;aGk=\x07 and \x9b2J"
    assert shown_on(io.StringIO(), said) == said


def test_terminal_gets_lines_of_whole_words_and_keeps_empty_ones() -> None:
    text = f"\n{'word ' * 30}end.\n  {'x' * 100}\n"
    shown = shown_on(Terminal(), text)
    assert shown.splitlines()[0] == ""
    assert shown.endswith("\n")
    assert " ".join(shown.split()) == " ".join(text.split())
    assert max(map(len, shown.splitlines()[:-1])) <= WIDTH
    # For programs a sentence stays one line.
    assert shown_on(io.StringIO(), text) == text


def test_hint_that_cannot_be_printed_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = open("/dev/full", "w", encoding="utf-8")  # noqa: PTH123, SIM115 - closed below
    monkeypatch.setattr(sys, "stderr", stream)
    hint("Stopping.")
    with suppress(OSError):
        stream.close()
    hint("Stopping.")
