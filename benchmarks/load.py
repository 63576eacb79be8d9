"""A small HTTP/1.1 client that costs little itself: it sends one request over and over.

One asyncio protocol for each connection, no parsing beyond what tells where an answer ends.
"""

import asyncio
import statistics
import time
from dataclasses import dataclass, field

LAST_CHUNK = b"\r\n0\r\n\r\n"
"""How a body without a length ends. A head cannot end so, even if it arrives alone."""


class LoadError(Exception):
    """Answers that are not what was asked for: a wrong answer can be very fast."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What one run measured. Times in milliseconds."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    first_byte_p50_ms: float

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds


@dataclass(slots=True)
class Run:
    """What the connections of one run share."""

    payload: bytes
    left: int
    stream: bool
    expected: bytes
    done: asyncio.Future[None]
    interval_s: float = 0.0
    next_at: float = 0.0
    open: int = 0
    failed: int = 0
    durations: list[float] = field(default_factory=list)
    first_bytes: list[float] = field(default_factory=list)


class Connection(asyncio.Protocol):
    """Sends, waits for the whole answer, sends again."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._waiting = False
        self._buffer = b""
        self._began = 0.0
        self._first = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._run.open += 1
        self._next()

    def _next(self) -> None:
        if self._run.left <= 0:
            self._transport.close()
            return
        self._run.left -= 1
        if self._run.interval_s:
            self._run.next_at += self._run.interval_s
            asyncio.get_running_loop().call_at(self._run.next_at, self._send)
        else:
            self._send()

    def _send(self) -> None:
        self._waiting = True
        self._buffer = b""
        self._first = 0.0
        self._began = time.perf_counter()
        self._transport.write(self._run.payload)

    def data_received(self, data: bytes) -> None:
        if not self._first:
            self._first = time.perf_counter() - self._began
        self._buffer = self._buffer + data if self._buffer else data
        if self._whole():
            self._run.durations.append(time.perf_counter() - self._began)
            self._run.first_bytes.append(self._first)
            self._run.failed += not self._right()
            self._waiting = False
            self._next()

    def _whole(self) -> bool:
        if self._buffer.endswith(LAST_CHUNK):
            return True
        if self._run.stream and self._right_status():
            return False
        head, separator, body = self._buffer.partition(b"\r\n\r\n")
        _, found, rest = head.lower().partition(b"content-length: ")
        return bool(separator and found) and len(body) >= int(rest.split(b"\r\n", 1)[0])

    def _right(self) -> bool:
        return self._right_status() and self._run.expected in self._buffer

    def _right_status(self) -> bool:
        return self._buffer.startswith(b"HTTP/1.1 200")

    def connection_lost(self, error: Exception | None) -> None:
        del error
        self._run.open -= 1
        self._run.failed += self._waiting
        if not self._run.open and not self._run.done.done():
            self._run.done.set_result(None)


async def load(  # noqa: PLR0913 - a run is described by all of them
    host: str,
    port: int,
    path: str,
    headers: dict[str, str],
    body: bytes,
    *,
    requests: int,
    connections: int = 16,
    stream: bool = False,
    expected: bytes = b"",
    per_second: float = 0.0,
) -> Figures:
    """Send `requests` equal requests over `connections` connections, each as fast as it can.

    With `per_second` so many are sent, one after the other, as long as a connection is free.
    Raises `LoadError` if an answer is not 200, is not whole, or does not contain `expected`.
    """
    head = [f"POST {path} HTTP/1.1", f"host: {host}:{port}", f"content-length: {len(body)}"]
    head += [f"{name}: {value}" for name, value in headers.items()]
    payload = "\r\n".join(head).encode() + b"\r\n\r\n" + body
    loop = asyncio.get_running_loop()
    run = Run(payload, requests, stream, expected, loop.create_future())
    run.interval_s, run.next_at = (1 / per_second if per_second else 0.0), loop.time()
    began = time.perf_counter()
    for _ in range(connections):
        await loop.create_connection(lambda: Connection(run), host, port)
    await run.done
    seconds = time.perf_counter() - began
    if run.failed:
        raise LoadError(f"{run.failed} of {requests} requests to {path} failed")
    durations = sorted(run.durations)
    return Figures(
        requests=len(durations),
        seconds=seconds,
        p50_ms=1000 * statistics.median(durations),
        p99_ms=1000 * durations[int(len(durations) * 0.99)],
        first_byte_p50_ms=1000 * statistics.median(run.first_bytes),
    )
