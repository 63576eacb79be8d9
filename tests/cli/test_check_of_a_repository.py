"""A repository of the hub is checked by the one file that its name means."""

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from huggingface_hub import constants

from support.gguf_bytes import model
from support.templates import QWEN_LIKE
from tests.cli.conftest import Shell

FILES = ("tiny-Q4_K_M.gguf", "tiny-Q8_0.gguf", "mmproj-tiny-F16.gguf", "README.md")
CONTENT = model(QWEN_LIKE)

pytestmark = pytest.mark.usefixtures("own_home")


class Hub(BaseHTTPRequestHandler):
    def log_message(self, *_: Any) -> None: ...

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("ETag", '"0123456789"')
        self.send_header("X-Repo-Commit", "0" * 40)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()

    def do_GET(self) -> None:
        if self.path.startswith("/api/models/own/tiny-GGUF/tree/main"):
            body = json.dumps([{"type": "file", "path": one, "size": 9} for one in FILES]).encode()
        elif self.path.startswith("/own/tiny-GGUF/resolve/main/tiny-Q4_K_M.gguf"):
            body = CONTENT
        else:
            body = b""
        self.send_response(200 if body else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_file_that_a_name_means_is_told_with_what_was_learned(
    hub: str, configured: Callable[[str], Shell]
) -> None:
    shell = configured(f'hub_endpoint = "{hub}"\n')
    said = shell("models check hf:own/tiny-GGUF")
    meant = "hf:own/tiny-GGUF/tiny-Q4_K_M.gguf"
    assert f"model       hf:own/tiny-GGUF\n            that is {meant}\n" in said
    assert "native call format" in said
    found = shell.json("models check hf:own/tiny-GGUF")
    assert (found["source"], found["meant"]) == ("hf:own/tiny-GGUF", meant)
    assert shell.json(f"models check {meant}")["meant"] is None
