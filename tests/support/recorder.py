"""A proxy that records requests and answers between a client and a server."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2

PATIENCE_S = 120.0
# These headers are about one connection, and a proxy does not forward them.
HOP_BY_HOP = frozenset({"connection", "content-length", "host", "transfer-encoding"})


@dataclass
class Recorded:
    """One request, and its answer as far as it has arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    status: int = 0
    answer: bytearray = field(default_factory=bytearray)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Recorder(ThreadingHTTPServer):
    """A proxy on a free port of the loopback."""

    daemon_threads = False

    def __init__(self, target: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.recorded: list[Recorded] = []
        # Answers are forwarded unchanged: `iter_raw` decodes nothing.
        self.upstream = httpx2.Client(base_url=target, timeout=PATIENCE_S)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that disconnect."""


class Handler(BaseHTTPRequestHandler):
    """Forwards one request of a client, and closes the connection behind the answer."""

    server: Recorder

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length", 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        one = Recorded(self.command, self.path, headers, self.rfile.read(length))
        self.server.recorded.append(one)
        kept = {name: value for name, value in headers.items() if name not in HOP_BY_HOP}
        with self.server.upstream.stream(
            one.method, one.path, headers=kept, content=one.body
        ) as answer:
            one.status = answer.status_code
            self.send_response(answer.status_code)
            for name, value in answer.headers.items():
                if name not in HOP_BY_HOP:
                    self.send_header(name, value)
            self.send_header("connection", "close")
            self.end_headers()
            for chunk in answer.iter_raw():
                one.answer += chunk
                self.wfile.write(chunk)
                self.wfile.flush()

    do_GET = do_HEAD = do_POST  # noqa: N815 - the names are http.server's

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def recording(target: str) -> Iterator[Recorder]:
    """Run a recorder in front of this server until the block ends."""
    with Recorder(target) as recorder:
        thread = threading.Thread(target=recorder.serve_forever)
        thread.start()
        try:
            yield recorder
        finally:
            recorder.shutdown()
            thread.join()
            recorder.upstream.close()
