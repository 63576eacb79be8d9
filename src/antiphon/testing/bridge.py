"""An ASGI application in any event loop, in front of one that runs in the loop of its server."""

import asyncio
from contextlib import suppress

from antiphon.testing.in_process import BASE_URL, AsyncInProcess, Message, Receive, Send
from antiphon.transport.base import AsyncResponseStream, HttpRequest, TransportError

# The headers that a transport adds itself.
_OF_TRANSPORT = {b"host", b"content-length"}


class Bridge:
    """Carries each request over, and the answer back as it comes.

    A connection that is cut ends with the `TransportError` that says so.
    """

    def __init__(self, transport: AsyncInProcess) -> None:
        self._transport = transport

    async def __call__(
        self,
        scope: Message,
        receive: Receive,
        send: Send,
    ) -> None:
        if scope["type"] != "http":
            return
        request = await _request(scope, receive)
        stream = await self._transport.open(request, connect_timeout=None, timeout=None)
        watching = asyncio.ensure_future(_until_gone(receive, stream))
        try:
            await _pass_on(stream, send)
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
            stream.close()


async def _request(scope: Message, receive: Receive) -> HttpRequest:
    parts: list[bytes] = []
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise TransportError("the caller left before the end of its request")
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    query = scope.get("query_string", b"").decode("latin-1")
    path = scope.get("raw_path") or scope["path"].encode()
    headers = tuple(
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in scope["headers"]
        if name.lower() not in _OF_TRANSPORT
    )
    url = f"{BASE_URL}{path.decode('latin-1').partition('?')[0]}" + (f"?{query}" if query else "")
    return HttpRequest(method=scope["method"], url=url, headers=headers, body=b"".join(parts))


async def _pass_on(stream: AsyncResponseStream, send: Send) -> None:
    headers = [(name.encode(), value.encode("latin-1")) for name, value in stream.headers.items()]
    await send({"type": "http.response.start", "status": stream.status, "headers": headers})
    while chunk := await stream.read_chunk(None):
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _until_gone(receive: Receive, stream: AsyncResponseStream) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    stream.close()
