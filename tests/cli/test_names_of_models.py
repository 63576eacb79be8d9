"""Names of models at the command line, with the hub of the settings."""

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest
from huggingface_hub import constants

from antiphon.cli import main
from tests.cli.conftest import Shell

ASKED = "/api/models/Some-Owner/A-Repository-With-A-Long-Name-GGUF/tree/main?recursive=true"
NAME = "hf:Some-Owner/A-Repository-With-A-Long-Name-GGUF"
FILES = {"a-Q4_K_M.gguf": 4_920_000_000, "b-Q4_K_M.gguf": 5_100_000_000, "b-Q8_0.gguf": 9_000}


class Hub(BaseHTTPRequestHandler):
    tokens: list[str | None]

    def log_message(self, *_: Any) -> None: ...

    def do_GET(self) -> None:
        self.tokens.append(self.headers["Authorization"])
        entries = [{"type": "file", "path": path, "size": size} for path, size in FILES.items()]
        body = json.dumps(entries).encode() if self.path == ASKED else b""
        self.send_response(200 if body else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


pytestmark = pytest.mark.usefixtures("own_home")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HTTPServer]:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    server = HTTPServer(("127.0.0.1", 0), type("BoundHub", (Hub,), {"tokens": []}))
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("action", ["pull", "check"])
def test_name_of_several_models_lists_them_with_their_sizes(
    action: str,
    hub: HTTPServer,
    configured: Callable[[str], Shell],
    capsys: pytest.CaptureFixture[str],
) -> None:
    shell = configured(
        f'hub_endpoint = "http://127.0.0.1:{hub.server_port}"\nhub_token = "hf_of_the_settings"\n'
    )
    assert main(["models", action, NAME, "--data-dir", str(shell.data_dir)]) == 1
    said = capsys.readouterr().err
    assert said.splitlines() == [
        f"antiphon: {NAME} may be several models. Choose one of",
        f"     4.9 GB  {NAME}/a-Q4_K_M.gguf",
        f"     5.1 GB  {NAME}/b-Q4_K_M.gguf",
    ]
    assert all(len(line) <= 80 for line in said.splitlines()[1:])
    assert hub.RequestHandlerClass.tokens == ["Bearer hf_of_the_settings"]  # type: ignore[attr-defined]


def test_repository_that_does_not_exist_is_told(
    hub: HTTPServer, configured: Callable[[str], Shell]
) -> None:
    shell = configured(f'hub_endpoint = "http://127.0.0.1:{hub.server_port}"\n')
    assert shell.complaint("models pull no-owner/no-repo:Q4_K_M") == (
        "hf:no-owner/no-repo:Q4_K_M: the hub has no such repository"
    )


def test_hub_without_encryption_is_refused(configured: Callable[[str], Shell]) -> None:
    shell = configured('hub_endpoint = "http://hub.example.com"\n')
    assert shell.complaint("models pull hf:o/r").startswith("http://hub.example.com is not https")
