"""Claude Code itself, unmodified, against a running server."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.processes import KEY, PATIENCE_S, Program, serving
from support.recorder import Recorder, recording

pytestmark = pytest.mark.soak

MODEL = "claude-opus-5-5"
ANSWER = "The scripted engine is well."
SCRIPT = f"""
engine = "scripted"
[scripted]
text = "{ANSWER}"
"""
CALLS = f"""
engine = "scripted"
[scripted]
text = "{ANSWER}"
[[scripted.replies]]
when = "How are you"
text = "I look."
tool_calls = [
    {{name = "Bash", input = {{command = "echo antiphon", description = "Say it"}}}},
    {{name = "Bash", input = {{command = "exit 3"}}}},
]
"""
QUIET = {
    "DISABLE_TELEMETRY": "1",
    "DISABLE_ERROR_REPORTING": "1",
    "DISABLE_AUTOUPDATER": "1",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "CLAUDE_CODE_MAX_RETRIES": "1",
}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Program]:
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    (data_dir / "antiphon.toml").write_text(SCRIPT, encoding="utf-8")
    with serving(data_dir, environ={"ANTIPHON_API_KEY": KEY}) as program:
        yield program


@pytest.fixture
def recorder(server: Program) -> Iterator[Recorder]:
    with recording(server.url) as found:
        yield found


@pytest.fixture
def calling(tmp_path: Path) -> Iterator[Program]:
    """A server whose model makes two calls, and is done when their results come back."""
    data_dir = tmp_path / "calling"
    data_dir.mkdir()
    (data_dir / "antiphon.toml").write_text(CALLS, encoding="utf-8")
    with serving(data_dir, environ={"ANTIPHON_API_KEY": KEY}) as program:
        yield program


def ask(claude: Path, recorder: Recorder, home: Path, *arguments: str, **environ: str) -> Any:
    """Ask Claude Code in a home of its own; what it prints as JSON."""
    home.mkdir()
    done = subprocess.run(
        [claude, "-p", "How are you?", "--output-format", "json", "--model", MODEL, *arguments],
        cwd=home,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "ANTHROPIC_BASE_URL": recorder.url,
            **QUIET,
            **environ,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    record(recorder)
    assert done.returncode == 0, done.stdout + done.stderr + said(recorder)
    return json.loads(done.stdout)


def said(recorder: Recorder) -> str:
    """What the server answered to what it refused."""
    return "\n".join(
        f"{one.method} {one.path} {one.status} {one.answer.decode(errors='replace')[:300]}"
        for one in recorder.recorded
        if one.status >= 400
    )


def record(recorder: Recorder) -> None:
    """Leave what was asked where the operator wants it: examples are made of it."""
    folder = os.environ.get("ANTIPHON_RECORD")
    if folder is None:
        return
    Path(folder).mkdir(parents=True, exist_ok=True)
    for number, one in enumerate(recorder.recorded):
        path = Path(folder, f"{recorder.server_address[1]}-{number}.json")
        kept = {"method": one.method, "path": one.path, "headers": one.headers}
        answer = {"status": one.status, "answer": one.answer.decode(errors="replace")}
        body = one.body.decode()
        path.write_text(json.dumps({**kept, "body": body, **answer}, indent=1))


@pytest.mark.parametrize("credential", ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"])
def test_a_plain_turn_is_answered(
    claude: Path, recorder: Recorder, tmp_path: Path, credential: str
) -> None:
    result = ask(claude, recorder, tmp_path / "home", **{credential: KEY})
    assert result["result"] == ANSWER
    assert not result["is_error"]
    assert said(recorder) == ""


def test_a_turn_without_tools_is_answered(claude: Path, recorder: Recorder, tmp_path: Path) -> None:
    arguments = ("--bare", "--system-prompt", "Be brief.", "--tools", "")
    result = ask(claude, recorder, tmp_path / "home", *arguments, ANTHROPIC_API_KEY=KEY)
    assert result["result"] == ANSWER
    assert said(recorder) == ""


def test_wrong_key_is_reported_as_invalid(claude: Path, recorder: Recorder, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="invalid x-api-key"):
        ask(claude, recorder, tmp_path / "home", ANTHROPIC_API_KEY="wrong")


def test_calls_are_made_and_their_results_come_back(
    claude: Path, calling: Program, tmp_path: Path
) -> None:
    with recording(calling.url) as recorder:
        home = tmp_path / "home"
        result = ask(claude, recorder, home, "--allowedTools", "Bash", ANTHROPIC_API_KEY=KEY)
    assert result["result"] == ANSWER
    assert said(recorder) == ""
    _, last = (json.loads(one.body) for one in recorder.recorded)
    blocks = [
        block
        for one in last["messages"]
        if isinstance(one["content"], list)
        for block in one["content"]
    ]
    results = [block for block in blocks if block["type"] == "tool_result"]
    assert [(block["content"], block["is_error"]) for block in results] == [
        ("antiphon", False),
        ("Exit code 3", True),
    ]


def test_prompt_that_is_too_long_is_known_as_such(claude: Path, tmp_path: Path) -> None:
    """It would compact a longer conversation; this one has nothing to compact."""
    data_dir, home = tmp_path / "small", tmp_path / "home"
    data_dir.mkdir()
    home.mkdir()
    (data_dir / "antiphon.toml").write_text(f"{SCRIPT}context_tokens = 8000\n", encoding="utf-8")
    with serving(data_dir, environ={"ANTIPHON_API_KEY": KEY}) as program:
        done = subprocess.run(
            [claude, "-p", "Hi", "--output-format", "json", "--model", MODEL],
            cwd=home,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(home),
                "ANTHROPIC_BASE_URL": program.url,
                "ANTHROPIC_API_KEY": KEY,
                **QUIET,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )
    told = json.loads(done.stdout)
    assert (told["is_error"], told["terminal_reason"]) == (True, "prompt_too_long")
