"""Pages of clients that take long to install: every line as it stands, in an empty environment."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from support.pages import CLIENTS, lines_of, run_line, versions_of
from support.processes import KEY, serving

pytestmark = pytest.mark.soak

CONFIG = """
engine = "scripted"
[scripted]
text = "H2O"
[[scripted.replies]]
when = "salt"
text = "NaCl"
[[scripted.replies]]
when = "weather"
tool_calls = [{name = "get_weather", input = {city = "Paris"}}]
"""
INSTALLING_S = 600.0
Run: TypeAlias = Callable[[str], list[str]]


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    folder = tmp_path_factory.mktemp("clients")
    folder.joinpath("antiphon.toml").write_text(CONFIG, encoding="utf-8")
    with serving(folder, environ={"ANTIPHON_API_KEY": KEY}) as program:
        yield {"ANTHROPIC_BASE_URL": program.url, "ANTHROPIC_API_KEY": KEY}


@pytest.fixture
def run(environ: dict[str, str], tmp_path: Path) -> Run:
    """Installs what a page installs, in the versions that it names, and runs its lines."""

    def run_page(name: str) -> list[str]:
        page, binaries = CLIENTS / name, tmp_path / "venv/bin"
        subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True, timeout=120)
        (install,) = lines_of(page)
        program, *words = install.split()
        named = versions_of(page)
        wanted = [f"{word}=={named[word]}" if word in named else word for word in words]
        subprocess.run(
            [binaries / program, "-q", *wanted],
            check=True,
            timeout=INSTALLING_S,
            cwd=tmp_path,
        )
        path = {**environ, "PATH": f"{binaries}:/usr/bin:/bin"}
        return [
            run_line(["/bin/sh", "-euc", text], path, tmp_path) for text in lines_of(page, "sh")
        ] + [
            run_line([binaries / "python", "-c", text], path, tmp_path)
            for text in lines_of(page, "python")
        ]

    return run_page


def test_lines_of_llm_are_answered(run: Run) -> None:
    assert run("llm.md") == ["H2O\nNaCl\n"]


def test_lines_of_langchain_are_answered(run: Run) -> None:
    (said,) = run("langchain.md")
    first, second, calls = said.splitlines()
    assert (first, second) == ("H2O", "H2O")
    assert "'name': 'get_weather', 'args': {'city': 'Paris'}" in calls


def test_lines_of_litellm_are_answered(run: Run) -> None:
    assert run("litellm.md") == ["H2O\nH2O\n"]
