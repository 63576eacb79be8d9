"""One request and its answer, between the connection and the endpoints."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qs

import msgspec
from starlette.types import Message as AsgiMessage
from starlette.types import Receive, Scope, Send

from antiphon.core.errors import InvalidRequestError, RequestTooLarge
from antiphon.core.limits.refusals import RefusedBy
from antiphon.server.http.base_urls import base_url
from antiphon.server.http.body_budget import BodyShare
from antiphon.service.access import Caller
from antiphon.service.answer import Answer
from antiphon.service.limits.waits import Waits

if TYPE_CHECKING:
    from opentelemetry.trace import Span

JSON = "application/json"
EVENT_STREAM = "text/event-stream; charset=utf-8"

# A length that every reader of HTTP understands alike.
LENGTH = re.compile(r"0|[1-9][0-9]{0,18}")
# Tens of thousands of parameters fit into a head, and reading them would keep the loop busy.
MOST_PARAMETERS = 1000
MEGABYTE = 1024 * 1024
# A host and a port that a proxy was asked for.
_HOST = re.compile(r"[A-Za-z0-9._-]+(?::[0-9]+)?|\[[0-9A-Fa-f:.]+\](?::[0-9]+)?")
# The header of a refusal after which the connection cannot be used again.
CLOSE: Mapping[str, str] = {"connection": "close"}

# The name of the `Direct` in the state of a scope, if the server has one.
DIRECT = "antiphon.direct"


class Direct(Protocol):
    """A shortcut around ASGI: for a body that has arrived, and for answers."""

    def whole_body(self) -> bytes | None:
        """Return the body of the request if all of it has arrived and none of it was read."""
        ...

    async def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Write a whole answer."""
        ...

    async def begin(
        self, status: int, headers: Mapping[str, str], part: bytes, *, more: bool
    ) -> None:
        """Write the head of an answer in parts, and the first of them if it is not empty.

        `more` is false if it is the only one.
        """
        ...

    async def write(self, part: bytes, *, more: bool) -> None:
        """Write a part of the answer; `more` is false for the last."""
        ...


class ClientGoneError(Exception):
    """The caller has hung up before its request was complete."""


