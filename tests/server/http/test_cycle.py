"""One request on a connection, as an application sees it: through ASGI, and by the shortcut."""

import asyncio
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl

from antiphon.server.http.cycle import Cycle, DateLine
from support.connections import SOON_S, listening

pytestmark = pytest.mark.anyio

HEAD = b"POST /say%%20it?a=b HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n"


class Wire(asyncio.Transport):
    """A transport that keeps what is written, and whether it is read."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.writes = 0
        self.reading = True
        self.closed = False

    def write(self, data: Any) -> None:
        self.written += data
        self.writes += 1

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


class Answered:
    """Counts the answers that have ended."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


def cycle_on(wire: Wire, answered: Answered | None = None, *, waits: bool = False) -> Cycle:
    scope: Any = {"type": "http", "method": "POST", "http_version": "1.1", "headers": []}
    return Cycle(
        scope,
        wire,
        FlowControl(wire),
        answered or Answered(),
        date=DateLine(lambda: 0.0),
        default_headers=[],
        keep_alive=True,
        expects_continue=waits,
    )


async def test_body_that_has_come_is_received_without_a_wait() -> None:
    cycle = cycle_on(Wire())
    cycle.add(b"a")
    cycle.add(b"b")
    cycle.add(b"c")
    assert await cycle.receive() == {"type": "http.request", "body": b"abc", "more_body": True}
    cycle.add(b"d")
    cycle.end_body()
    assert await cycle.receive() == {"type": "http.request", "body": b"d", "more_body": False}


@pytest.mark.parametrize("before", [b"", b"x"])
async def test_piece_and_end_wake_who_waits_for_them(before: bytes) -> None:
    cycle = cycle_on(Wire())
    if before:
        cycle.add(before)
        await cycle.receive()
    waiting = asyncio.create_task(cycle.receive())
    await asyncio.sleep(0)
    cycle.add(b"y")
    assert (await waiting)["body"] == b"y"  # type: ignore[typeddict-item]
    waiting = asyncio.create_task(cycle.receive())
    await asyncio.sleep(0)
    assert not waiting.done()
    cycle.end_body()
    assert await waiting == {"type": "http.request", "body": b"", "more_body": False}


async def test_hang_up_wakes_who_waits_and_is_told_each_time() -> None:
    cycle = cycle_on(Wire())
    waiting = asyncio.create_task(cycle.receive())
    await asyncio.sleep(0)
    cycle.hang_up()
    assert await waiting == await cycle.receive() == {"type": "http.disconnect"}
    assert cycle.whole_body() is None


async def test_large_body_stops_the_reading_until_it_is_taken() -> None:
    wire = Wire()
    cycle = cycle_on(wire)
    cycle.add(bytes(HIGH_WATER_LIMIT))
    assert wire.reading
    cycle.add(b"1")
    assert not wire.reading
    cycle.end_body()
    assert len(cycle.whole_body() or b"") == HIGH_WATER_LIMIT + 1
    assert wire.reading


async def test_whole_body_is_there_once_it_has_ended() -> None:
    cycle = cycle_on(Wire())
    cycle.add(b"a")
    assert cycle.whole_body() is None
    cycle.end_body()
    assert cycle.whole_body() == b"a"
    waiting = asyncio.create_task(cycle.receive())
    await asyncio.sleep(0)
    assert not waiting.done()
    cycle.hang_up()
    assert await waiting == {"type": "http.disconnect"}


async def test_continue_is_asked_for_once_when_the_body_is_wanted() -> None:
    wire = Wire()
    cycle = cycle_on(wire, waits=True)
    assert wire.written == b""
    for piece in (b"a", b"b"):
        cycle.add(piece)
        await cycle.receive()
    assert wire.written == b"HTTP/1.1 100 Continue\r\n\r\n"


