"""`antiphon launch` says what is missing before it starts anything."""

import pytest

from antiphon.cli import main
from cli.conftest import Shell


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("cluade", "claude"),
        ("claude-code", "claude"),
        ("code", "vscode"),
        ("open-code", "opencode"),
        ("zeb", "zed"),
    ],
)
def test_program_that_is_mistyped_is_corrected(shell: Shell, typed: str, meant: str) -> None:
    said = shell.misunderstood(f"launch {typed}")
    assert said.endswith(f"there is no {typed!r}; did you mean `{meant}`?")


def test_unknown_program_is_told_the_known_ones(shell: Shell) -> None:
    said = shell.misunderstood("launch emacs")
    assert said.endswith("choose from claude, opencode, zed, vscode, copilot")


def test_program_that_is_not_installed_is_told_with_how_it_is(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    assert shell.complaint("launch claude") == (
        "Claude Code is not installed: there is no `claude` on the PATH. Install it: "
        "`npm install -g @anthropic-ai/claude-code`"
    )


def test_server_that_does_not_run_is_told_with_what_starts_it(shell: Shell) -> None:
    said = shell.complaint("launch claude --print-env")
    assert said.startswith(f"no server runs on the data folder {shell.data_dir}: start one with")
    assert said.endswith("or name one with --base-url")


def test_server_elsewhere_needs_a_key(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    typed = "launch claude --print-env --base-url http://127.0.0.1:9"
    assert "name its file with --key-file" in shell.complaint(typed)
    (shell.data_dir / "empty").touch()
    assert shell.complaint(f"{typed} --key-file {shell.data_dir}/empty").endswith("has no key")
    said = shell.complaint(f"{typed} --key-file {shell.data_dir}/missing")
    assert said.endswith("missing: No such file or directory")


def test_server_that_does_not_answer_is_named(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "sk-antiphon-of-another-server")
    typed = "launch claude --print-env --base-url"
    said = shell.complaint(f"{typed} http://127.0.0.1:9/v1/")
    assert said == "http://127.0.0.1:9 does not answer: Connection refused"
    assert "begins with http" in shell.complaint(f"{typed} 127.0.0.1:8000")


def test_only_what_stands_behind_two_dashes_goes_to_the_program(shell: Shell) -> None:
    said = shell.misunderstood("launch claude -p")
    assert "unrecognized arguments: -p" in said
    with pytest.raises(SystemExit) as status:
        main(["launch", "claude", "--print-env", "--write-settings", "--", "--model"])
    assert status.value.code == 2
