"""Callers: they ask over a network with delays, and can hang up at any moment."""

import asyncio
import json
from typing import TYPE_CHECKING, Any

from starlette.types import Message

from simulation.answers import Answer, Request

if TYPE_CHECKING:
    from simulation.processes import Life, Server
    from simulation.world import World

# How long a way over the network takes, in seconds.
WAY_S = (1e-4, 5e-3)


class Call:
    """One request on its way through one process."""

    def __init__(self, life: "Life", answer: Answer, scope: dict[str, Any], body: bytes) -> None:
        self.answer = answer
        self.over = asyncio.Event()
        self.chunks = asyncio.Event()
        self._life = life
        self._body: bytes | None = body
        self._scope = scope
        self._gone = asyncio.Event()
        self._whole = False
        life.calls.add(self)
        self._task = life.spawn(self._run())

    def hang_up(self) -> None:
        """End the connection as a caller. What comes afterwards is not heard any more."""
        self._end("left")
        self._gone.set()

    def break_off(self) -> None:
        """End the connection as a process does that ends."""
        self._life.calls.discard(self)
        self._end("broken")

    def cancel(self) -> None:
        """Give up on the request, as a server does at the end of its grace."""
        self._task.cancel()

    async def _run(self) -> None:
        app = self._life.app
        try:
            if app is not None:
                await app(self._scope, self._receive, self._send)
        finally:
            self._life.calls.discard(self)
            self._end("whole" if self._whole else "broken")

    async def _receive(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if self._gone.is_set():
            return
        answer = self.answer
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {k.decode(): v.decode("latin-1") for k, v in message["headers"]}
            return
        answer.chunks.append(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        self.chunks.set()
        if answer.request is not None and answer.request.reads_s:
            await asyncio.sleep(answer.request.reads_s)

    def _end(self, how: str) -> None:
        if not self.answer.ended:
            self.answer.ended = how
            self.over.set()
            self.chunks.set()


class Client:
    """Sends requests to a server, and keeps every answer in the world's record."""

    def __init__(self, world: "World", server: "Server") -> None:
        self._world = world
        self._server = server

    async def create(self, request: Request) -> Answer:
        """Ask for a message."""
        answer = Answer(request, self._server.name)
        self._world.answers.append(answer)
        more = {} if request.retries is None else {"x-stainless-retry-count": str(request.retries)}
        call = await self._begin("POST", answer, request.key.secret, request.body, more)
        if call is not None:
            await self._listen(call, request)
        answer.ended_at = self._world.loop.time()
        self._trace_end(answer)
        return answer

    async def administer(self, method: str, path: str, body: Any = None) -> Answer:
        """Call the Admin API."""
        return await self.call(method, f"/v1/organizations{path}", self._world.admin_key, body)

    async def call(
        self,
        method: str,
        path: str,
        secret: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Call any endpoint with a key; the answer is kept by the caller alone."""
        answer = Answer(None, self._server.name, path=path)
        call = await self._begin(method, answer, secret, body, headers or {})
        if call is not None:
            await call.over.wait()
        self._trace_end(answer)
        return answer

    def _trace_end(self, answer: Answer) -> None:
        ended = {"status": answer.status, "ended": answer.ended}
        self._world.trace("request ends", **answer.identity, **ended)

    async def _begin(
        self, method: str, answer: Answer, secret: str, body: Any, more: dict[str, str]
    ) -> Call | None:
        chance = self._world.network
        answer.sent_at = self._world.loop.time()
        self._world.trace("request is sent", **answer.identity)
        await asyncio.sleep(chance.uniform(*WAY_S))
        life = self._server.life
        if life is None or life.app is None:
            answer.ended = "refused"
            return None
        path, _, query = answer.path.partition("?")
        headers = {"x-api-key": secret, "anthropic-version": "2026-10-21", **more}
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
        raw = b"" if body is None else json.dumps(body).encode()
        return Call(life, answer, scope, raw)

    async def _listen(self, call: Call, request: Request) -> None:
        if request.patience_chunks is not None:
            while len(call.answer.chunks) < request.patience_chunks and not call.answer.ended:
                call.chunks.clear()
                await call.chunks.wait()
            call.hang_up()
        elif request.patience_s is not None:
            try:
                async with asyncio.timeout(request.patience_s):
                    await call.over.wait()
            except TimeoutError:
                call.hang_up()
        else:
            await call.over.wait()