async def test_answer_with_a_broken_header_writes_nothing_and_has_not_begun() -> None:
    wire, answered = Wire(), Answered()
    cycle = cycle_on(wire, answered)
    cycle.end_body()
    with pytest.raises(ValueError, match="line break"):
        await cycle.answer(200, {"x": "a\r\nb: c"}, b"")
    assert (wire.written, cycle.response_started, answered.count) == (b"", False, 0)
    await cycle.answer(200, {"content-length": "2"}, b"ok")
    assert wire.written.endswith(b"\r\ncontent-length: 2\r\n\r\nok")
    assert (cycle.response_complete, answered.count, wire.closed) == (True, 1, False)


async def test_answer_after_a_hang_up_writes_nothing() -> None:
    wire, answered = Wire(), Answered()
    cycle = cycle_on(wire, answered)
    cycle.hang_up()
    await cycle.answer(200, {"content-length": "2"}, b"ok")
    await cycle.begin(200, {}, b"ok", more=True)
    await cycle.write(b"ok", more=False)
    assert (wire.written, answered.count) == (b"", 0)


async def test_answer_before_the_end_of_the_body_closes_the_connection_after_it() -> None:
    wire = Wire()
    cycle = cycle_on(wire)
    await cycle.answer(200, {"content-length": "2"}, b"ok")
    assert b"connection: close" in wire.written
    # The connection drops the rest of the request first.
    assert (cycle.keep_alive, wire.closed) == (False, False)


async def test_any_asgi_application_runs_on_a_connection() -> None:
    seen: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message["more_body"]
        seen.append((scope["path"], scope["raw_path"], scope["query_string"], body))
        length = [] if body == b"chunks" else [(b"content-length", b"4")]
        await send({"type": "http.response.start", "status": 200, "headers": length})
        await send({"type": "http.response.body", "body": b"ab", "more_body": True})
        await send({"type": "http.response.body", "body": b"cd"})

    async with listening(app) as server:
        caller = await server.connect()
        caller.send(HEAD % 6 + b"expect: 100-continue\r\n\r\n")
        async with asyncio.timeout(SOON_S):
            assert await caller.head() == (100, {})
            caller.send(b"chunks")
            _, headers = await caller.head()
            assert (headers["transfer-encoding"], "date" in headers) == ("chunked", True)
            assert await caller.reader.readuntil(b"0\r\n\r\n") == b"2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n"
            caller.send(HEAD % 1 + b"\r\n1")
            assert (await caller.head())[1]["content-length"] == "4"
            assert await caller.reader.readexactly(4) == b"abcd"
    known = ("/say it", b"/say%20it", b"a=b")
    assert seen == [(*known, b"chunks"), (*known, b"1")]


async def test_application_without_an_answer_is_a_500() -> None:
    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        raise ZeroDivisionError(scope["path"])

    async with listening(app) as server:
        caller = await server.connect()
        caller.send(HEAD % 0 + b"\r\n")
        status, headers = await asyncio.wait_for(caller.head(), SOON_S)
        assert (status, headers["connection"]) == (500, "close")
        await server.until_closed()


@pytest.mark.parametrize(
    ("method", "version", "written"),
    [
        ("GET", "1.1", b"\r\n\r\n2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n"),
        ("HEAD", "1.1", b"\r\n\r\n"),
    ],
)
async def test_first_part_is_written_with_the_head_and_the_end_with_the_last(
    method: str, version: str, written: bytes
) -> None:
    wire, answered = Wire(), Answered()
    cycle = cycle_on(wire, answered)
    cycle.scope["method"], cycle.scope["http_version"] = method, version
    cycle.end_body()
    await cycle.begin(200, {}, b"ab", more=True)
    assert (wire.writes, answered.count) == (1, 0)
    await cycle.write(b"cd", more=False)
    assert wire.written.endswith(written)
    assert (wire.writes <= 2, answered.count) == (True, 1)


async def test_answer_of_one_part_is_one_write() -> None:
    wire, answered = Wire(), Answered()
    cycle = cycle_on(wire, answered)
    cycle.end_body()
    await cycle.begin(200, {}, b"ab", more=False)
    assert wire.written.endswith(b"\r\n\r\n2\r\nab\r\n0\r\n\r\n")
    assert (wire.writes, answered.count) == (1, 1)
