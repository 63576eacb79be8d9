"""Callers that write bytes to a server in this process, and read its answers one by one."""

import asyncio
import json
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from antiphon.server.http.protocol import protocol_for
from antiphon.server.run import bind

LONG_S = 60.0
# Longer than any limit that tests set, and far below those that they leave alone.
SOON_S = 10.0


@dataclass
class Caller:
    """One connection of a caller."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, raw: bytes) -> None:
        self.writer.write(raw)

    async def head(self) -> tuple[int, dict[str, str]]:
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        pairs = (line.partition(": ") for line in lines[1:] if line)
        return int(lines[0].split()[1]), {name: value for name, _, value in pairs}

    async def answer(self) -> tuple[int, dict[str, str], Any]:
        status, headers = await asyncio.wait_for(self.head(), SOON_S)
        return (
            status,
            headers,
            json.loads(await self.reader.readexactly(int(headers["content-length"]))),
        )


class Listening:
    """A server in this process."""

    def __init__(self, server: uvicorn.Server, port: int) -> None:
        self._server = server
        self.port = port
        self.callers: list[Caller] = []

    @property
    def connections(self) -> int:
        return len(self._server.server_state.connections)

    async def connect(self, *, reads_little: bool = False) -> Caller:
        raw = socket.socket()
        if reads_little:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.settimeout(0)
        await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", self.port))
        limit = 4096 if reads_little else 2**20
        self.callers.append(Caller(*await asyncio.open_connection(sock=raw, limit=limit)))
        return self.callers[-1]

    async def until_closed(self) -> None:
        """Wait until the server has no connection."""
        async with asyncio.timeout(SOON_S):
            while self.connections:  # noqa: ASYNC110 - uvicorn has no event for it
                await asyncio.sleep(0.01)


@asynccontextmanager
async def listening(
    app: ASGIApp, patience_s: float = LONG_S, write_s: float = LONG_S, idle_s: float = LONG_S
) -> AsyncGenerator[Listening]:
    with bind("127.0.0.1", 0) as listener:
        # Sockets that hold little, so that what a caller leaves unread stays in the server.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        protocol = protocol_for(bytes, patience_s, write_s, idle_s)
        server = uvicorn.Server(
            uvicorn.Config(app, http=protocol, lifespan="off", log_config=None, access_log=False)
        )
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            started = Listening(server, listener.getsockname()[1])
            yield started
        finally:
            for caller in started.callers:
                caller.writer.transport.abort()
            server.should_exit = True
            await serving


def chunk(body: bytes, extension: bytes = b"") -> bytes:
    return b"%x%b\r\n%b\r\n" % (len(body), extension, body)
