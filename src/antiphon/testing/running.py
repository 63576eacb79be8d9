"""Runs a whole server in a thread of its own, with a database of its own, without a port."""

import asyncio
import os
import socket
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from concurrent.futures import Future
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from threading import Thread, current_thread
from typing import Any, TypeVar

import msgspec

from antiphon.server.app import build_app
from antiphon.server.run import ServeError, bind, http_config
from antiphon.service.admin.rate_limit_groups import rate_limit_id
from antiphon.service.admin.transactions import SERVER
from antiphon.service.models import ModelSource
from antiphon.service.platform import Platform, build_platform
from antiphon.settings import Settings
from antiphon.store.prompt_cache.base import CacheIndex
from antiphon.store.prompt_cache.memory import MemoryCacheIndex
from antiphon.testing.clock import Clock
from antiphon.testing.database import Kit, kit, new_folder
from antiphon.testing.front import Control, Front
from antiphon.testing.model import Model
from antiphon.testing.requests import RequestList
from antiphon.testing.script import Script
from antiphon.wire.admin.limits import LimitParam

T = TypeVar("T")

# Requests that still run are cancelled.
_GRACE_S = 0.0
_UTC_NOW = partial(datetime.now, UTC)
# The settings that a server for tests has of its own.
_OWN = {"data_dir", "api_key", "admin_key", "host", "port", "processes", "database_url"}


class Parts(msgspec.Struct, frozen=True):
    """A server that has started. `stop` ends it, from its own loop."""

    loop: asyncio.AbstractEventLoop
    platform: Platform
    app: Front
    stop: asyncio.Event
    kit: Kit
    process: int


class Running:
    """The thread of a server, from `start` to `stop`."""

    def __init__(
        self,
        settings: Mapping[str, Any],
        script: Script,
        requests: RequestList,
        clock: Clock | None,
        control: Control | None = None,
    ) -> None:
        if own := _OWN & settings.keys():
            raise TypeError(f"a server for tests has its own {', '.join(sorted(own))}")
        self._settings = settings
        self._script = script
        self._requests = requests
        self._clock = clock
        self._control = control
        self._started: Future[Parts] = Future()
        self._thread = Thread(target=self._run, name="antiphon-testing", daemon=True)
        self._port: Future[str] | None = None

    def start(self) -> "Future[Parts]":
        """Begin to start; the result is there once requests are answered."""
        self._thread.start()
        return self._started

    @property
    def parts(self) -> Parts:
        return self._started.result()

    def stop(self) -> None:
        """End the server, and wait for it."""
        if self._started.exception() is None:
            with suppress(RuntimeError):  # its loop has ended by itself
                self.parts.loop.call_soon_threadsafe(self.parts.stop.set)
        self._thread.join()

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something in the loop of the server, and wait for its result.

        Raises `RuntimeError` in that loop itself, which would wait for ever.
        """
        try:
            self._check_thread()
        except RuntimeError:
            work.close()
            raise
        return asyncio.run_coroutine_threadsafe(work, self.parts.loop).result()

    def listen(self, port: int = 0) -> str:
        """Listen on the loopback interface, and return the URL; the first call opens the port.

        Raises `OSError` for a port that is taken.
        """
        self._check_thread()
        if self._port is None:
            self._port = asyncio.run_coroutine_threadsafe(self._listen(port), self.parts.loop)
        return self._port.result()

    def _check_thread(self) -> None:
        if current_thread() is self._thread:
            raise RuntimeError("a function of the test runs in the loop of the server")
        if os.getpid() != self.parts.process:
            raise RuntimeError("this process was forked: the server for tests is its parent's")

    def _run(self) -> None:
        try:
            shared = kit()
            with new_folder() as folder, asyncio.Runner(loop_factory=_new_loop) as runner:
                runner.run(self._serve(folder, shared))
        except BaseException as error:
            if self._started.done():
                raise
            self._started.set_exception(error)

    async def _serve(self, folder: Path, shared: Kit) -> None:
        async with AsyncExitStack() as stack:
            self._stack = stack
            platform = await stack.enter_async_context(self._platform(folder, shared))
            sleep = asyncio.sleep if self._clock is None else self._clock.sleep
            front = Front(
                build_app(platform),
                self._script,
                self._requests,
                platform.new_request_id,
                sleep=sleep,
                control=self._control,
            )
            stop = asyncio.Event()
            loop = asyncio.get_running_loop()
            self._started.set_result(Parts(loop, platform, front, stop, shared, os.getpid()))
            await stop.wait()
            platform.stopping.set()
            await front.aclose()

    @asynccontextmanager
    async def _platform(self, folder: Path, shared: Kit) -> AsyncGenerator[Platform]:
        """Build the platform as `antiphon serve` does, over a copy of the database."""
        shared.template.write(folder)
        clock = self._clock
        chosen = {"engine": "scripted", "console": {"enabled": False}, **self._settings}
        settings = Settings.load({**chosen, "data_dir": folder}, environ={})
        model = Model(self._script, asyncio.sleep if clock is None else clock.sleep)
        building = build_platform(
            settings,
            [ModelSource(one) for one in settings.served()],
            now=_UTC_NOW if clock is None else clock.now,
            clock=None if clock is None else clock.milliseconds,
            open_engine=model.open,
            open_database=shared.databases.open,
            open_cache_index=_cache_index,
        )
        async with building as platform:
            await platform.open_models()
            yield platform

    async def _listen(self, port: int) -> str:
        import uvicorn  # noqa: PLC0415 - most tests need no port

        parts = self.parts
        try:
            listener = bind("127.0.0.1", port)
        except ServeError as error:
            raise OSError(str(error)) from error
        settings = parts.platform.settings
        config = http_config(
            parts.app, _GRACE_S, settings.request_timeout_s, settings.write_timeout_s
        )
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        self._stack.push_async_callback(_end, server, serving, listener)
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    async def set_limits(self, limits: Mapping[str, int | None]) -> None:
        """Set limits of the organization as an administrator does. Raises `ApiError`."""
        administration = self.parts.platform.administration
        named = [{"type": name, "value": value} for name, value in limits.items()]
        params = msgspec.convert(named, list[LimitParam])
        for group in self.parts.platform.models.groups.names:
            limit = rate_limit_id(group)
            await administration.rate_limits.set_for_organization(SERVER, limit, params)


@asynccontextmanager
async def _cache_index(
    settings: Settings, organization: str, clock: Callable[[], int]
) -> AsyncGenerator[CacheIndex]:
    """Open an index that outlives nothing: it saves two threads."""
    del settings, organization
    yield MemoryCacheIndex(clock)


async def _end(server: Any, serving: "asyncio.Task[None]", listener: socket.socket) -> None:
    server.should_exit = server.force_exit = True
    await serving
    listener.close()


def _new_loop() -> asyncio.AbstractEventLoop:
    """Return a loop as `antiphon serve` has it, where that is installed."""
    try:
        import uvloop  # noqa: PLC0415 - not on every system
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
