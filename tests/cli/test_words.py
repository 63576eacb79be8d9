"""Mistakes at the command line, and the words that mend them."""

import sys

import pytest

from antiphon.cli import FAMILIES, main
from antiphon.weights.spec import FORMS
from cli.conftest import Shell

# The families that are one command, without actions.
ALONE = {
    "serve",
    "message",
    "chat",
    "doctor",
    "worker",
    "usage",
    "audit",
    "backup",
    "restore",
    "openapi",
    "completion",
}


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("key list", "argument COMMAND: there is no 'key'; did you mean `keys`?"),
        ("keys ls", "argument ACTION: there is no 'ls'; did you mean `list`?"),
        ("models delete x", "argument ACTION: there is no 'delete'; did you mean `remove`?"),
        ("users frob", "argument ACTION: there is no 'frob'; choose from list, add, role, remove"),
        ("workspace list", "argument COMMAND: there is no 'workspace'; did you mean `workspaces`?"),
        ("limit", "argument COMMAND: there is no 'limit'; did you mean `limits`?"),
        ("server", "argument COMMAND: there is no 'server'; did you mean `serve`?"),
        ("start", "argument COMMAND: there is no 'start'; did you mean `serve`?"),
        ("run", "argument COMMAND: there is no 'run'; did you mean `serve`?"),
        ("version", "argument COMMAND: there is no 'version'; did you mean `--version`?"),
        ("balance", "argument COMMAND: there is no 'balance'; did you mean `limits`?"),
        ("logs", "argument COMMAND: there is no 'logs'; did you mean `audit`?"),
        ("keys new", "argument ACTION: there is no 'new'; did you mean `create`?"),
        ("keys delete k", "argument ACTION: there is no 'delete'; did you mean `revoke`?"),
        ("keys rm k", "argument ACTION: there is no 'rm'; did you mean `revoke`?"),
        ("keys help", "argument ACTION: there is no 'help'; did you mean `--help`?"),
        ("workspaces delete w", "argument ACTION: there is no 'delete'; did you mean `archive`?"),
        ("limits rm", "argument ACTION: there is no 'rm'; did you mean `clear`?"),
        ("limits add", "argument ACTION: there is no 'add'; did you mean `set`?"),
        ("invites rm i", "argument ACTION: there is no 'rm'; did you mean `delete`?"),
        ("users create u", "argument ACTION: there is no 'create'; did you mean `add`?"),
        ("users delete u", "argument ACTION: there is no 'delete'; did you mean `remove`?"),
        ("models add m", "argument ACTION: there is no 'add'; did you mean `pull`?"),
        ("models get m", "argument ACTION: there is no 'get'; did you mean `pull`?"),
        ("keys get k", "argument ACTION: there is no 'get'; did you mean `list`?"),
        (
            "keys create k --expries 5d",
            "unrecognized arguments: --expries 5d; did you mean `--expires`?",
        ),
        (
            "keys create my laptop",
            "unrecognized arguments: laptop; a name with spaces stands in quotes",
        ),
        (
            "keys --data-dir x",
            (
                "--data-dir stands after the action, which is one of create, list, revoke, "
                "disable, enable, rotate, rename"
            ),
        ),
        ("keys list --data-dir x --nme y", "unrecognized arguments: --nme y"),
        (
            "--data-dir x keys list",
            "flags stand after the command: `antiphon COMMAND --data-dir …`",
        ),
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


def test_unknown_flag_refers_to_the_help_of_its_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["keys", "create", "k", "--nonsense"])
    assert capsys.readouterr().err == (
        "antiphon keys create: error: unrecognized arguments: --nonsense\n"
        "See `antiphon keys create --help`.\n"
    )


@pytest.mark.parametrize("family", ["", *(one for one in FAMILIES if one not in ALONE)])
def test_family_alone_prints_its_help_and_exits_with_2(
    family: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(family.split())
    assert caught.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"usage: antiphon {family}".rstrip())
    with pytest.raises(SystemExit) as caught:
        main([*family.split(), "--help"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == printed.err


@pytest.mark.parametrize("words", ["", "keys", "keys create", "audit"])
def test_help_is_a_word_as_well(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["help", *words.split()])
    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: antiphon {words}".rstrip())


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


def test_error_on_a_terminal_has_lines_of_80_columns_and_whole_words(
    shell: Shell, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shell.data_dir.parent / "antiphon.toml"
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert main(["keys", "list", "--data-dir", str(folder)]) == 1
    said = capsys.readouterr().err
    assert " ".join(said.split()).endswith("Choose another one with --data-dir")
    assert said.count("\n") > 1
    assert [line for line in said.splitlines() if len(line) > 80 and str(folder) not in line] == []


def test_table_in_an_error_is_not_folded(
    shell: Shell, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert main(["models", "pull", "pypi:x", "--data-dir", str(shell.data_dir)]) == 1
    assert FORMS.splitlines()[1] in capsys.readouterr().err.splitlines()
