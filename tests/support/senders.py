"""Both kinds of connections behind one interface that blocks, so that one test holds for both."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvloop

from antiphon.transport import AsyncConnections, Connections
from antiphon.transport.base import AsyncResponseStream, Body, Headers, HttpRequest, ResponseStream

PATIENCE_S = 10.0
KINDS = ("blocking", "asyncio", "uvloop")


class Reply:
    """An answer of either kind."""

    def __init__(self, answer: Any, run: Callable[[Any], Any]) -> None:
        self.answer: ResponseStream | AsyncResponseStream = answer
        self._run = run

    @property
    def status(self) -> int:
        return self.answer.status

    @property
    def headers(self) -> Headers:
        return self.answer.headers

    def read_chunk(self, timeout: float | None = PATIENCE_S) -> bytes:
        return bytes(self._run(self.answer.read_chunk(timeout)))

    def read(self, timeout: float | None = PATIENCE_S) -> bytes:
        return bytes(self._run(self.answer.read(timeout)))

    def close(self) -> None:
        self.answer.close()
        self._run(None)


class Sender:
    """Connections of either kind. `run` runs a coroutine, or gives back what is none."""

    def __init__(self, connections: Any, run: Callable[[Any], Any]) -> None:
        self.connections = connections
        self.run = run

    def open(
        self,
        url: str,
        method: str = "POST",
        *,
        body: Body = b"",
        headers: tuple[tuple[str, str], ...] = (),
        timeout: float | None = PATIENCE_S,
        connect_timeout: float | None = PATIENCE_S,
    ) -> Reply:
        request = HttpRequest(method=method, url=url, headers=headers, body=body)
        opened = self.connections.open(request, connect_timeout=connect_timeout, timeout=timeout)
        return Reply(self.run(opened), self.run)

    def get(self, url: str) -> tuple[int, bytes]:
        reply = self.open(url, "GET")
        return reply.status, reply.read()


@contextmanager
def sender(kind: str, **options: Any) -> Iterator[Sender]:
    """Open connections of a kind, and close them."""
    if kind == "blocking":
        with Connections(**options) as connections:
            yield Sender(connections, lambda value: value)
        return
    factory = uvloop.new_event_loop if kind == "uvloop" else None
    with asyncio.Runner(loop_factory=factory) as runner:
        several = AsyncConnections(**options)

        async def settled(value: Any) -> Any:
            result = await value if asyncio.iscoroutine(value) else value
            await asyncio.sleep(0)  # what was ended is closed in the next turn
            await asyncio.sleep(0)
            return result

        try:
            yield Sender(several, lambda value: runner.run(settled(value)))
        finally:
            several.close()
            runner.run(settled(None))
