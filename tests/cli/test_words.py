"""Mistakes at the command line, and the words that mend them."""

import sys

import pytest

from antiphon.cli import main
from cli.conftest import Shell


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("key list", "argument COMMAND: there is no 'key'; did you mean `keys`?"),
        ("keys ls", "argument ACTION: there is no 'ls'; did you mean `list`?"),
        ("models rm x", "argument ACTION: there is no 'rm'; did you mean `remove`?"),
        ("users frob", "argument ACTION: there is no 'frob'; choose from list, add, role, remove"),
    ],
)
def test_unknown_word_names_the_one_that_was_meant(
    line: str, error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(line.split())
    assert caught.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].partition("error: ")[2] == error
    assert lines[1].startswith("See `antiphon")


def test_flag_is_not_abbreviated(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["serve", "--por", "1"])
    assert "unrecognized arguments: --por 1" in capsys.readouterr().err


def test_command_without_the_extra_names_it(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in ("antiphon.cli.serve", "antiphon.server.run"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(["serve"]) == 1
    assert capsys.readouterr().err == "antiphon: this needs: pip install 'antiphon[server]'\n"
    del shell


def test_limit_of_a_model_is_set_by_any_of_its_names_without_a_settings_file(shell: Shell) -> None:
    shell("limits set --organization --model claude-local --requests 5")
    (line,) = (line for line in shell("limits list").splitlines() if "requests" in line)
    assert line.split()[:2] == ["organization", "scripted"]
    assert line.split()[-1] == "5"


def test_limit_of_an_unknown_model_is_refused_with_the_known_names(shell: Shell) -> None:
    assert shell.complaint("limits set --organization --model nothing --requests 5") == (
        "no model answers to 'nothing'; the names are scripted, claude-*"
    )
