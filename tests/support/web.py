"""A web server with scripted pages, and fakes through which `Web` reaches it."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

Serve: TypeAlias = Callable[[asyncio.StreamWriter], Awaitable[None]]


def answer(body: bytes = b"", status: str = "200 OK", **headers: str) -> bytes:
    """Return the bytes of an answer; underscores in header names become dashes."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def redirect(to: str) -> bytes:
    return answer(b"secret of the server", "302 Found", Location=to)


@dataclass
class Site:
    """A site's pages by path, and the heads of the requests that it received."""

    port: int = 0
    pages: dict[str, bytes | Serve] = field(default_factory=dict)
    heads: list[str] = field(default_factory=list)
    visits: set["asyncio.Task[None] | None"] = field(default_factory=set)

    def url(self, path: str = "/", host: str = "files.example.com") -> str:
        return f"http://{host}:{self.port}{path}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.visits.add(asyncio.current_task())
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            self.heads.append(head)
            page = self.pages.get(head.split(" ")[1], answer(status="404 Not Found"))
            if isinstance(page, bytes):
                writer.write(page)
            else:
                await page(writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def site(pages: dict[str, bytes | Serve] | None = None) -> AsyncGenerator[Site]:
    """Serve a site on a free port of this machine until the block ends."""
    one = Site(pages=pages or {})
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0)
    one.port = server.sockets[0].getsockname()[1]
    try:
        yield one
    finally:
        server.close()
        await server.wait_closed()
        # A page that never ends would be ended with the loop, and its connection be left open.
        visits = [visit for visit in one.visits if visit is not None]
        for visit in visits:
            visit.cancel()
        await asyncio.gather(*visits, return_exceptions=True)


@dataclass
class FakeNameServer:
    """Resolves names: it gives `answers` in turn, then the last again; `asked` are the names."""

    answers: Sequence[list[str]] = (["127.0.0.1"],)
    asked: list[str] = field(default_factory=list)

    async def __call__(self, host: str, port: int) -> list[str]:
        del port
        self.asked.append(host)
        return self.answers[min(len(self.asked), len(self.answers)) - 1]


def allow_loopback(address: str) -> bool:
    """Allow the loopback, which `Web` refuses otherwise."""
    return address.startswith("127.")
