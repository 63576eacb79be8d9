"""How many writes a stream takes: each is a system call, and wakes its reader."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from antiphon.core.errors import OverloadedError
from antiphon.server.http.exchange import DIRECT, Exchange
from antiphon.server.http.responses import write_stream
from antiphon.wire.events import Ping
from antiphon.wire.sse import EventEncoder
from tests.server.http.test_feed import LONG_S, Script

pytestmark = pytest.mark.anyio

PING = EventEncoder().encode(Ping())


class Written:
    """What a connection was given, write by write: the bytes, and whether more is to come."""

    def __init__(self) -> None:
        self.parts: list[tuple[bytes, bool]] = []

    def whole_body(self) -> bytes | None:
        return b""

    async def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        raise NotImplementedError

    async def begin(
        self, status: int, headers: Mapping[str, str], part: bytes, *, more: bool
    ) -> None:
        assert (status, headers["x-note"]) == (200, "late")
        self.parts.append((part, more))

    async def write(self, part: bytes, *, more: bool) -> None:
        self.parts.append((part, more))


async def unused(*_: Any) -> Any:
    raise NotImplementedError


class Stream:
    """A stream that is written from a script."""

    def __init__(self) -> None:
        self.script = Script()
        self.written = Written()
        scope = {"headers": [], "state": {DIRECT: self.written}}
        exchange = Exchange(scope, unused, unused, "req_1")
        self.task = asyncio.create_task(
            write_stream(
                exchange,
                self.script.generate,
                EventEncoder(),
                LONG_S,
                lambda: exchange.headers.update({"x-note": "late"}),
            )
        )

    async def say(self, *counts: int | Exception | None) -> None:
        """Let the engine go on, and wait until what it said is written."""
        for count in counts:
            self.script.say(count)
        for _ in range(10):
            await asyncio.sleep(0)


async def test_answer_that_is_there_at_once_is_one_write() -> None:
    stream = Stream()
    await stream.say(2, 1, None)
    await stream.task
    assert stream.written.parts == [(3 * PING, False)]


async def test_end_is_written_with_the_last_events() -> None:
    stream = Stream()
    await stream.say(2)
    await stream.say(1)
    assert stream.written.parts == [(2 * PING, True), (PING, True)]
    await stream.say(2, None)
    await stream.task
    assert stream.written.parts[2:] == [(2 * PING, False)]


async def test_end_that_comes_later_is_written_alone() -> None:
    stream = Stream()
    await stream.say(2)
    await stream.say(None)
    await stream.task
    assert stream.written.parts == [(2 * PING, True), (b"", False)]


async def test_error_behind_the_last_events_does_not_end_the_stream_with_them() -> None:
    stream = Stream()
    await stream.say(2)
    await stream.say(2, OverloadedError())
    with pytest.raises(OverloadedError):
        await stream.task
    assert stream.written.parts == [(2 * PING, True), (2 * PING, True)]
