"""Servers behind upstream engines: real ones, and a fake one with scripted answers."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from aiohttp import web

from antiphon.engines.base import Capabilities, Engine, EngineEvent, Prompt
from antiphon.engines.llama.options import LlamaOptions
from antiphon.engines.llama.process import child_config, start_child
from support.processes import KEY, serving


@asynccontextmanager
async def llama_server(
    weights: Path, projector: Path | None = None
) -> AsyncIterator[dict[str, Any]]:
    """Run llama.cpp and yield the options of an engine that uses its public API."""
    mmproj = None if projector is None else str(projector)
    options = LlamaOptions(context=1024, slots=4, threads=1, mmproj=mmproj)
    config = child_config(options, weights, None)
    child = await start_child(config, 60.0)
    try:
        yield {"url": child.address, "api_key": config.api_key}
    finally:
        await child.aclose()


@asynccontextmanager
async def antiphon_server(
    weights: Path, projector: Path | None = None
) -> AsyncIterator[dict[str, Any]]:
    """Run the whole program on this model and yield the options of an engine that uses it."""
    settings = {
        "ANTIPHON_API_KEY": KEY,
        "ANTIPHON_LLAMA_CONTEXT": "1024",
        "ANTIPHON_LLAMA_THREADS": "1",
        **({} if projector is None else {"ANTIPHON_LLAMA_MMPROJ": str(projector)}),
    }
    with TemporaryDirectory() as folder:
        running = serving(Path(folder), "--model", str(weights), environ=settings)
        program = await asyncio.to_thread(running.__enter__)
        try:
            yield {"url": program.url, "api_key": KEY}
        finally:
            await asyncio.to_thread(running.__exit__, None, None, None)


class EngineWithServer:
    """An engine that closes its server when it is closed."""

    def __init__(self, engine: Engine, server: AbstractAsyncContextManager[Any]) -> None:
        self._engine = engine
        self._server = server

    @property
    def capabilities(self) -> Capabilities:
        return self._engine.capabilities

    @property
    def ready(self) -> bool:
        return self._engine.ready

    def generate(self, prompt: Prompt) -> AsyncGenerator[EngineEvent, None]:
        return self._engine.generate(prompt)

    async def count_tokens(self, prompt: Prompt) -> int:
        return await self._engine.count_tokens(prompt)

    async def aclose(self) -> None:
        await self._engine.aclose()
        await self._server.__aexit__(None, None, None)


Script = Callable[[web.Request], Awaitable[web.StreamResponse]]


class FakeUpstream:
    """A server with scripted answers.

    `asked` are the path, headers and body of each request; `gone` is set when a client disconnects.
    """

    def __init__(self) -> None:
        self.script: Script = _nothing
        self.asked: list[tuple[str, dict[str, str], Any]] = []
        self.gone = asyncio.Event()
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.json() if request.can_read_body else None
        self.asked.append((request.path, dict(request.headers), body))
        try:
            return await self.script(request)
        except (asyncio.CancelledError, ConnectionError):
            self.gone.set()
            raise

    def says(self, body: bytes, status: int = 200, kind: str = "application/json") -> None:
        """Answer every request with this body."""

        async def script(_: web.Request) -> web.StreamResponse:
            return web.Response(body=body, status=status, headers={"Content-Type": kind})

        self.script = script

    def streams(self, *parts: bytes, then: str = "end", pause_s: float = 0.0) -> None:
        """Stream these parts to every request; `then` `end`, `cut` the connection, or `stall`."""

        async def script(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            for part in parts:
                await response.write(part)
                await asyncio.sleep(pause_s)
            if then == "stall":
                await asyncio.sleep(60)
            if then == "cut" and request.transport is not None:
                request.transport.abort()
            return response

        self.script = script


async def _nothing(_: web.Request) -> web.StreamResponse:
    return web.Response(status=404)


@asynccontextmanager
async def fake_upstream() -> AsyncIterator[FakeUpstream]:
    """Run a fake upstream on a free port until the block ends."""
    server = FakeUpstream()
    raw = web.Server(server.answer, handler_cancellation=True)
    runner = web.ServerRunner(raw, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    server.url = f"http://{host}:{port}"
    try:
        yield server
    finally:
        await runner.cleanup()
