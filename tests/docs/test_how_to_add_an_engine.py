"""docs/how-to/add-an-engine.md: the page's engine is installed, served and tested as it says."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from antiphon.cli import parser
from antiphon.engines.base import EngineConfig, EngineErrorKind, EngineStartError
from antiphon.engines.registry import engine_names, open_engine
from antiphon.settings import Settings
from conftest import StartClient

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/how-to/add-an-engine.md").read_text(encoding="utf-8")
GROUP = "antiphon.engines"

pytestmark = pytest.mark.anyio


def block(language: str, first_line: str = "") -> str:
    """Return the one block of the page in this language that begins with this line."""
    pattern = rf"^```{language}\n({re.escape(first_line)}.*?)^```"
    (found,) = re.findall(pattern, PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


MODULE = block("python", "# antiphon_shout.py\n")
PYPROJECT = tomllib.loads(block("toml", "# pyproject.toml\n"))
SETTINGS = block("toml", "# antiphon.toml\n")
INSTALL, SERVE = block("sh", ".venv/bin/python -m pip").splitlines()
COMMAND = block("sh", ".venv/bin/pytest").split()


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder in which the package of the page is installed, as pip would leave it."""
    project = PYPROJECT["project"]
    metadata = tmp_path / "antiphon_shout-0.1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    entries = (f"{name} = {path}\n" for name, path in project["entry-points"][GROUP].items())
    (metadata / "entry_points.txt").write_text(f"[{GROUP}]\n{''.join(entries)}")
    (tmp_path / "antiphon_shout.py").write_text(MODULE)
    (tmp_path / "antiphon.toml").write_text(SETTINGS)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("antiphon_shout", None)


@pytest.fixture
def model(installed: Path) -> dict[str, object]:
    """The `[[models]]` table of the page."""
    (model,) = tomllib.loads((installed / "antiphon.toml").read_text())["models"]
    return dict(model)


async def test_installed_engine_answers_through_the_real_app(
    model: dict[str, object], gateway: StartClient
) -> None:
    assert "shout" in engine_names()
    client = await gateway(model)
    asked = {"messages": [{"role": "user", "content": "hello there"}]}
    message = (await client.create(**asked)).json
    assert message["content"] == [{"type": "text", "text": "HELLO THERE", "citations": []}]
    assert message["stop_reason"] == "end_turn"
    assert message["usage"]["input_tokens"] == 3
    assert message["usage"]["output_tokens"] == 3
    counted = await client.post("/v1/messages/count_tokens", {"model": "shout", **asked})
    assert counted.json == {"input_tokens": 3}
    events = (await client.create(**asked, stream=True)).events
    deltas = [event["delta"]["text"] for event in events if event["type"] == "content_block_delta"]
    assert "".join(deltas) == "HELLO THERE"


async def test_message_of_an_unsupported_prompt_reaches_the_caller(
    model: dict[str, object], gateway: StartClient
) -> None:
    client = await gateway(model)
    answer = await client.create(messages=[{"role": "user", "content": "?!"}])
    assert answer.error[::2] == (400, "messages: there is no word to shout")


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("options", [{"pause": 1}, {"pause_s": "long"}])
async def test_wrong_option_is_a_start_error(options: dict[str, object]) -> None:
    with pytest.raises(EngineStartError, match="pause"):
        await open_engine("shout", EngineConfig("shout", options=options))


def test_contracts_pass_with_the_command_of_the_page(installed: Path) -> None:
    program, *arguments = COMMAND
    assert program == ".venv/bin/pytest"
    command = [sys.executable, "-m", "pytest", *arguments, "-p", "no:cacheprovider", "-v"]
    in_the_folder = "../antiphon-shout/antiphon.toml"
    command = [str(installed / "antiphon.toml") if one == in_the_folder else one for one in command]
    path = [str(installed), str(ROOT / "src")]
    done = subprocess.run(
        command,
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": ":".join(path), "PATH": "/usr/bin:/bin", "HOME": str(installed)},
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
    results = re.findall(r"::(test_\w+)\[(\w+).*\] (\w+)", done.stdout)
    assert len(results) > 20
    assert {(engine, result) for _, engine, result in results} == {("shout", "PASSED")}


def test_page_names_every_kind_of_error() -> None:
    for kind in EngineErrorKind:
        assert f"| `{kind.name}` |" in PAGE


def test_settings_of_the_page_are_loaded(installed: Path) -> None:
    (served,) = Settings.load({}, environ={}, config=installed / "antiphon.toml").served()
    assert served.engine == "shout"


def test_commands_of_the_page_are_those_of_a_checkout() -> None:
    assert f".venv/bin/python -m pip install ../{PYPROJECT['project']['name']}" == INSTALL
    program, *words = SERVE.split()
    assert program == ".venv/bin/antiphon"
    parsed = parser(words).parse_args(words)
    assert parsed.config == Path("../antiphon-shout/antiphon.toml")
