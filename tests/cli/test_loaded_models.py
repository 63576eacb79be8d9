"""`antiphon models ps`: what a server that runs has loaded."""

import json
import os
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from antiphon.cli.loaded_models import LoadedFile, loaded_files
from antiphon.engines.llama.process import CHILD
from antiphon.settings import Settings
from antiphon.store.database.instance_lock import lock_data_dir
from tests.cli.conftest import Shell

KEY = "sk-antiphon-admin-of-the-settings-0123456789"
STATE: dict[str, Any] = {
    "id": "mine",
    "type": "model_state",
    "display_name": "Mine",
    "status": "ready",
    "context_tokens": 8192,
    "max_output_tokens": 8192,
    "running": 2,
    "waiting": 0,
    "batch_running": 0,
    "batch_waiting": 0,
    "engines": [],
}


class Answer(BaseHTTPRequestHandler):
    def log_message(self, *_: Any) -> None: ...

    def do_GET(self) -> None:
        allowed = self.headers["x-api-key"] == KEY and self.path == "/v1/organizations/models"
        body = json.dumps({"data": [STATE]}).encode() if allowed else b"{}"
        self.send_response(200 if allowed else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def running(shell: Shell) -> Iterator[str]:
    """The address of a server that holds the data folder, and tells of one model."""
    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    address = f"127.0.0.1:{server.server_port}"
    with lock_data_dir(shell.data_dir, address):
        yield address
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.usefixtures("running")
def test_server_tells_with_an_admin_key(configured: Callable[[str], Shell]) -> None:
    shell = configured(f'engine = "scripted"\nadmin_key = "{KEY}"\n')
    lines = shell("models ps").splitlines()
    assert lines[0].split() == ["model", "status", "context", "running", "waiting", "memory"]
    assert lines[1].split() == ["mine", "ready", "8,192", "2", "0", "-"]
    assert shell.json("models ps")[0] == STATE


def test_key_that_is_refused_is_named_by_its_place(
    configured: Callable[[str], Shell], running: str
) -> None:
    shell = configured(f'engine = "scripted"\nadmin_key = "{KEY}-of-another"\n')
    assert shell.complaint("models ps") == (
        f"http://{running}/v1/organizations/models answered 401: antiphon.toml: admin_key is "
        "refused"
    )


def test_server_without_files_says_so(shell: Shell, running: str) -> None:
    said = shell.both("models ps")
    assert f"The server (process {os.getpid()}, {running}) runs no file" in said
    assert "ANTIPHON_ADMIN_KEY" in said


def test_folder_without_a_server_is_told_how_to_start_one(shell: Shell) -> None:
    assert shell.complaint("models ps").startswith(
        f"no server runs on {shell.data_dir}; `antiphon serve` starts one"
    )


def test_children_of_a_server_tell_their_files(tmp_path: Path) -> None:
    mine = tmp_path / "mine.gguf"
    mine.write_bytes(b"GGUF")
    for process, words in {
        7: ["python", "-m", "antiphon"],
        8: ["python", "-P", "-m", CHILD, str(mine)],
        9: ["python", "-P", "-m", CHILD, "/models/Other-Q4.gguf"],
        10: ["sh"],
        11: ["python", "-P", "-m", CHILD],
    }.items():
        (tmp_path / f"proc/{process}/task/{process}").mkdir(parents=True)
        line = "\0".join(words)
        (tmp_path / f"proc/{process}/cmdline").write_bytes(line.encode())
    (tmp_path / "proc/7/task/7/children").write_text("8 9 10 11 12 ", encoding="ascii")
    settings = Settings.load(
        {"data_dir": tmp_path / "data", "model": str(mine), "model_id": "mine"}, environ={}
    )
    assert list(loaded_files(7, settings, tmp_path / "proc")) == [
        LoadedFile("mine", str(mine), 8, None),
        LoadedFile("other-q4", "/models/Other-Q4.gguf", 9, None),
    ]
    assert list(loaded_files(8, settings, tmp_path / "proc")) == []
