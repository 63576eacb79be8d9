"""One connection of an attacker: raw bytes to the server, and what comes back."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import msgspec

# Longer than every limit of time that the server under attack has.
PATIENCE_S = 30.0


@dataclass(frozen=True)
class Target:
    """The server under attack, and a key of it."""

    host: str
    port: int
    key: str

    @asynccontextmanager
    async def connect(self, receive_buffer: int | None = None) -> AsyncIterator["Connection"]:
        raw = socket.socket()
        raw.setblocking(False)  # noqa: FBT003 - the socket's own signature
        if receive_buffer is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            async with asyncio.timeout(PATIENCE_S):
                await asyncio.get_running_loop().sock_connect(raw, (self.host, self.port))
        except BaseException:
            raw.close()
            raise
        limit = receive_buffer or 2**16
        reader, writer = await asyncio.open_connection(sock=raw, limit=limit)
        try:
            yield Connection(self, reader, writer)
        finally:
            writer.transport.abort()

    def head(
        self,
        *lines: bytes,
        path: str = "/v1/messages",
        method: str = "POST",
        keyed: bool = True,
        length: int | None = None,
    ) -> bytes:
        """Return the head of a request; with `length`, that of a body of so many bytes."""
        written = [f"{method} {path} HTTP/1.1".encode(), b"host: x", *lines]
        if keyed:
            written += [f"x-api-key: {self.key}".encode(), b"anthropic-version: 2023-06-01"]
        if length is not None:
            written.append(b"content-length: %d" % length)
        return b"\r\n".join([*written, b"", b""])


class Connection:
    """A connection to the target."""

    def __init__(
        self, target: Target, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.target = target
        self.reader = reader
        self._writer = writer

    async def send(self, *parts: bytes) -> None:
        for part in parts:
            self._writer.write(part)
            await self._writer.drain()

    async def post(self, body: bytes, *lines: bytes, path: str = "/v1/messages") -> None:
        """Send a whole request."""
        await self.send(self.target.head(*lines, path=path, length=len(body)), body)

    async def status(self) -> int:
        """Return the status of the next answer, of which no more than the head is read."""
        async with asyncio.timeout(PATIENCE_S):
            return int((await self.reader.readuntil(b"\r\n")).split()[1])

    async def answer(self) -> int:
        """Read the next answer to the end of its connection or its length; return its status."""
        status = await self.status()
        async with asyncio.timeout(PATIENCE_S):
            head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
            _, found, rest = head.partition(b"content-length: ")
            if found:
                await self.reader.readexactly(int(rest.split(b"\r\n")[0]))
            else:
                while part := await self.reader.read(2**16):
                    if part.endswith(b"0\r\n\r\n"):
                        break
        return status

    async def dribble(self, piece: bytes, seconds: float, pause_s: float = 0.05) -> None:
        """Send a piece again and again, until the server closes or the time is over."""
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(seconds):
                while not self.reader.at_eof():
                    await self.send(piece)
                    await asyncio.sleep(pause_s)

    async def flood(self, piece: bytes, most: int) -> None:
        """Send a piece as often as the server takes it, at most so many times."""
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(PATIENCE_S):
                for _ in range(most):
                    if self.reader.at_eof():
                        return
                    await self.send(piece)


def message(**fields: Any) -> bytes:
    """Return the body of a valid message with these fields."""
    hello = {"role": "user", "content": "Hi"}
    return msgspec.json.encode(
        {"model": "claude-x", "max_tokens": 5, "messages": [hello], **fields}
    )
