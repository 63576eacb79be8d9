"""What an HTTP client costs: this package's own beside those of others that are installed.

All run in this process on the first core and ask a constant server on the second, in turn, round
after round: a small JSON answer, one after the other, and for asyncio also 16 at once. Time is
the processor's, with that of the system, of which the bare socket shows how much no client saves.
A client that is not installed is left out.
"""

import asyncio
import socket
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack, contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from sys import executable
from typing import Any, TypeAlias

import uvloop

from antiphon.transport import AsyncConnections, Connections
from antiphon.transport.base import HttpRequest
from benchmarks.report import Figure, command, finish, positive
from benchmarks.servers import HOST, MESSAGES, pinned, started

BODY = b'{"model":"m","max_tokens":100,"messages":[{"role":"user","content":"Hello"}]}'
HEADERS = {
    "content-type": "application/json",
    "accept": "application/json",
    "accept-encoding": "gzip, deflate",
    "anthropic-version": "2023-06-01",
    "user-agent": "benchmark",
    "x-api-key": "sk-of-a-benchmark",
}
AT_ONCE = 16
TIMEOUT_S = 60.0
OWN = "this package"

Ask: TypeAlias = Callable[[], bytes]
AskLater: TypeAlias = Callable[[], Awaitable[bytes]]


def own_request(url: str) -> HttpRequest:
    """Return the request as the transport takes it."""
    return HttpRequest(method="POST", url=url, headers=tuple(HEADERS.items()), body=BODY)


@contextmanager
def bare(url: str) -> Iterator[Ask]:
    """Send bytes that were made once, and read once."""
    host, _, port = url.split("/")[2].partition(":")
    lines = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
    head = f"POST {MESSAGES} HTTP/1.1\r\nhost: {host}\r\n{lines}content-length: {len(BODY)}\r\n\r\n"
    asked = head.encode() + BODY
    with socket.create_connection((host, int(port))) as link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def ask() -> bytes:
            link.send(asked)
            return link.recv(65536)

        yield ask


@contextmanager
def own(url: str) -> Iterator[Ask]:
    """Ask by `Connections`."""
    request = own_request(url)
    with Connections() as connections:
        yield lambda: connections.open(request, connect_timeout=TIMEOUT_S, timeout=TIMEOUT_S).read(
            TIMEOUT_S
        )


@contextmanager
def urllib3(url: str) -> Iterator[Ask]:
    """Ask by urllib3."""
    with import_module("urllib3").PoolManager(timeout=TIMEOUT_S) as pool:
        yield lambda: pool.request("POST", url, body=BODY, headers=HEADERS).data


def session_of(name: str) -> Callable[[str], Any]:
    """Return how a client is asked whose session has `post` and whose answers have `content`."""

    @contextmanager
    def session(url: str) -> Iterator[Ask]:
        module = import_module(name)
        kind = module.Client if name.startswith("httpx") else module.Session
        body = {"content" if name.startswith("httpx") else "data": BODY}
        with kind() as opened:
            yield lambda: opened.post(url, headers=HEADERS, timeout=TIMEOUT_S, **body).content

    return session


BLOCKING: Mapping[str, Callable[[str], Any]] = {
    "a bare socket": bare,
    OWN: own,
    **{name: session_of(name) for name in ("httpx", "httpx2", "niquests", "requests")},
    "urllib3": urllib3,
}


async def own_later(url: str, stack: AsyncExitStack) -> AskLater:
    """Ask by `AsyncConnections`."""
    request = own_request(url)
    connections = await stack.enter_async_context(AsyncConnections())

    async def ask() -> bytes:
        answer = await connections.open(request, connect_timeout=TIMEOUT_S, timeout=TIMEOUT_S)
        return await answer.read(TIMEOUT_S)

    return ask


