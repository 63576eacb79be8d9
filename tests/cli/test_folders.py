"""Commands over a data folder that no server has used."""

from pathlib import Path

import pytest

from antiphon.cli import main
from cli.conftest import Shell

# Commands that read, and commands that change what is there.
NOT_MAKING = (
    "keys list",
    "keys revoke laptop --yes",
    "keys create laptop --workspace research",
    "keys create laptop --user ada@example.com",
    "workspaces list",
    "workspaces archive research --yes",
    "users list",
    "users role ada@example.com admin",
    "invites list",
    "limits list",
    "limits balance",
    "limits set --key laptop --requests 5",
    "limits clear --organization --all",
    "usage",
    "usage --csv",
    "audit",
    "backup copy.db",
)
MAKING = (
    "keys create laptop",
    "workspaces create research",
    "users add ada@example.com Ada",
    "invites create ada@example.com",
    "limits set --organization --requests 5",
)


@pytest.mark.parametrize("line", NOT_MAKING)
def test_folder_that_does_not_exist_is_refused_and_not_made(line: str, shell: Shell) -> None:
    shell.data_dir = shell.data_dir.with_name("typo")
    assert shell.complaint(line) == (
        f"the data folder {shell.data_dir} does not exist: name the folder of your server with "
        "--data-dir; `antiphon serve` makes a new one"
    )
    assert not shell.data_dir.exists()
    assert not Path("copy.db").exists()


@pytest.mark.parametrize("line", ["keys list", "keys create laptop", "backup copy.db"])
def test_folder_that_cannot_be_looked_into_is_told_with_the_reason(line: str, shell: Shell) -> None:
    shell.data_dir = shell.data_dir / ("x" * 300)
    assert shell.complaint(line) == (
        f"the data folder {shell.data_dir} cannot be used: File name too long. Choose another one "
        "with --data-dir"
    )


@pytest.mark.parametrize("line", ["keys list", "audit", "backup copy.db"])
def test_folder_of_other_files_is_refused_and_left_alone(line: str, shell: Shell) -> None:
    shell.data_dir = shell.data_dir.with_name("models")
    shell.data_dir.mkdir()
    (shell.data_dir / "model.gguf").touch()
    assert f"{shell.data_dir} has no database" in shell.complaint(line)
    assert [path.name for path in shell.data_dir.iterdir()] == ["model.gguf"]


def test_folder_with_an_empty_database_file_is_refused(shell: Shell) -> None:
    shell.data_dir = shell.data_dir.with_name("empty")
    shell.data_dir.mkdir()
    (shell.data_dir / "antiphon.db").touch()
    assert "has no database" in shell.complaint("keys list")


@pytest.mark.parametrize("line", MAKING)
def test_command_that_makes_something_founds_the_database(line: str, shell: Shell) -> None:
    shell.data_dir = shell.data_dir.with_name("new")
    shell(line)
    assert (shell.data_dir / "antiphon.db").is_file()


def test_folder_of_the_scripted_server_is_named_for_the_other_and_the_reverse(
    shell: Shell,
) -> None:
    used = shell.data_dir
    for wanted, other in (
        (used, used.with_name("data-scripted")),
        (used.with_name("data-scripted"), used),
    ):
        used.rename(other)
        used = other
        shell.data_dir = wanted
        assert f"{other} has one: add --data-dir {other}" in shell.complaint("keys list")


@pytest.mark.parametrize("line", ["keys list", "backup copy.db"])
def test_folder_that_has_lost_its_database_is_told_how_to_restore_it(
    line: str, shell: Shell
) -> None:
    (shell.data_dir / "antiphon.db").unlink()
    assert "was used before with antiphon.db: restore" in shell.complaint(line)


def test_reading_command_reads_a_folder_of_the_environment(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTIPHON_DATA_DIR", str(shell.data_dir))
    assert main(["keys", "list"]) == 0
