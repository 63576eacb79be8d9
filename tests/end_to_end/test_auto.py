"""`antiphon serve --model auto:…`: another model takes over, fetched from this machine."""

import json
import re
import threading
import time
from collections.abc import Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from antiphon.cli.successor import successor_of
from antiphon.settings import Settings
from antiphon.weights.catalogue import read_catalogue
from support.processes import KEY, PATIENCE_S, Program, run, serving

HEADERS = {"x-api-key": KEY, "anthropic-version": "2023-06-01"}
LISTED = "large-Q4_K_M.gguf"
ENVIRON = {"ANTIPHON_API_KEY": KEY, "ANTIPHON_LLAMA_SLOTS": "1", "ANTIPHON_LLAMA_THREADS": "1"}


class Mirror:
    """A web server with one model, which sends half of it and the rest when a test says so."""

    def __init__(self, model: Path) -> None:
        self.content = model.read_bytes()
        self.may_end = threading.Event()
        self.half_sent = threading.Event()
        self.ranges: list[str | None] = []
        self.hub = ""

    @property
    def url(self) -> str:
        return f"{self.hub}/large.gguf"


@pytest.fixture
def mirror(tiny_model: Path) -> Iterator[Mirror]:
    found = Mirror(tiny_model)

    class Answers(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None: ...

        def do_HEAD(self) -> None:
            """Answer as the hub does for a file in LFS."""
            self.send_response(200)
            self._describe(len(found.content))

        def _describe(self, length: int) -> None:
            self.send_header("Content-Length", str(length))
            self.send_header("ETag", f'"{sha256(found.content).hexdigest()}"')
            self.send_header("X-Repo-Commit", "c0ffee" * 6 + "1234")
            self.end_headers()

        def _list(self) -> None:
            """List one model of a repository, whichever it is."""
            oid = sha256(found.content).hexdigest()
            size = len(found.content)
            entry = {"type": "file", "path": LISTED, "size": size, "lfs": {"oid": oid}}
            body = json.dumps([entry]).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            if self.path.startswith("/api/models/"):
                self._list()
                return
            asked = self.headers.get("Range")
            found.ranges.append(asked)
            start = int(asked.removeprefix("bytes=").partition("-")[0]) if asked else 0
            whole, rest = len(found.content), found.content[start:]
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{whole - 1}/{whole}")
            self._describe(len(rest))
            try:
                self.wfile.write(rest[: len(rest) // 2])
                found.half_sent.set()
                found.may_end.wait(PATIENCE_S)
                self.wfile.write(rest[len(rest) // 2 :])
            except OSError:
                pass  # the server has stopped

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.daemon_threads = True
    found.hub = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield found
    found.may_end.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def folder(tmp_path: Path, models_dir: Path, default_model: Path) -> Path:
    """A data folder that has the default model, and no other."""
    assert default_model.is_relative_to(models_dir / "models")
    models = tmp_path / "models"
    models.mkdir()
    of_default = default_model.parent
    (models / of_default.name).symlink_to(of_default)
    return tmp_path


def models_of(program: Program) -> list[str]:
    found = httpx2.get(f"{program.url}/v1/models", headers=HEADERS).json()
    return [one["id"] for one in found["data"]]


def until(program: Program, model: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while models_of(program) != [model]:
        assert time.monotonic() < deadline, program.error_output
        time.sleep(0.05)


def answering(program: Program) -> str:
    body = {
        "model": "claude-x",
        "max_tokens": 4,
        "messages": [{"role": "user", "content": "Hi"}],
    }
    answer = httpx2.post(
        f"{program.url}/v1/messages", json=body, headers=HEADERS, timeout=PATIENCE_S
    )
    assert answer.status_code == 200, answer.text
    return str(answer.headers["x-antiphon-model"])


def children(program: Program) -> list[psutil.Process]:
    return psutil.Process(program.process.pid).children()


def said_by(program: Program) -> str:
    return " ".join(program.output.split())


def test_model_takes_over_when_it_is_fetched_and_the_next_start_begins_with_it(
    folder: Path, mirror: Mirror
) -> None:
    words = ("--model", f"auto:{mirror.url}")
    with serving(folder, *words, environ=ENVIRON) as program:
        assert "smollm2-135m-instruct, a toy, answers until large is fetched" in said_by(program)
        assert "Claude Code needs" not in program.output
        assert mirror.half_sent.wait(PATIENCE_S)
        assert answering(program) == "smollm2-135m-instruct"
        assert len(children(program)) == 1
        mirror.may_end.set()
        until(program, "large")
        assert answering(program) == "large"
        deadline = time.monotonic() + PATIENCE_S
        while len(children(program)) != 1:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        deadline = time.monotonic() + PATIENCE_S
        while "large answers now, with " not in said_by(program):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    with serving(folder, *words, environ=ENVIRON) as program:
        assert models_of(program) == ["large"]
        assert said_by(program).startswith("Loading model large")
        assert " a toy" not in program.output
        assert answering(program) == "large"
    assert mirror.ranges == [None]


@pytest.mark.soak
def test_recommended_model_takes_over(folder: Path, mirror: Mirror) -> None:
    """The one for this machine, of which the hub has a tiny one here."""
    settings = Settings.load({"model": "auto", "data_dir": folder}, environ={})
    expected = successor_of(settings)
    if expected is None:
        pytest.skip("no model of the catalogue fits into the memory that is free now")
    environ = {**ENVIRON, "ANTIPHON_HUB_ENDPOINT": mirror.hub, "HF_HUB_DISABLE_TELEMETRY": "1"}
    mirror.may_end.set()
    with serving(folder, "--model", "auto", environ=environ) as program:
        (model,) = set(re.findall(r"answers until ([\w.-]+) is fetched", said_by(program)))
        until(program, model)
        assert answering(program) == model
        assert model in {one.name for one in read_catalogue()}
    # The next start takes the model that is here, however much memory is free then.
    with serving(folder, "--model", "auto", environ=environ) as program:
        assert models_of(program) == [model]
    assert len(mirror.ranges) == 1


def test_stop_keeps_what_was_fetched_and_is_not_held_up(folder: Path, mirror: Mirror) -> None:
    words = ("--model", f"auto:{mirror.url}")
    with serving(folder, *words, environ=ENVIRON) as program:
        assert mirror.half_sent.wait(PATIENCE_S)
        partial = next((folder / "models").glob("large-*/*.partial"))
        deadline = time.monotonic() + PATIENCE_S
        while partial.stat().st_size < len(mirror.content) // 4:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        began = time.monotonic()
        assert program.stop() == 0
        assert time.monotonic() - began < 10
        assert "Traceback" not in program.error_output
    kept = partial.stat().st_size
    mirror.may_end.set()
    with serving(folder, *words, environ=ENVIRON) as program:
        until(program, "large")
    assert mirror.ranges == [None, f"bytes={kept}-"]


@pytest.mark.soak
def test_model_that_is_nowhere_leaves_the_toy_and_says_why(folder: Path, unused_port: int) -> None:
    url = f"http://127.0.0.1:{unused_port}/large.gguf"
    with serving(folder, "--model", f"auto:{url}", environ=ENVIRON) as program:
        deadline = time.monotonic() + PATIENCE_S
        while "large cannot take over, so smollm2-135m-instruct goes on: " not in said_by(program):
            assert time.monotonic() < deadline, program.error_output
            time.sleep(0.05)
        assert answering(program) == "smollm2-135m-instruct"


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("auto:s3://bucket/large.gguf", "begins with 's3:', which is not known"),
        ("auto:./missing.gguf", "There is no file"),
    ],
)
def test_mistake_in_the_name_is_told_at_the_start(folder: Path, model: str, said: str) -> None:
    done = run(folder, "serve", "--port", "0", "--model", model)
    assert done.returncode == 1
    assert said in done.stderr


def test_worker_has_no_model_that_takes_over(tmp_path: Path) -> None:
    shared = {
        "ANTIPHON_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "ANTIPHON_COUNTERS_URL": "valkey://127.0.0.1:1",
    }
    done = run(tmp_path, "worker", "--model", "auto:./large.gguf", **shared)
    assert done.returncode == 1
    assert "a worker has one model" in done.stderr
