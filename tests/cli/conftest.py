import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from antiphon.cli import main
from antiphon.service.installation import opened_database
from antiphon.settings import Settings


class Shell:
    """Types commands, over one data folder."""

    def __init__(self, data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.data_dir = data_dir
        self._capsys = capsys

    def __call__(self, line: str) -> str:
        """Run a command that goes well; return what it says."""
        assert main(self._words(line)) == 0, self._capsys.readouterr().err
        return self._capsys.readouterr().out

    def both(self, line: str) -> str:
        """Run a command that goes well; return what it prints on stdout, then on stderr."""
        assert main(self._words(line)) == 0
        printed = self._capsys.readouterr()
        return printed.out + printed.err

    def json(self, line: str) -> Any:
        return json.loads(self(f"{line} --json"))

    def complaint(self, line: str) -> str:
        """Run a command that cannot be done; return why."""
        assert main(self._words(line)) == 1
        said = self._capsys.readouterr()
        assert said.out == ""
        assert said.err.count("\n") == 1
        return said.err.removeprefix("antiphon: ").rstrip("\n")

    def misunderstood(self, line: str) -> str:
        """Run a command that is not written as it should be; return what is wrong."""
        with pytest.raises(SystemExit) as caught:
            main(self._words(line))
        assert caught.value.code == 2
        return self._capsys.readouterr().err.splitlines()[0].partition("error: ")[2]

    def _words(self, line: str) -> list[str]:
        return [*line.split(), "--data-dir", str(self.data_dir)]


@pytest.fixture(scope="session")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the database of a server that no key was made for."""
    folder = tmp_path_factory.mktemp("founded") / "data"

    async def found() -> None:
        async with opened_database(Settings.load({"data_dir": folder}, environ={})):
            pass

    asyncio.run(found())
    return folder


@pytest.fixture
def shell(
    founded: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Shell:
    shutil.copytree(founded, tmp_path / "data")
    (tmp_path / "antiphon.toml").write_text('engine = "scripted"\n', encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return Shell(tmp_path / "data", capsys)


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without the models of whoever runs the tests."""
    home = tmp_path / "home"
    monkeypatch.setenv("HOME", str(home))
    for name in ("HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OLLAMA_MODELS", str(home / ".ollama/models"))
    return home


@pytest.fixture
def configured(shell: Shell, tmp_path: Path) -> Callable[[str], Shell]:
    """A shell over other settings."""

    def configure(text: str) -> Shell:
        (tmp_path / "antiphon.toml").write_text(text, encoding="utf-8")
        return shell

    return configure
