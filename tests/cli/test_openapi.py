"""`antiphon openapi`: the description of the API, without a server."""

import json
import tempfile
from pathlib import Path

import pytest

from antiphon.cli import main


def test_command_prints_the_description_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)  # it looks at TMPDIR again
    (tmp_path / "antiphon.toml").write_text("prot = 1\n", encoding="utf-8")
    assert main(["openapi"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["openapi"] == "3.1.0"
    assert "/v1/messages" in told["paths"]
    assert [path.name for path in tmp_path.iterdir()] == ["antiphon.toml"]
