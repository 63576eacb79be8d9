"""A client that calls the ASGI application in process, and can disconnect at any moment."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp, Message

from antiphon.wire.sse import Frame, FrameDecoder

KEY = "sk-antiphon-key-of-the-tests"
HEADERS = {"x-api-key": KEY, "anthropic-version": "2023-06-01"}
HELLO = {"model": "claude-x", "max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}]}


@dataclass
class Answer:
    """A response, as far as it has arrived."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    chunks: list[bytes] = field(default_factory=list)
    whole: bool = False

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> tuple[int, str, str]:
        """Return status, type and message of an answer in the error envelope."""
        body = self.json
        assert body["type"] == "error"
        assert body["request_id"] == self.headers["request-id"]
        return self.status, body["error"]["type"], body["error"]["message"]

    @property
    def frames(self) -> list[Frame]:
        return list(FrameDecoder().feed(self.body))

    @property
    def events(self) -> list[Any]:
        frames = self.frames
        events = [json.loads(frame.data) for frame in frames]
        assert [frame.event for frame in frames] == [event["type"] for event in events]
        return events


class Call:
    """One running request."""

    def __init__(self, app: ASGIApp, scope: dict[str, Any], body: list[bytes]) -> None:
        self.answer = Answer()
        self._news = asyncio.Event()
        self._gone = asyncio.Event()
        self._body = body
        self.task = asyncio.create_task(self._run(app, scope))

    async def _run(self, app: ASGIApp, scope: dict[str, Any]) -> Answer:
        await app(scope, self._receive, self._send)
        return self.answer

    async def _receive(self) -> Message:
        if self._body:
            chunk = self._body.pop(0)
            return {"type": "http.request", "body": chunk, "more_body": bool(self._body)}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        # As uvicorn does, drop what is sent after the caller has disconnected.
        if self._gone.is_set():
            return
        if message["type"] == "http.response.start":
            assert not self.answer.status
            self.answer.status = message["status"]
            self.answer.headers = {k.decode(): v.decode("latin-1") for k, v in message["headers"]}
        else:
            assert self.answer.status
            assert not self.answer.whole
            self.answer.chunks.append(message.get("body", b""))
            self.answer.whole = not message.get("more_body", False)
        self._news.set()

    def hang_up(self) -> None:
        self._gone.set()

    async def until(self, text: bytes) -> None:
        """Wait until the answer contains `text`."""
        while text not in self.answer.body:
            self._news.clear()
            await self._news.wait()


class Client:
    """Sends requests to an application."""

    def __init__(self, app: ASGIApp, headers: dict[str, str] | None = None) -> None:
        self._app = app
        self._headers = HEADERS if headers is None else headers

    def start(
        self,
        method: str,
        path: str,
        body: Any = b"",
        headers: dict[str, str | None] | None = None,
    ) -> Call:
        raw = body if isinstance(body, bytes | list) else json.dumps(body).encode()
        path, _, query = path.partition("?")
        merged = {**self._headers, **(headers or {})}
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": [(k.encode(), v.encode()) for k, v in merged.items() if v is not None],
        }
        return Call(self._app, scope, list(raw) if isinstance(raw, list) else [raw])

    async def get(self, path: str, **headers: str | None) -> Answer:
        return await self.start("GET", path, headers=_dashed(headers)).task

    async def post(self, path: str, body: Any, **headers: str | None) -> Answer:
        return await self.start("POST", path, body, _dashed(headers)).task

    async def create(self, **changes: Any) -> Answer:
        """Send a valid message request with these changes."""
        return await self.post("/v1/messages", {**HELLO, **changes})


def _dashed(headers: dict[str, str | None]) -> dict[str, str | None]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
