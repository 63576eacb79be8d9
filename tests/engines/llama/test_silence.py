import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from aiohttp import web

from antiphon.engines.base import EngineConfig, EngineError, EngineErrorKind
from antiphon.engines.llama.client import LlamaClient
from antiphon.engines.llama.engine import open_llama
from antiphon.engines.llama.session import open_session
from antiphon.engines.llama.silence import SUSPECT_S, SilenceWatch
from antiphon.engines.llama.supervisor import RemoteServer
from antiphon.engines.token.machine import CompletionRequest, Piece
from support.conversation import all_events, ask, eventually
from support.upstreams import FakeUpstream, fake_upstream

pytestmark = pytest.mark.anyio


class Watched:
    """A watch on a clock that each look moves on, and what it has called."""

    def __init__(self, limit_s: float) -> None:
        self.time = 0.0
        self.suspected: list[float] = []
        self.given_up: list[float] = []
        self.heard_at: list[float] = []
        self.watch = SilenceWatch(
            limit_s,
            self.suspect,
            lambda: self.given_up.append(self.time),
            now=lambda: self.time,
            sleep=self.sleep,
        )

    async def suspect(self) -> None:
        self.suspected.append(self.time)

    async def sleep(self, seconds: float) -> None:
        self.time += seconds
        if self.heard_at and self.time >= self.heard_at[0]:
            self.heard_at.pop(0)
            self.watch.heard()
            self.watch.waiting()
        if self.time > 100:
            raise asyncio.CancelledError

    async def run(self) -> None:
        with suppress(asyncio.CancelledError):
            await self.watch.run()


async def test_silence_is_suspected_once_and_given_up_at_the_limit() -> None:
    watched = Watched(limit_s=60)
    watched.watch.waiting()
    await watched.run()
    assert (watched.suspected, watched.given_up) == ([SUSPECT_S], [60])
    assert watched.watch.expired


async def test_each_event_begins_the_silence_anew() -> None:
    watched = Watched(limit_s=60)
    watched.watch.waiting()
    watched.heard_at = [8, 67, 90]
    await watched.run()
    assert watched.suspected == [SUSPECT_S, 8 + SUSPECT_S, 67 + SUSPECT_S, 90 + SUSPECT_S]
    assert not watched.given_up


async def test_slow_reader_is_no_silence() -> None:
    watched = Watched(limit_s=10)
    watched.watch.waiting()
    watched.watch.heard()
    await watched.run()
    assert not watched.suspected
    assert not watched.given_up


class RecordingServer(RemoteServer):
    """A server that records what it is told of its silence."""

    supervised = True

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.given_up: list[str] = []

    def end(self, address: str, reason: str) -> None:
        assert reason
        self.given_up.append(address)


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with fake_upstream() as upstream:
        yield upstream


async def completed(server: RemoteServer) -> list[Piece]:
    async with open_session(None) as session:
        client = LlamaClient(server, session, silence_timeout_s=0.2)
        request = CompletionRequest(tokens=[1], max_tokens=5, temperature=0)
        return [piece async for piece in client.complete(request)]


async def falls_silent(server: RemoteServer) -> None:
    with pytest.raises(EngineError, match=r"silent for 0\.2 s") as failure:
        await completed(server)
    assert failure.value.kind is EngineErrorKind.TIMEOUT


@pytest.mark.parametrize("events", [0, 1])
async def test_completion_that_falls_silent_fails_and_gives_the_server_up(
    upstream: FakeUpstream, events: int
) -> None:
    event = json.dumps({"content": "a", "tokens": [7], "tokens_predicted": 1}).encode()
    upstream.streams(*([b"data: " + event + b"\n\n"] * events), then="stall")
    server = RecordingServer(upstream.url)
    await falls_silent(server)
    assert server.given_up == [upstream.url]


async def test_foreign_server_may_let_a_request_wait_but_not_fall_silent(
    upstream: FakeUpstream,
) -> None:
    event = json.dumps({"content": "a", "tokens": [7], "tokens_predicted": 1}).encode()
    end = json.dumps({"tokens_predicted": 1, "stop": True, "stop_type": "eos"}).encode()
    upstream.streams(b"data: " + event + b"\n\n", then="stall")
    await falls_silent(RemoteServer(upstream.url))

    async def late(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await asyncio.sleep(0.5)
        await response.write(b"data: " + end + b"\n\n")
        return response

    upstream.script = late
    assert len(await completed(RemoteServer(upstream.url))) == 1


@pytest.mark.parametrize("silence_timeout_s", [4.0, 60.0])
async def test_child_that_hangs_during_an_answer_is_replaced(
    tiny_model: Path, silence_timeout_s: float
) -> None:
    options = {"context": 8192, "slots": 1, "threads": 1, "silence_timeout_s": silence_timeout_s}
    # Engines that all tests share have children too.
    others = set(psutil.Process().children())
    engine = await open_llama(EngineConfig("tiny", tiny_model, options))
    try:
        (child,) = set(psutil.Process().children()) - others
        answering = asyncio.create_task(all_events(engine, ask("Tell a story", max_tokens=8000)))
        await asyncio.sleep(0.5)
        child.suspend()
        await eventually(lambda: not engine.ready, within_s=25)
        with pytest.raises(EngineError):
            await answering
        await eventually(lambda: engine.ready, within_s=60)
        assert await all_events(engine, ask("Hi", max_tokens=2))
    finally:
        await engine.aclose()
