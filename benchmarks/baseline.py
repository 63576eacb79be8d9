"""What the HTTP layer alone permits: `python -m benchmarks.baseline JSON_FILE STREAM_FILE`.

The least that can stand under the same uvicorn with the same settings: an application that reads
the request and answers what it was given, knowing nothing of keys, messages or models.
"""

import sys
from pathlib import Path

import uvicorn
import uvloop
from starlette.types import ASGIApp, Receive, Scope, Send

from antiphon.server.run import bind, http_config


def constant(whole: bytes, stream: bytes) -> ASGIApp:
    """Return an application that answers `stream` to who asks for a stream, else `whole`."""
    json_headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(whole)).encode()),
    ]
    stream_headers = [(b"content-type", b"text/event-stream; charset=utf-8")]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - ASGI
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        streamed = b'"stream":true' in body
        headers = stream_headers if streamed else json_headers
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if streamed:
            await send({"type": "http.response.body", "body": stream, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        else:
            await send({"type": "http.response.body", "body": whole})

    return app


async def _serve(whole: bytes, stream: bytes) -> None:
    with bind("127.0.0.1", 0) as listener:
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        await uvicorn.Server(http_config(constant(whole, stream), 1)).serve(sockets=[listener])


def main() -> None:
    """Serve until SIGTERM."""
    whole, stream = (Path(name).read_bytes() for name in sys.argv[1:])
    uvloop.run(_serve(whole, stream))


if __name__ == "__main__":
    main()
