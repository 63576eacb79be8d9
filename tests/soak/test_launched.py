"""`antiphon launch` with the real Claude Code, OpenCode and Copilot CLI."""

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from soak.conftest import CLAUDE_CODE, COPILOT, OPENCODE
from support.pages import CLIENTS, ROOT, versions_of
from support.processes import PATIENCE_S, PROGRAM, Program, environment, run, serving
from support.recorder import Recorder, recording

pytestmark = pytest.mark.soak

ANSWER = "The file is written."
CONFIG = f"""
[[models]]
id = "large"
engine = "scripted"
[models.options]
text = "{ANSWER}"
context_tokens = 65536
[[models.options.replies]]
when = "Claude, write the file"
text = "I write it."
tool_calls = [{{name = "Write", input = {{file_path = "PROJECT/hello.txt", content = "Hello"}}}}]
[[models.options.replies]]
when = "then replace Hello by Goodbye"
text = ""
[[models.options.replies.tool_calls]]
name = "Read"
input = {{file_path = "PROJECT/greeting/greet.py"}}
[[models.options.replies.tool_calls]]
name = "Edit"
[models.options.replies.tool_calls.input]
file_path = "PROJECT/greeting/greet.py"
old_string = "Hello"
new_string = "Goodbye"
[[models.options.replies]]
when = "OpenCode, write the file"
text = "I write it."
tool_calls = [{{name = "write", input = {{filePath = "PROJECT/hello.txt", content = "Hello"}}}}]
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


@pytest.fixture
def server(tmp_path: Path, project: Path) -> Iterator[Program]:
    config = CONFIG.replace("PROJECT", str(project))
    tmp_path.joinpath("antiphon.toml").write_text(config, encoding="utf-8")
    with serving(tmp_path) as program:
        yield program


def launch(
    program: Path, tmp_path: Path, *words: str, **more: str
) -> subprocess.CompletedProcess[str]:
    """Launch a program in the project, with a home of its own and no network but the loopback."""
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    return subprocess.run(
        [*PROGRAM, "launch", *words],
        cwd=tmp_path / "project",
        env=environment(
            tmp_path,
            PATH=f"{program.parent}:{os.environ['PATH']}",
            HOME=str(home),
            PWD=str(tmp_path / "project"),
            ANTIPHON_CONFIG=str(tmp_path / "antiphon.toml"),
            **more,
        ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )


def body_of(recorder: Recorder) -> Any:
    return json.loads(next(one.body for one in recorder.recorded if one.method == "POST"))


def refused(recorder: Recorder) -> list[str]:
    return [f"{one.path} {one.status}" for one in recorder.recorded if one.status >= 400]


@pytest.mark.usefixtures("server")
def test_claude_code_edits_a_file(claude: Path, tmp_path: Path, project: Path) -> None:
    asked = ("-p", "Claude, write the file.", "--allowedTools", "Write", "--output-format", "json")
    # A provider of the user's is not asked.
    done = launch(claude, tmp_path, "claude", "--", *asked, CLAUDE_CODE_USE_BEDROCK="1")
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["result"] == ANSWER
    assert project.joinpath("hello.txt").read_text(encoding="utf-8") == "Hello"
    ((name, use),) = told["modelUsage"].items()
    assert (name, use["contextWindow"]) == ("claude-local/large", 65_536)
    kept = tmp_path / "home/.claude/cache/gateway-models.json"
    (model,) = json.loads(kept.read_text(encoding="utf-8"))["models"]
    assert model["id"] == "claude-local/large"
    assert model["description"].startswith("65k context")


def test_claude_code_sends_its_hints_and_is_refused_nothing(
    claude: Path, tmp_path: Path, server: Program
) -> None:
    secret = run(tmp_path, "launch", "claude", "--show-key").stdout.strip()
    with recording(server.url) as recorder:
        there = ("--base-url", recorder.url)
        done = launch(
            claude, tmp_path, "claude", *there, "--", "-p", "Hi", ANTHROPIC_AUTH_TOKEN=secret
        )
    assert done.returncode == 0, done.stderr
    assert refused(recorder) == []
    asked = next(one for one in recorder.recorded if one.method == "POST")
    assert asked.headers["x-claude-code-request-class"] == "main"
    assert body_of(recorder)["max_tokens"] == 65_536 // 4


def test_claude_code_finds_the_key_by_its_settings(
    claude: Path, tmp_path: Path, server: Program
) -> None:
    assert launch(claude, tmp_path, "claude", "--write-settings").returncode == 0
    home = tmp_path / "home"
    done = subprocess.run(
        [claude, "-p", "Hi"],
        cwd=tmp_path / "project",
        env={"PATH": "/usr/bin:/bin", "HOME": str(home)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.stdout.strip() == ANSWER, done.stderr
    assert server.url in (home / ".claude/settings.json").read_text(encoding="utf-8")


@pytest.mark.usefixtures("server")
def test_line_of_the_first_page_edits_the_file(claude: Path, tmp_path: Path, project: Path) -> None:
    """The way of the page on 8 GB, with a model that is sure to call."""
    page = (ROOT / "docs/how-to/get-an-edit-on-8-gb.md").read_text(encoding="utf-8")
    (lines,) = re.findall(r"^```sh\n(mkdir greeting.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (edited,) = re.findall(r"^```\n(def greet.*?)^```$", page, re.MULTILINE | re.DOTALL)
    done = subprocess.run(
        ["/bin/sh", "-euc", f'antiphon() {{ {shlex.join(PROGRAM)} "$@"; }}\n{lines}'],
        cwd=project,
        env=environment(
            tmp_path,
            PATH=f"{claude.parent}:{os.environ['PATH']}",
            HOME=str(tmp_path),
            PWD=str(project),
            ANTIPHON_CONFIG=str(tmp_path / "antiphon.toml"),
        ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert project.joinpath("greeting/greet.py").read_text(encoding="utf-8") == edited
    assert done.stdout == f"{ANSWER}\n{edited}"


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("by_settings", [False, True])
def test_opencode_edits_a_file(
    opencode: Path, tmp_path: Path, project: Path, *, by_settings: bool
) -> None:
    asked = ("run", "OpenCode, write the file.")
    if by_settings:
        assert launch(opencode, tmp_path, "opencode", "--write-settings").returncode == 0
        done = subprocess.run(
            [opencode, *asked],
            cwd=project,
            env={
                "PATH": "/usr/bin:/bin",
                "HOME": str(tmp_path / "home"),
                "PWD": str(project),
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )
    else:
        done = launch(opencode, tmp_path, "opencode", "--", *asked)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ANSWER in done.stdout
    assert project.joinpath("hello.txt").read_text(encoding="utf-8") == "Hello"


@pytest.mark.usefixtures("server")
def test_copilot_answers_without_an_account(copilot: Path, tmp_path: Path) -> None:
    done = launch(copilot, tmp_path, "copilot", "--", "-p", "How are you?")
    assert done.returncode == 0, done.stdout + done.stderr
    assert ANSWER in done.stdout


def test_pages_name_the_versions_that_were_run() -> None:
    assert versions_of(CLIENTS / "opencode.md") == {"opencode-ai": OPENCODE}
    assert versions_of(CLIENTS / "copilot-cli.md") == {"@github/copilot": COPILOT}
    page = ROOT / "docs/how-to/use-claude-code.md"
    assert re.findall(r"`@anthropic-ai/claude-code` ([\d.]+\d)", page.read_text("utf-8")) == [
        CLAUDE_CODE
    ]
