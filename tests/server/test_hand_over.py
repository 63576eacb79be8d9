"""A server that hands over to another one with the same listener: no request is lost."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from types import SimpleNamespace

import pytest
import uvloop
from starlette.types import Receive, Scope, Send

from antiphon.server.http import protocol
from antiphon.server.run import Server, bind, http_config
from antiphon.service.process_place import ProcessPlace
from support.connections import Caller

SOON_S = 20.0
ASK = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{}"


class Answering:
    """An application that answers with its name; while it is held, in two parts."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.held: asyncio.Event | None = None
        self.begun = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope
        while (await receive()).get("more_body"):
            pass
        body = f'{{"by": "{self.name}"}}'.encode()
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body[:5], "more_body": True})
        self.begun.set()
        if self.held is not None:
            await self.held.wait()
        await send({"type": "http.response.body", "body": body[5:]})


class Platform(SimpleNamespace):
    """What a server needs of its platform."""

    def hand_over(self) -> None:
        self.handed_over = True


class Old:
    """A server that hands over, and the listener that a new one has too."""

    def __init__(self, listener: socket.socket) -> None:
        self.app = Answering("old")
        self.platform = Platform(
            draining=False, stopping=asyncio.Event(), handed_over=False, process=ProcessPlace(1, 2)
        )
        self.server = Server(http_config(self.app, 30), self.platform, print)  # type: ignore[arg-type]
        self._listener = listener.dup()
        self.address = listener.getsockname()
        self.serving = asyncio.create_task(self.server.serve([self._listener]))

    def hand_over(self) -> None:
        self.server.hand_over([self._listener])

    async def connect(self) -> Caller:
        return Caller(*await asyncio.open_connection(*self.address))


async def started(server: Server) -> None:
    while not server.started:  # noqa: ASYNC110 - uvicorn tells nobody
        await asyncio.sleep(0.001)


def played(scene: Callable[[Old, socket.socket], Awaitable[None]]) -> None:
    async def play() -> None:
        with bind("127.0.0.1", 0) as listener:
            old = Old(listener)
            await started(old.server)
            async with asyncio.timeout(SOON_S):
                await scene(old, listener)
                await old.serving

    uvloop.run(play())


def test_connection_that_is_kept_is_told_to_end_with_its_next_answer() -> None:
    async def scene(old: Old, _: socket.socket) -> None:
        caller = await old.connect()
        caller.send(ASK)
        _, headers, _ = await caller.answer()
        assert "connection" not in headers
        old.hand_over()
        assert old.platform.handed_over
        await asyncio.sleep(0.05)
        assert not old.serving.done()
        caller.send(ASK)
        status, headers, body = await caller.answer()
        assert (status, headers["connection"], body) == (200, "close", {"by": "old"})
        assert await caller.reader.read() == b""
        caller.writer.close()

    played(scene)


def test_answer_that_has_begun_goes_on_to_its_end() -> None:
    async def scene(old: Old, _: socket.socket) -> None:
        old.app.held = asyncio.Event()
        caller = await old.connect()
        caller.send(ASK)
        await old.app.begun.wait()
        old.hand_over()
        await asyncio.sleep(0.05)
        old.app.held.set()
        assert (await caller.answer())[2] == {"by": "old"}
        caller.writer.close()

    played(scene)


def test_connections_that_wait_are_accepted_by_the_other_one() -> None:
    async def scene(old: Old, listener: socket.socket) -> None:
        old.hand_over()
        await old.serving
        # Nobody accepts now: it waits in the queue of the listener.
        waiting = await old.connect()
        waiting.send(ASK)
        platform = Platform(draining=False, stopping=asyncio.Event(), process=ProcessPlace(2, 2))
        new = Server(http_config(Answering("new"), 30), platform, print)  # type: ignore[arg-type]
        serving = asyncio.create_task(new.serve([listener]))
        _, headers, body = await waiting.answer()
        assert body == {"by": "new"}
        assert "connection" not in headers
        waiting.writer.close()
        new.end()
        await serving

    played(scene)


@pytest.mark.parametrize("ends", ["opened", "stopped"])
def test_new_one_accepts_nothing_before_its_models_are_open(ends: str) -> None:
    async def scene(old: Old, listener: socket.socket) -> None:
        opened = asyncio.Event()

        async def open_models() -> None:
            await opened.wait()

        platform = Platform(draining=False, stopping=asyncio.Event(), process=ProcessPlace(2, 2))
        new = Server(http_config(Answering("new"), 30), platform, print)  # type: ignore[arg-type]
        new.accepts_after = asyncio.create_task(open_models())
        serving = asyncio.create_task(new.serve([listener]))
        await asyncio.sleep(0.02)
        assert not new.started
        old.hand_over()
        await old.serving
        waiting = await old.connect()
        waiting.send(ASK)
        if ends == "opened":
            opened.set()
            assert (await waiting.answer())[2] == {"by": "new"}
        waiting.writer.close()
        new.end()
        await serving
        new.accepts_after.cancel()

    played(scene)


def test_idle_connection_is_closed_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "PARTING_S", 0.05)

    async def scene(old: Old, _: socket.socket) -> None:
        never_used, used = await old.connect(), await old.connect()
        used.send(ASK)
        await used.answer()
        old.hand_over()
        for caller in (never_used, used):
            assert await caller.reader.read() == b""
            caller.writer.close()

    played(scene)
