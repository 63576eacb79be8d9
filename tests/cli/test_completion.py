"""`antiphon completion`: what shells offer while a command is typed."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from antiphon.cli import FAMILIES, main, parser
from antiphon.cli.completion_scripts import SHELLS, CompletedCommand, commands_of

BASH = """
source {script}
COMP_WORDS=({words})
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_antiphon
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
FISH = "source {script}; complete -C {line}"


@pytest.fixture(scope="module")
def commands() -> dict[str, CompletedCommand]:
    return {one.place: one for one in commands_of(parser(FAMILIES))}


@pytest.fixture
def script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[str], Path]:
    """Writes the script of a shell, as the command prints it."""

    def write(shell: str) -> Path:
        assert main(["completion", shell]) == 0
        path = tmp_path / f"antiphon.{shell}"
        path.write_text(capsys.readouterr().out, encoding="utf-8")
        return path

    return write


def test_scripts_know_every_command(commands: dict[str, CompletedCommand]) -> None:
    texts = [one.text for one in commands[""].words]
    assert [text for text in texts if not text.startswith("-")] == list(FAMILIES)
    assert {"-h", "--help", "--version"} <= set(texts)
    assert "rotate" in {one.text for one in commands["keys"].words}
    assert "--grace" in {one.text for one in commands["keys rotate"].words}
    assert commands["limits clear"].values["--spend"] == ("day", "week", "month")


@pytest.mark.parametrize("shell", SHELLS)
def test_script_names_every_command_and_flag(
    shell: str, commands: dict[str, CompletedCommand]
) -> None:
    text = SHELLS[shell](iter(commands.values()))
    for one in commands.values():
        for word in one.words:
            assert word.text.lstrip("-") in text


BASH_CASES = [
    ("ke", {"keys"}),
    ("keys cr", {"create"}),
    ("keys create --exp", {"--expires"}),
    ("limits clear --spend ", {"day", "week", "month"}),
    ("limits clear --spend w", {"week"}),
    ("completion z", {"zsh"}),
    ("nonsense se", {"serve", "service"}),
    # What follows is a name, so the shell completes files.
    ("backup cop", set()),
]


@pytest.mark.parametrize(("typed", "offered"), BASH_CASES)
def test_bash_completes(script: Callable[[str], Path], typed: str, offered: set[str]) -> None:
    words = " ".join(f"'{word}'" for word in ["antiphon", *typed.split(" ")])
    program = BASH.format(script=script("bash"), words=words)
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash")
    done = subprocess.run([bash, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert set(done.stdout.split()) == offered


@pytest.mark.parametrize(("shell", "check"), [("bash", "-n"), ("zsh", "-n"), ("fish", "-n")])
def test_script_is_read_by_its_shell(script: Callable[[str], Path], shell: str, check: str) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"there is no {shell}")
    done = subprocess.run(
        [program, check, script(shell)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("typed", "offered"), [case for case in BASH_CASES if case[1] and "nonsense" not in case[0]]
)
def test_fish_completes(script: Callable[[str], Path], typed: str, offered: set[str]) -> None:
    fish = shutil.which("fish")
    if fish is None:
        pytest.skip("there is no fish")
    program = FISH.format(script=script("fish"), line=f"'antiphon {typed}'")
    environ = {**os.environ, "HOME": str(script("fish").parent)}
    done = subprocess.run(
        [fish, "-c", program], capture_output=True, text=True, env=environ, check=False
    )
    assert done.returncode == 0, done.stderr
    assert {line.split("\t")[0] for line in done.stdout.splitlines()} == offered


def test_settings_that_are_wrong_do_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "antiphon.toml").write_text("prot = 1\n", encoding="utf-8")
    assert main(["completion", "bash"]) == 0
    assert "complete -o bashdefault" in capsys.readouterr().out
