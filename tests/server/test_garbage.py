"""What a request leaves behind: a cycle for each would stop everybody now and then."""

import asyncio
import gc
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
import uvicorn

from antiphon.server.app import build_app
from antiphon.server.run import bind, http_config
from antiphon.service.platform import Platform
from support.asgi import HELLO, KEY
from support.organization import StartOrganization

pytestmark = pytest.mark.anyio

REQUESTS = 20
BODIES = {"whole": json.dumps(HELLO), "stream": json.dumps({**HELLO, "stream": True})}


@asynccontextmanager
async def connected(
    platform: Platform,
) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Serve HTTP in this process, and connect to it."""
    with bind("127.0.0.1", 0) as listener:
        server = uvicorn.Server(http_config(build_app(platform), grace_s=1))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        reader, writer = await asyncio.open_connection(*listener.getsockname()[:2])
        try:
            yield reader, writer
        finally:
            writer.close()
            server.should_exit = True
            await serving


@pytest.mark.parametrize("kind", BODIES)
async def test_request_leaves_nothing_to_the_garbage_collector(
    organization: StartOrganization, kind: str
) -> None:
    # A worker of batches looks for work now and then, and leaves something each time.
    org = await organization({"workers": 0})
    body = BODIES[kind].encode()
    head = (
        f"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\n"
        f"anthropic-version: 2023-06-01\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    async with connected(org.platform) as (reader, writer):

        async def ask() -> None:
            writer.write(head.encode() + body)
            answered = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            assert answered.startswith("http/1.1 200")
            if kind == "stream":
                await reader.readuntil(b"0\r\n\r\n")
            else:
                length = answered.partition("content-length: ")[2].partition("\r\n")[0]
                await reader.readexactly(int(length))

        for _ in range(REQUESTS):
            await ask()
        gc.collect()
        gc.disable()
        try:
            for _ in range(REQUESTS):
                await ask()
            assert gc.collect() < REQUESTS
        finally:
            gc.enable()
