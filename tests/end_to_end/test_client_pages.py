"""The pages of clients: their lines run as they stand, with the versions that they name."""

import json
import re
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from support.node import TYPESCRIPT, node
from support.pages import CLIENTS, lines_of, run_line, versions_of
from support.processes import KEY, Program, serving

CONFIG = """
engine = "scripted"
[scripted]
text = "H2O"
[[scripted.replies]]
when = "18 degrees"
text = "It is mild."
[[scripted.replies]]
when = "weather"
tool_calls = [{name = "get_weather", input = {city = "Paris"}}]
"""


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The variables that the server prints, for the lines of the pages."""
    folder = tmp_path_factory.mktemp("clients")
    folder.joinpath("antiphon.toml").write_text(CONFIG, encoding="utf-8")
    with serving(folder, environ={"ANTIPHON_API_KEY": KEY}) as program:
        yield variables(program)


def variables(program: Program) -> dict[str, str]:
    return {"ANTHROPIC_BASE_URL": program.url, "ANTHROPIC_API_KEY": KEY}


def test_lines_of_curl_are_answered(environ: dict[str, str], tmp_path: Path) -> None:
    said = [
        run_line(["/bin/sh", "-euc", text], environ, tmp_path)
        for text in lines_of(CLIENTS / "curl.md", "sh")
    ]
    assert json.loads(said[0])["content"][0]["text"] == "H2O"
    assert said[1].endswith('event: message_stop\ndata: {"type":"message_stop"}\n\n')
    assert re.match(r'\{"input_tokens":\d+\}\{"data":\[\{"type":"model"', said[2])


def test_lines_of_the_python_sdk_are_answered(environ: dict[str, str], tmp_path: Path) -> None:
    page = CLIENTS / "python-sdk.md"
    said = [run_line([sys.executable, "-c", one], environ, tmp_path) for one in python_of(page)]
    assert said == ["H2O\nH2O\n", "['scripted']\n"]
    assert versions_of(page) == {"anthropic": version("anthropic")}


def python_of(page: Path) -> list[str]:
    return lines_of(page, "python")


@pytest.mark.usefixtures("typescript")
@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("typescript-sdk.md", ["H2O\nH2O\n", "scripted\n"]),
        ("ai-sdk.md", ["H2O\nH2O\n", "2 It is mild.\n"]),
    ],
)
def test_lines_of_packages_of_npm_are_answered(
    environ: dict[str, str], page: str, said: list[str]
) -> None:
    programs = lines_of(CLIENTS / page, "js")
    assert [node("--input-type=module", "-e", one, **environ) for one in programs] == said
    wanted = json.loads((TYPESCRIPT / "package.json").read_text(encoding="utf-8"))["dependencies"]
    named = versions_of(CLIENTS / page)
    assert named
    assert {name: wanted[name] for name in named} == named


def test_page_of_all_clients_has_each_of_them() -> None:
    linked = re.findall(r"\]\(([a-z-]+\.md)\)", (CLIENTS / "README.md").read_text("utf-8"))
    assert sorted(linked) == sorted(
        one.name for one in CLIENTS.glob("*.md") if one.name != "README.md"
    )
