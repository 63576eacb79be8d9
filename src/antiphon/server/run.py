"""Runs the server until a signal, and then stops it cleanly."""

import asyncio
import ctypes
import errno
import gc
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress

import uvicorn
from starlette.types import ASGIApp

from antiphon.server.acceptor import Acceptor
from antiphon.server.app import build_app
from antiphon.server.http.exchange import Exchange
from antiphon.server.http.protocol import EnvelopeProtocol, protocol_for
from antiphon.service.platform import Platform

BACKLOG = 2048
# The most connections that are accepted in one turn of the event loop: libuv accepts one for each
# socket that listens. With one, a flood of connections keeps all others waiting for their turn.
ACCEPTED_AT_ONCE = 32
# How long a process that hands over answers the requests that it has. None is lost unless it takes
# longer than any client waits.
HAND_OVER_S = 3600.0
# The threads in which large requests are decoded, checked and read. All threads share one
# interpreter, so more of them would do the same work, and keep the event loop waiting longer.
THREADS = 2
# How long a thread keeps the interpreter when the event loop wants it, in seconds. The loop waits
# so long in each of its callbacks; by default, 25 times as long.
SWITCH_S = 0.0002
# Parameters of glibc's `mallopt`, and the size of what is mapped by itself, so that the system has
# it back as soon as it is freed. What one read of a socket brings (256 KiB) stays below: to map it
# takes longer than to copy it.
M_MMAP_THRESHOLD = -3
M_ARENA_MAX = -8
MAPPED_BYTES = 272 * 1024
# The time that requests have to tell their callers that the server stops.
LAST_WORD_S = 2.0
# How often a stopping server looks whether its last request and its last connection have ended.
LOOK_EVERY_S = 0.01
# How often answers get a new date.
DATE_EVERY_S = 1.0
# Longer than clients keep an idle connection, so that the client closes it: a request that arrives
# while the server closes the connection is lost.
KEEP_ALIVE_S = 75
# Lower ports need root or CAP_NET_BIND_SERVICE (man 7 capabilities).
FIRST_OPEN_PORT = 1024


class ServeError(Exception):
    """The server cannot start. The message is for the operator."""


class Server(uvicorn.Server):
    """uvicorn with other handling of stop signals: the platform drains before the server ends.

    uvicorn looks ten times a second whether it should stop, and pauses twice while it does; here a
    server without requests ends at once.
    """

    def __init__(
        self, config: uvicorn.Config, platform: Platform, on_stop: Callable[[int], None]
    ) -> None:
        super().__init__(config)
        self._platform = platform
        self._on_stop = on_stop
        self._stopping = asyncio.Event()
        self._leaving: asyncio.Task[None] | None = None
        self.accepts_after: asyncio.Task[None] | None = None

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        loop = asyncio.get_running_loop()
        stopping = (signal.SIGTERM, signal.SIGINT)
        for number in stopping:
            loop.add_signal_handler(number, self._stop, number)
        try:
            yield
        finally:
            for number in stopping:
                loop.remove_signal_handler(number)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept connections; beside other processes with pauses for them.

        With `accepts_after` not before that has ended, or the server should stop.
        """
        if self.accepts_after is not None:
            stopping = asyncio.create_task(self._stopping.wait())
            ends = {self.accepts_after, stopping}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
        if self._platform.process.of == 1 or sockets is None:
            await super().startup(sockets)
            return
        await self.lifespan.startup()
        held = self.server_state.connections
        accepting = [Acceptor(one, self._connection, lambda: len(held)) for one in sockets]
        # All that is asked of them is to be closed.
        self.servers = accepting  # type: ignore[assignment]
        self.started = True

    def _connection(self) -> asyncio.Protocol:
        """Return the protocol of a new connection, as uvicorn makes it."""
        return self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )

    async def main_loop(self) -> None:
        """Renew the date of answers until the server should stop."""
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), DATE_EVERY_S)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop; end requests that still run after the grace time or a second Ctrl-C.

        They end before their engines do, so that their callers get an `overloaded_error`, and not
        the failure of an engine that was taken away.
        """
        for listener in (*self.servers, *(sockets or ())):
            listener.close()
        for connection in tuple(self.server_state.connections):
            connection.shutdown()
        with suppress(TimeoutError):
            async with asyncio.timeout(self.config.timeout_graceful_shutdown):
                await self._until_idle()
        running = set(self.server_state.tasks)
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running, timeout=LAST_WORD_S)

    async def _until_idle(self) -> None:
        """Wait for the end of all requests and connections, or for a second Ctrl-C."""
        await asyncio.sleep(0)  # idle connections end in the next turn of the event loop
        # uvicorn keeps both in plain sets.
        while (  # noqa: ASYNC110 - see above
            self.server_state.connections or self.server_state.tasks
        ) and not self.force_exit:
            await asyncio.sleep(LOOK_EVERY_S)

    def hand_over(self, listeners: Iterable[socket.socket]) -> None:
        """Accept nothing more, and stop when what was accepted is answered.

        Another process accepts from the same queue, so no connection is lost. Those that are kept
        end with their next answer, which says so, or after some idle seconds.
        """
        if self._leaving is None:
            self._platform.hand_over()
            if issubclass(protocol := self.config.http_protocol_class, EnvelopeProtocol):
                protocol.parting = True
            for server in self.servers:
                server.close()
            for listener in listeners:
                listener.close()
            self._leaving = asyncio.create_task(self._leave(), name="antiphon-hand-over")

    async def _leave(self) -> None:
        for connection in tuple(self.server_state.connections):
            if isinstance(connection, EnvelopeProtocol):
                connection.part()
        with suppress(TimeoutError):
            async with asyncio.timeout(HAND_OVER_S):
                await self._until_idle()
        self.end()

    def end(self) -> None:
        """Begin to stop."""
        self.should_exit = True
        self._stopping.set()

    def _stop(self, number: signal.Signals) -> None:
        if not self._platform.draining:
            self._on_stop(len(self.server_state.tasks))
        self._platform.stopping.set()
        self.handle_exit(number, None)
        self._stopping.set()


