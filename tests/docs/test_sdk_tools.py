"""The pages of tools and structured outputs run as they stand, against a real server."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.processes import KEY, Program, serving

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs/sdk"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CONFIG = """
engine = "scripted"
[scripted]
text = "?"
[[scripted.replies]]
when = "warm is it in Oslo"
text = "I look it up."
tool_calls = [{name = "weather", input = {city = "Oslo"}}]
[[scripted.replies]]
when = "12 degrees celsius in Oslo"
text = "It is 12 degrees in Oslo."
[[scripted.replies]]
when = "warm is it in Bergen"
text = "I look it up."
tool_calls = [{name = "slow_weather", input = {city = "Bergen"}}]
[[scripted.replies]]
when = "12 degrees in Bergen"
text = "It is 12 degrees in Bergen."
[[scripted.replies]]
when = "account 8[?]"
text = ""
tool_calls = [{name = "balance", input = {account = 8}}]
[[scripted.replies]]
when = "There is 7"
text = ""
tool_calls = [{name = "balance", input = {account = 7}}]
[[scripted.replies]]
when = "12.50 euros"
text = "There are 12.50 euros in account 7."
[[scripted.replies]]
when = "pizza with basil"
text = ""
tool_calls = [{name = "order", input = {size = "small", toppings = ["basil"]}}]
[[scripted.replies]]
when = "Ask for the size"
text = "Which size do you want?"
[[scripted.replies]]
when = "Ann likes tea[.]$"
text = ""
[[scripted.replies.tool_calls]]
name = "memory"
input = {command = "create", path = "/memories/ann.md", file_text = "Ann likes tea."}
[[scripted.replies]]
when = "/memories/ann.md was created"
text = "I will remember it."
[[scripted.replies]]
when = "sketchbooks"
text = '{"customer": "Rosa", "pieces": 12, "urgent": true}'
[[scripted.replies]]
when = "parcel"
text = '"delivery"'
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    folder = tmp_path_factory.mktemp("sdk-tools")
    folder.joinpath("antiphon.toml").write_text(CONFIG, encoding="utf-8")
    environ = {"ANTIPHON_CONFIG": str(folder / "antiphon.toml"), "ANTIPHON_API_KEY": KEY}
    with serving(folder / "data", environ=environ) as program:
        yield program


@pytest.mark.parametrize("page", ["tools.md", "structured-outputs.md"])
def test_examples_print_what_the_page_shows(
    page: str,
    program: Program,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", program.url)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    blocks = BLOCK.findall(PAGES.joinpath(page).read_text(encoding="utf-8"))
    examples = [
        (text, shown)
        for (language, text), (after, shown) in zip(blocks, [*blocks[1:], ("", "")], strict=True)
        if language == "python" and not after
    ]
    assert len(examples) * 2 == len(blocks)
    # Each goes on with what those before it have made.
    names: dict[str, Any] = {"__name__": "__main__"}
    try:
        for text, shown in examples:
            exec(compile(text, page, "exec"), names)  # noqa: S102 - what a reader would run
            assert capsys.readouterr().out == shown
    finally:
        names["client"].close()


@pytest.mark.soak
def test_program_of_the_official_sdk_prints_the_same_with_ours(program: Program) -> None:
    environ = {**os.environ, "ANTHROPIC_BASE_URL": program.url, "ANTHROPIC_API_KEY": KEY}
    printed = [
        subprocess.run(
            [sys.executable, "-W", "ignore", ROOT / "tests/support/moved_tools.py", name],
            env=environ,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout
        for name in ("anthropic", "antiphon")
    ]
    assert printed[0] == printed[1]
    assert len(printed[0].splitlines()) > 15
