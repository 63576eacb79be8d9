"""A server that always says the same, in both vocabularies: `python -m benchmarks.upstream`.

With a number, streams have so many times ten pieces of text. It costs as little as a
server can, so that what stands in front of it is what is measured: bytes that were made once, one
protocol for each connection, no reading beyond the request's end.
"""

import asyncio
import re
import sys
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import uvloop

WORDS: Final = ("Hello", " from", " an", " upstream", " in", " a", " few", " words", ".", "")
TEXT: Final = "".join(WORDS)
CHAT: Final = "/v1/chat/completions"
MESSAGES: Final = "/v1/messages"
COUNT: Final = "/v1/messages/count_tokens"
TOKENIZE: Final = "/tokenize"
ASKED: Final = "/asked"
"""Where it tells how many messages it was asked for."""


def _json(value: Any) -> bytes:
    return msgspec.json.encode(value)


def _whole(body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


def _stream(events: list[bytes]) -> bytes:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked"
    chunks = (b"%x\r\n%b\r\n" % (len(event), event) for event in events)
    return head + b"\r\n\r\n" + b"".join(chunks) + b"0\r\n\r\n"


def _chat_stream(times: int) -> bytes:
    base = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 0,
        "model": "constant",
    }
    words = WORDS * times
    deltas: list[dict[str, Any]] = [{"index": 0, "delta": {"content": word}} for word in words]
    deltas.append({"index": 0, "delta": {}, "finish_reason": "stop"})
    chunks = [_json({**base, "choices": [delta]}) for delta in deltas]
    chunks.append(_json({**base, "choices": [], "usage": {"completion_tokens": len(words)}}))
    return _stream([b"data: %b\n\n" % chunk for chunk in (*chunks, b"[DONE]")])


def _message(**more: Any) -> dict[str, Any]:
    usage = {"input_tokens": 12, "output_tokens": len(WORDS)}
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "constant",
        "content": [{"type": "text", "text": TEXT}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": usage,
        **more,
    }


def _messages_stream(times: int) -> bytes:
    block = {"type": "text", "text": ""}
    deltas = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}}
        for word in WORDS * times
    ]
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": _message(content=[], stop_reason=None)},
        {"type": "content_block_start", "index": 0, "content_block": block},
        *deltas,
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": len(WORDS) * times},
        },
        {"type": "message_stop"},
    ]
    frames = [b"event: %b\ndata: %b\n\n" % (one["type"].encode(), _json(one)) for one in events]
    return _stream(frames)


def answers(times: int = 1) -> dict[tuple[str, bool], bytes]:
    """Return what is said at each path, to who asks for a stream and to who does not.

    Streams have `times` times as many pieces.
    """
    choice = {"index": 0, "message": {"role": "assistant", "content": TEXT}}
    whole = {"id": "chatcmpl-1", "choices": [{**choice, "finish_reason": "stop"}]}
    return {
        (CHAT, True): _chat_stream(times),
        (CHAT, False): _whole(_json(whole)),
        (MESSAGES, True): _messages_stream(times),
        (MESSAGES, False): _whole(_json(_message())),
        (COUNT, False): _whole(_json({"input_tokens": 12})),
        (TOKENIZE, False): _whole(_json({"count": 12})),
    }


@dataclass(slots=True)
class Asked:
    """How many messages were asked for, by all connections."""

    messages: int = 0


class Connection(asyncio.Protocol):
    """Answers one request after the other."""

    def __init__(self, said: dict[tuple[str, bool], bytes], asked: Asked) -> None:
        self._said = said
        self._asked = asked
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, body = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        _, found, rest = head.lower().partition(b"content-length: ")
        length = int(rest.split(b"\r\n", 1)[0]) if found else 0
        if len(body) >= length:
            self._buffer = body[length:]
            path = head.split(b" ", 2)[1].decode()
            streamed = STREAMED.search(body, 0, length) is not None
            self._transport.write(self._answer(path, streamed=streamed))

    def _answer(self, path: str, *, streamed: bool) -> bytes:
        if path == ASKED:
            return _whole(_json({"messages": self._asked.messages}))
        self._asked.messages += path == MESSAGES
        return self._said.get((path, streamed), NOT_FOUND)


STREAMED: Final = re.compile(rb'"stream": ?true')
NOT_FOUND: Final = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"


async def _serve(times: int) -> None:
    said, asked = answers(times), Asked()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(said, asked), "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


def main() -> None:
    """Serve until SIGTERM."""
    uvloop.run(_serve(int(sys.argv[1]) if len(sys.argv) > 1 else 1))


if __name__ == "__main__":
    main()