class Exchange:
    """A request to read once, and an answer to write once.

    `route` is the template of the route, `None` until it is found. `fields` are added to the log
    line of the request. `headers` are sent with any answer, also with an error. If it is to be
    `recorded`, the request log wants its caller, its waits and its answer, or what refused it.
    `span` is that of a request whose span was needed before its end.
    """

    # What most requests change later, or never.
    route: str | None = None
    status = 0
    started = False
    streaming = False
    gone = False
    recorded = False
    caller: Caller | None = None
    answer: Answer | None = None
    refused_by: RefusedBy | None = None
    span: "Span | None" = None

    def __init__(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        self.scope = scope
        self.request_id = request_id
        self.began = time.perf_counter()
        self.headers: dict[str, str] = {"request-id": request_id}
        self.fields: dict[str, Any] = {}
        self.waits = Waits()
        # Taken out of the scope, because it refers to the scope: a cycle lives until a collection.
        self._direct: Direct | None = scope.get("state", {}).pop(DIRECT, None)
        self._headers = _joined(scope["headers"])
        self._receive = receive
        self._send = send

    def header(self, name: bytes) -> str | None:
        """Return a request header; of a repeated one, all values joined by a comma."""
        value = self._headers.get(name)
        # Spaces and tabs around a value are no part of it (RFC 9110, 5.5).
        return None if value is None else value.decode("latin-1").strip(" \t")

    @property
    def base_url(self) -> str:
        """The server as the client has named it. A proxy tells which scheme and host that were.

        Only the caller's own answer repeats them, so it does not matter who has set them.
        """
        scheme = self._told_first(b"x-forwarded-proto").lower()
        host = self._told_first(b"x-forwarded-host")
        return base_url(
            host if _HOST.fullmatch(host) else self.header(b"host"),
            scheme if scheme in {"http", "https"} else "http",
        )

    def _told_first(self, name: bytes) -> str:
        """Return what the first of several proxies tells in a header."""
        return (self.header(name) or "").partition(",")[0].rstrip()

    def query(self) -> dict[str, list[str]]:
        """Return the parameters of the query. Raises `InvalidRequestError` for too many."""
        query = self.scope["query_string"].decode("latin-1")
        try:
            return parse_qs(query, keep_blank_values=True, max_num_fields=MOST_PARAMETERS)
        except ValueError as error:
            raise InvalidRequestError(
                f"The query has more than {MOST_PARAMETERS} parameters"
            ) from error

    async def body(self, limit: int, patience_s: float, share: BodyShare) -> bytes:
        """Read the body of the request: at most `limit` bytes, in at most `patience_s`.

        `share` counts the bytes as they arrive. Raises `RequestTooLarge`, `OverloadedError`,
        `InvalidRequestError` for a late body, or `ClientGoneError`.
        """
        length = self._length()
        if length > limit:
            raise RequestTooLarge
        if self._direct is not None and (whole := self._direct.whole_body()) is not None:
            if len(whole) > limit:
                raise RequestTooLarge
            share.add(len(whole))
            return whole
        share.expect(length)
        try:
            async with asyncio.timeout(patience_s):
                return await self._read(limit, share)
        except TimeoutError:
            raise _late(patience_s) from None

    async def _read(self, limit: int, share: BodyShare) -> bytes:
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self.gone = True
                raise ClientGoneError
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > limit:
                raise RequestTooLarge
            share.add(len(chunk))
            if not message.get("more_body", False):
                return b"".join((*chunks, chunk)) if chunks else chunk
            chunks.append(chunk)
            await share.give_way()

    async def pieces(self, limit: int, patience_s: float) -> AsyncIterator[bytes]:
        """Yield the body as it arrives, at most `limit` bytes; a piece is what has arrived.

        What is not asked for waits in the socket. Each megabyte has to come in `patience_s` of
        waiting for it, as a slower caller would hold its connection for hours. Raises as `body`
        does, but no `OverloadedError`.
        """
        if self._length() > limit:
            raise RequestTooLarge
        now = asyncio.get_running_loop().time
        size, more, left_s = 0, True, patience_s
        while more:
            began = now()
            try:
                async with asyncio.timeout(left_s):
                    message = await self._receive()
            except TimeoutError:
                raise _late(patience_s) from None
            if message["type"] == "http.disconnect":
                self.gone = True
                raise ClientGoneError
            piece: bytes = message.get("body", b"")
            more = message.get("more_body", False)
            left_s -= now() - began
            if (size + len(piece)) // MEGABYTE > size // MEGABYTE:
                left_s = patience_s
            size += len(piece)
            if size > limit:
                raise RequestTooLarge
            yield piece

    def _length(self) -> int:
        """Return the stated length of the body, 0 without one. Raises `InvalidRequestError`."""
        length = self.header(b"content-length")
        if length is None:
            return 0
        if not LENGTH.fullmatch(length):
            raise InvalidRequestError(
                "content-length: Input should be a number of bytes without leading zeros",
                headers=CLOSE,
            )
        return int(length)

    async def respond(self, status: int, answer: Any) -> None:
        """Write a whole answer as JSON."""
        body = msgspec.json.encode(answer)
        await self._answer(status, self._whole(JSON, body), body)

    async def send_whole(self, status: int, content_type: str, body: bytes) -> None:
        """Write a whole answer."""
        await self._answer(status, self._whole(content_type, body), body)

    def _whole(self, content_type: str, body: bytes) -> dict[str, str]:
        """Return the headers of a whole answer: those of the exchange, which ends with it."""
        self.headers["content-type"] = content_type
        self.headers["content-length"] = str(len(body))
        return self.headers

    async def send_nothing(self, status: int = 204) -> None:
        """Write a 204 or 304, which must not state the length of a body (RFC 9110, 8.6)."""
        await self._answer(status, self.headers, b"")

    async def redirect(self, path: str) -> None:
        """Send the caller to another path of this server, by a 302."""
        self.headers["location"] = path
        await self._answer(302, {**self.headers, "content-length": "0"}, b"")

    async def _answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.started = True
        self.status = status
        if self._direct is None:
            await self._start(headers)
            await self.write(body, more=False)
        else:
            await self._direct.answer(status, headers, body)

    async def _start(self, headers: Mapping[str, str]) -> None:
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        message: AsgiMessage = {
            "type": "http.response.start",
            "status": self.status,
            "headers": raw,
        }
        await self._send(message)

    async def start_stream(self, first: bytes, *, more: bool = True) -> None:
        """Begin an event stream, which proxies must not buffer, with its first events."""
        self.streaming = True
        self.headers |= {"cache-control": "no-cache", "x-accel-buffering": "no"}
        await self.start_parts(EVENT_STREAM, first, more=more)

    async def start_parts(
        self, content_type: str, first: bytes = b"", *, more: bool = True
    ) -> None:
        """Begin an answer in parts; one that breaks off does not look whole to its reader.

        The `first` part is written with the head, as a write costs as much as dozens of events;
        `more` is false if it is all.
        """
        self.started = True
        self.status = 200
        headers = {"content-type": content_type, **self.headers}
        if self._direct is None:
            await self._start(headers)
            if first or not more:
                await self.write(first, more=more)
        else:
            await self._direct.begin(200, headers, first, more=more)

    def age_s(self) -> float:
        """Return the age of the request in seconds."""
        return time.perf_counter() - self.began

    def age_ms(self) -> float:
        """Return the age of the request in milliseconds, as the log tells it."""
        return round(self.age_s() * 1000, 1)

    async def write(self, chunk: bytes, *, more: bool = True) -> None:
        """Write a part of a stream; `more` is false for the last."""
        if self._direct is None:
            await self._send({"type": "http.response.body", "body": chunk, "more_body": more})
        else:
            await self._direct.write(chunk, more=more)

    async def disconnected(self) -> None:
        """Wait until the caller hangs up. Call it only after the body was read."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.gone = True


def _late(patience_s: float) -> InvalidRequestError:
    # The rest of the body is no new request, so the connection ends with the answer.
    return InvalidRequestError(
        f"The request body did not come in {patience_s:g} s.",
        error_code="request_body_timeout",
        headers=CLOSE,
    )


def _joined(headers: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    joined = dict(headers)
    if len(joined) == len(headers):
        return joined
    # A head may repeat a header 10,000 times, so values are not added one by one.
    values: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        values.setdefault(name, []).append(value)
    return {name: b", ".join(parts) for name, parts in values.items()}