async def aiohttp(url: str, stack: AsyncExitStack) -> AskLater:
    """Ask by aiohttp."""
    module = import_module("aiohttp")
    session = await stack.enter_async_context(module.ClientSession())

    async def ask() -> bytes:
        async with session.post(url, data=BODY, headers=HEADERS) as answer:
            return bytes(await answer.read())

    return ask


def later_session_of(name: str) -> Callable[[str, AsyncExitStack], Awaitable[AskLater]]:
    """Return how a client is asked for asyncio, as `session_of` does."""

    async def session(url: str, stack: AsyncExitStack) -> AskLater:
        module = import_module(name)
        kind = module.AsyncClient if name.startswith("httpx") else module.AsyncSession
        body = {"content" if name.startswith("httpx") else "data": BODY}
        opened = await stack.enter_async_context(kind())

        async def ask() -> bytes:
            answer = await opened.post(url, headers=HEADERS, timeout=TIMEOUT_S, **body)
            return bytes(answer.content)

        return ask

    return session


LATER: Mapping[str, Callable[[str, AsyncExitStack], Awaitable[AskLater]]] = {
    OWN: own_later,
    "aiohttp": aiohttp,
    **{name: later_session_of(name) for name in ("httpx", "httpx2", "niquests")},
}
WITHOUT_PACKAGE = {OWN, "a bare socket"}


def installed(name: str) -> bool:
    """Return whether a client can be measured."""
    return name in WITHOUT_PACKAGE or find_spec(name) is not None


def measure(rounds: int, calls: int) -> list[Figure]:
    """Ask by every client in each round; the first one warms up."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="antiphon-bench-"))
        module = (executable, "-m", "benchmarks.upstream")
        server = stack.enter_context(started(module, Path(folder, "log"), place=1))
        stack.enter_context(pinned(0))
        url = f"http://{HOST}:{server.port}{MESSAGES}"
        taken = _blocking(url, rounds, calls) | uvloop.run(_later(url, rounds, calls))
    return [Figure(what, "µs", tuple(values[1:])) for what, values in taken.items()]


def _blocking(url: str, rounds: int, calls: int) -> dict[str, list[float]]:
    taken: dict[str, list[float]] = defaultdict(list)
    with ExitStack() as stack:
        asks = {
            name: stack.enter_context(opened(url))
            for name, opened in BLOCKING.items()
            if installed(name)
        }
        for _ in range(1 + rounds):
            for name, ask in asks.items():
                began = time.process_time()
                for _ in range(calls):
                    _check(ask())
                taken[f"blocking: {name}"].append(_each(began, calls))
    return dict(taken)


async def _later(url: str, rounds: int, calls: int) -> dict[str, list[float]]:
    taken: dict[str, list[float]] = defaultdict(list)
    async with AsyncExitStack() as stack:
        asks = {name: await opened(url, stack) for name, opened in LATER.items() if installed(name)}
        for _ in range(1 + rounds):
            for name, ask in asks.items():
                for at_once, how in ((1, "one at a time"), (AT_ONCE, f"{AT_ONCE} at once")):
                    began = time.process_time()
                    turns = max(calls // at_once, 1)
                    await asyncio.gather(*(_ask(ask, turns) for _ in range(at_once)))
                    taken[f"uvloop, {how}: {name}"].append(_each(began, turns * at_once))
    return dict(sorted(taken.items()))


async def _ask(ask: AskLater, turns: int) -> None:
    for _ in range(turns):
        _check(await ask())


def _check(answer: bytes) -> None:
    if b"few words." not in answer:
        raise ValueError("another answer came")


def _each(began: float, calls: int) -> float:
    return 1e6 * (time.process_time() - began) / calls


def main() -> None:
    """Measure, print, keep."""
    parser = command(__doc__)
    parser.add_argument("--rounds", type=positive, default=7)
    parser.add_argument("-n", "--requests", type=positive, default=1000)
    options = parser.parse_args()
    size = (1, 32) if options.quick else (options.rounds, options.requests)
    finish(measure(*size), options)


if __name__ == "__main__":
    main()
