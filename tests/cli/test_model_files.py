"""`antiphon models list`, `show` and `rm`: what is on this machine, also of other programs."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from antiphon.cli import main
from support.gguf_bytes import model
from support.other_stores import cached_model, ollama_model, studio_model
from support.templates import QWEN_LIKE
from tests.cli.conftest import Shell
from tests.cli.test_models import ONE, pulled

pytestmark = pytest.mark.usefixtures("own_home")


def serves(shell: Shell, source: str) -> None:
    (shell.data_dir.parent / "antiphon.toml").write_text(
        f'[[models]]\nid = "mine"\nsource = "{source}"\n', encoding="utf-8"
    )


def test_list_tells_whose_each_model_is_and_who_uses_it(
    shell: Shell, own_home: Path, tmp_path: Path
) -> None:
    path = pulled(shell, ONE)
    blob = ollama_model(own_home / ".ollama/models")
    studio_model(own_home / ".lmstudio/models")
    cached_model(own_home / ".cache/huggingface/hub", "c/d")
    serves(shell, "qwen3.5:4b")
    rows = {row["spec"]: row for row in shell.json("models list")}
    assert {name: row["owner"] for name, row in rows.items()} == {
        str(ONE): "Antiphon",
        "hf:c/d/m-Q4_K_M.gguf": "the hub's cache",
        "hf:o/r/m-Q4_K_M.gguf": "LM Studio",
        "qwen3.5:4b": "Ollama",
    }
    assert rows[str(ONE)]["path"] == str(path)
    assert (rows["qwen3.5:4b"]["path"], rows["qwen3.5:4b"]["used_by"]) == (str(blob), ["mine"])
    mine = tmp_path / "mine.gguf"
    mine.write_bytes(b"GGUF")
    serves(shell, str(mine))
    (own,) = (row for row in shell.json("models list") if row["owner"] == "a file of yours")
    assert (own["path"], own["used_by"]) == (str(mine), ["mine"])


def test_empty_list_says_what_fits(shell: Shell) -> None:
    assert "`antiphon models recommended` says which fit it." in shell("models list")


def test_model_of_another_program_is_never_removed(shell: Shell, own_home: Path) -> None:
    blob = ollama_model(own_home / ".ollama/models")
    file = studio_model(own_home / ".lmstudio/models")
    assert shell.complaint("models rm qwen3.5:4b --yes") == (
        f"qwen3.5:4b belongs to Ollama ({blob}), so it is not removed: remove it there"
    )
    assert "belongs to LM Studio" in shell.complaint("models rm hf:o/r --yes")
    assert blob.exists()
    assert file.exists()


@pytest.mark.parametrize(("answer", "goes"), [("y\n", True), ("\n", False)])
def test_removal_is_asked_on_a_terminal(shell: Shell, answer: str, goes: bool) -> None:
    path = pulled(shell, ONE)
    above, below = pty.openpty()
    os.write(above, answer.encode())
    command = [sys.executable, "-m", "antiphon.cli", "models", "rm", str(ONE)]
    done = subprocess.run(
        [*command, "--data-dir", str(shell.data_dir)],
        stdin=below, capture_output=True, check=False, text=True, timeout=60,
    )  # fmt: skip
    os.close(above)
    os.close(below)
    assert f"Remove {ONE} (5.0 kB)? [y/N]" in done.stdout
    assert (done.returncode == 0) == goes
    assert path.exists() != goes


def test_removal_of_a_model_in_use_says_so(shell: Shell) -> None:
    pulled(shell, ONE)
    serves(shell, str(ONE))
    assert shell.json("models rm tiny.gguf --yes")["spec"] == str(ONE)


def test_show_tells_where_a_model_is_and_what_is_in_it(shell: Shell, own_home: Path) -> None:
    blob = ollama_model(own_home / ".ollama/models", content=model(QWEN_LIKE))
    said = shell("models show qwen3.5:4b")
    rows = {line[:10].strip(): line[12:] for line in said.splitlines() if line[:10].strip()}
    assert (rows["model"], rows["path"]) == ("qwen3.5:4b", str(blob))
    assert rows["whose"] == "Ollama, used where it is"
    assert rows["used by"] == "no model of these settings"
    assert rows["catalogue"].startswith("qwen3.5-4b, Qwen3.5 4B")
    assert rows["licence"] == "Apache-2.0"
    assert rows["can"] == "tools, thinking, images (not run here: from pages)"
    assert rows["tools"] == "native call format: that of its template"
    assert rows["context"].startswith("trained for 4,096 tokens")
    assert all(len(line) <= 80 or str(blob) in line for line in said.splitlines())
    found = shell.json("models show qwen3.5:4b")
    assert (found["owner"], found["catalogue"]["name"]) == ("Ollama", "qwen3.5-4b")
    assert found["checked"]["context"]["trained"] == 4096


def test_show_of_the_catalogue_needs_no_file(shell: Shell) -> None:
    said = shell("models show gpt-oss:20b")
    assert "not on this machine; `antiphon models pull gpt-oss-20b` fetches it" in said
    assert "Apache-2.0" in said
    assert shell.json("models show gpt-oss:20b")["path"] is None


def test_show_of_what_is_not_here_says_how_to_fetch_it(shell: Shell) -> None:
    said = shell.complaint("models show hf:o/r/m.gguf")
    assert said.startswith("hf:o/r/m.gguf is not on this machine; `antiphon models pull hf:o/r")


def test_show_of_a_pulled_model_by_the_name_of_its_file(shell: Shell) -> None:
    path = pulled(shell, ONE)
    path.write_bytes(model(QWEN_LIKE).ljust(5000, b"\0"))
    found = shell.json("models show tiny.gguf")
    assert (found["spec"], found["path"], found["sha256"]) == (str(ONE), str(path), "c" * 64)


def test_unknown_name_is_told_with_names_like_it(
    shell: Shell, capsys: pytest.CaptureFixture[str]
) -> None:
    for action in ("pull", "show", "check"):
        assert main(["models", action, "qwen3.5-4", "--data-dir", str(shell.data_dir)]) == 1
        assert "Did you mean qwen3.5-4b" in capsys.readouterr().err
