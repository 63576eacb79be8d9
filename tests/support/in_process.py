"""Small requests over the transport of a server for tests."""

import json
from typing import Any

from antiphon.testing import Server
from antiphon.transport.base import HttpRequest, ResponseStream
from antiphon.wire.sse import FrameDecoder

HELLO = {"model": "claude-x", "max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}]}


def request(
    server: Server, path: str = "/v1/messages", body: Any = None, method: str = "POST", **more: str
) -> HttpRequest:
    headers = {
        "x-api-key": server.key,
        "anthropic-version": "2023-06-01",
        "content-type": "application/json",
        **{name.replace("_", "-"): value for name, value in more.items()},
    }
    content = b"" if body is None else json.dumps(body).encode()
    url = f"{server.base_url}{path}"
    return HttpRequest(method=method, url=url, headers=tuple(headers.items()), body=content)


def opened(server: Server, timeout: float | None = 10, **changes: Any) -> ResponseStream:
    """Begin a message, with these changes of a plain one."""
    sent = request(server, body={**HELLO, **changes})
    return server.transport().open(sent, connect_timeout=None, timeout=timeout)


def create(server: Server, **changes: Any) -> tuple[int, Any]:
    """Return the status and the JSON of a message."""
    stream = opened(server, **changes)
    return stream.status, json.loads(stream.read(10))


def said(server: Server, text: str = "Hi", **changes: Any) -> str:
    """Return the text of the answer to a text."""
    status, body = create(server, messages=[{"role": "user", "content": text}], **changes)
    assert status == 200, body
    return "".join(block["text"] for block in body["content"] if block["type"] == "text")


def get(server: Server, path: str) -> tuple[int, Any]:
    sent = request(server, path, method="GET")
    stream = server.transport().open(sent, connect_timeout=None, timeout=10)
    return stream.status, json.loads(stream.read(10))


def events(stream: ResponseStream) -> list[Any]:
    return [json.loads(frame.data) for frame in FrameDecoder().feed(stream.read(10))]