def bind(
    host: str, port: int, create: Callable[..., socket.socket] = socket.create_server
) -> socket.socket:
    """Listen on the address; port 0 chooses a free one. Raises `ServeError`.

    From now on no other program can take the address; connections wait until `serve`. `create` is
    called as `socket.create_server` is.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return create((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise ServeError(
            f"cannot listen on {address_of(host, port)}: {_reason(error, port)}"
        ) from error


def share_interpreter(loop: asyncio.AbstractEventLoop) -> None:
    """Keep the threads of large requests from delaying the event loop."""
    sys.setswitchinterval(SWITCH_S)
    loop.set_default_executor(ThreadPoolExecutor(THREADS, "antiphon-large"))


def return_freed_memory() -> None:
    """Let glibc give the memory of large bodies back to the system when it is freed.

    By default it learns from the first large body to keep memory of that size, and each thread
    keeps its own. Other C libraries have no such call.
    """
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)):
        mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES)
        mallopt(M_ARENA_MAX, 1)


@contextmanager
def several(
    listener: socket.socket, number: int = ACCEPTED_AT_ONCE
) -> Generator[list[socket.socket]]:
    """Return `listener` and its duplicates, which accept connections from the same queue."""
    with ExitStack() as stack:
        duplicates = range(number - 1)
        yield [listener, *(stack.enter_context(listener.dup()) for _ in duplicates)]


def address_of(host: str, port: int) -> str:
    """Return an address as URLs have it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _reason(error: OSError, port: int) -> str:
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return "this machine has no such address. Choose another one with --host"
    if error.errno == errno.EADDRINUSE:
        return (
            "another program listens there. Choose another port with --port; "
            "--port 0 takes a free one"
        )
    if error.errno == errno.EACCES and 0 < port < FIRST_OPEN_PORT:
        return f"only root may use ports below {FIRST_OPEN_PORT}. Choose a higher one with --port"
    return f"{error.strerror}. Choose another address with --host and --port"


def http_config(
    app: ASGIApp, grace_s: float, patience_s: float = 120, write_s: float = 60
) -> uvicorn.Config:
    """Return the configuration of uvicorn; at its end, running requests get `grace_s` to finish.

    `patience_s` is the time in which the head of a request must arrive, `write_s` the time in which
    a caller must take a part of its answer.
    """
    return uvicorn.Config(
        app,
        http=protocol_for(os.urandom, patience_s, write_s, KEEP_ALIVE_S),
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=max(1, round(grace_s)),
    )


async def serve(  # noqa: PLR0913 - the last ones are for some servers only
    platform: Platform,
    listener: socket.socket,
    on_ready: Callable[[], Awaitable[None]],
    on_stop: Callable[[int], None],
    records: Sequence[Callable[[Exchange], None]] = (),
    *,
    handing_over: Callable[[Callable[[], None]], None] = lambda _: None,
    takes_over: bool = False,
) -> None:
    """Serve until a stop signal; call `on_ready` when all models are open.

    One that `takes_over` from another process accepts nothing before: until then others do, or
    connections wait, instead of hearing that the model is loading.

    The first stop signal calls `on_stop` with the number of running requests. Each of `records`
    gets each request after its end. `handing_over` gets the function that makes the server hand
    over to another process, which has the same listener.

    Requests that run at the signal get the grace time to finish. Raises the `EngineStartError` of
    a model that fails to open.
    """
    share_interpreter(asyncio.get_running_loop())
    return_freed_memory()
    settings = platform.settings
    config = http_config(
        build_app(platform, *records),
        settings.shutdown_grace_s,
        settings.request_timeout_s,
        settings.write_timeout_s,
    )
    server = Server(config, platform, on_stop)
    opening = asyncio.create_task(_open(platform, on_ready))
    opening.add_done_callback(lambda task: _stop_if_failed(task, server))
    server.accepts_after = opening if takes_over else None
    try:
        alone = platform.process.of == 1
        number = ACCEPTED_AT_ONCE if alone else 1
        with several(listener, number) as listeners:
            handing_over(lambda: server.hand_over(listeners))
            await server.serve(sockets=listeners)
    finally:
        opening.cancel()
        await asyncio.wait([opening])
    if not opening.cancelled():
        opening.result()


async def _open(platform: Platform, on_ready: Callable[[], Awaitable[None]]) -> None:
    await platform.open_models()
    settle_memory()
    await on_ready()


def settle_memory() -> None:
    """Exclude permanent objects from the rounds of the garbage collector.

    A request makes some hundred objects and leaves no cycles. The default rounds, one for 700 new
    objects, find nothing and cost a tenth of the time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def _stop_if_failed(opening: asyncio.Task[None], server: Server) -> None:
    if not opening.cancelled() and opening.exception() is not None:
        server.end()
