"""Ctrl-C at any line of a call: no connection is lost, and none is counted that is not there."""

import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest

from antiphon.transport import Connections
from antiphon.transport.base import HttpRequest
from support.raw_server import RawServer, answering, raw_server

BODY = b"all of the body"
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(BODY), BODY)


class Interrupter:
    """Raises `KeyboardInterrupt` at one line of this package, counted from the start of a call."""

    def __init__(self, line: int) -> None:
        self._left = line
        self.where: str | None = None

    def __call__(self, frame: FrameType, _event: str, _arg: Any) -> Any:
        return self._count if "antiphon/transport" in frame.f_code.co_filename else None

    def _count(self, frame: FrameType, event: str, _arg: Any) -> Any:
        if event in {"line", "return"}:
            self._left -= 1
            if self._left == 0:
                self.where = f"{frame.f_code.co_filename}:{frame.f_lineno}"
                raise KeyboardInterrupt
        return self._count


@pytest.fixture(scope="module")
def server() -> Iterator[RawServer]:
    with raw_server(answering(ANSWER)) as opened:
        yield opened


def call(connections: Connections, server: RawServer) -> None:
    request = HttpRequest(method="POST", url=server.url, body=b"{}")
    stream = connections.open(request, connect_timeout=5, timeout=5)
    assert stream.read(5) == BODY


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("kept", [False, True])
def test_interrupt_at_any_line_loses_no_connection(server: RawServer, *, kept: bool) -> None:
    line = 0
    while True:
        line += 1
        with Connections() as connections:
            if kept:
                call(connections, server)
            interrupter = Interrupter(line)
            tracer = sys.gettrace()
            sys.settrace(interrupter)
            try:
                call(connections, server)
            except KeyboardInterrupt:
                pass
            finally:
                sys.settrace(tracer)
            if interrupter.where is None:
                break
            assert not connections._busy, interrupter.where

            call(connections, server)
    assert line > 100
