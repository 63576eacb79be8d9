"""`antiphon serve --processes N`: several processes at one address, under an overseer.

The overseer has the listener, the lock of the data folder, the Valkey server if there is none in
the settings, and no request. A process that ends leaves the listener open, so no connection that
waits in its queue is lost.
"""

import argparse
import asyncio
import os
import signal
import socket
from contextlib import ExitStack, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from antiphon.cli.command import CommandError
from antiphon.cli.output import hint, say
from antiphon.cli.processes.hosted import needs_host
from antiphon.cli.processes.looking import fixed_parts
from antiphon.cli.processes.overseer import Overseer
from antiphon.cli.processes.reports import Found, Start
from antiphon.cli.processes.run import ProcessStartError, Run, look_with, start_run
from antiphon.cli.processes.valkey import OwnValkey, valkey_program
from antiphon.cli.serve import (
    are_missing,
    goodbye,
    listening_at,
    run_in_loop,
    say_loading,
    sources_of,
)
from antiphon.logs import set_up_logs
from antiphon.server.metrics import bound_metrics
from antiphon.server.run import bind
from antiphon.service.rehearsal import check_engines, rehearse
from antiphon.settings import Settings
from antiphon.store.data_folder import open_data_folder
from antiphon.store.database.instance_lock import lock_data_dir
from antiphon.store.database.migrations import NEWEST
from antiphon.weights.hub_access import hub_of

ENGINES: Final = "engines-{}.sock"
"""The socket of the engine host of a generation."""
LONGEST_SOCKET: Final = 100
"""How many bytes the path of a socket may have: no system takes less."""
SHORT_FOLDER: Final = "/tmp"  # noqa: S108 - what is made in it is nobody else's
SAY_WITHIN_S: Final = 1.0
"""How long the processes have to say how many requests they still answer."""


def serve_several(arguments: argparse.Namespace, settings: Settings) -> int:
    """Serve with several processes until a signal to stop. Raises as `serve` does."""
    program = _valkey_of(settings)
    if settings.successor is not None:
        raise CommandError(
            "with several processes the model does not change by itself: name it by --model, or "
            "serve with one process"
        )
    set_up_logs(settings.log_level, settings.log_format)
    open_data_folder(settings.data_dir)
    models = settings.served()
    check_engines(models)
    with ExitStack() as stack:
        listener = stack.enter_context(bind(settings.host, settings.port))
        address = listening_at(settings, listener)
        hosted = needs_host(models)
        # Here, as a new process has to have the port before the old one has left it.
        metrics = {
            number: stack.enter_context(bound_metrics(settings.metrics, number))
            for number in range(0 if hosted else 1, settings.processes + 1)
        }
        if are_missing(models, settings.data_dir):
            run_in_loop(rehearse(settings, address))
        sources = sources_of(models, settings.data_dir, hub_of(settings))
        if program is not None:
            # The limits are in a Valkey server of this server alone: no other one may use the
            # folder, as where they are in memory.
            stack.enter_context(lock_data_dir(settings.data_dir, address))
        folder = Path(stack.enter_context(folder_of_sockets(gettempdir())))
        say_loading([one for one in sources if needs_host([one.settings])])
        say(f"Starting {settings.processes} processes …")
        valkey = None if program is None else OwnValkey(program, folder)
        several = _Several(arguments, settings, Listeners(listener, metrics), folder, valkey)
        run_in_loop(several.serve())
    return 0


def folder_of_sockets(temporary: str) -> TemporaryDirectory[str]:
    """Make a folder for the sockets in that of temporary files, or where their paths are short."""
    longest = f"{temporary}/antiphon-12345678/{ENGINES.format(10**6)}"
    is_short = len(os.fsencode(longest)) <= LONGEST_SOCKET
    return TemporaryDirectory(prefix="antiphon-", dir=temporary if is_short else SHORT_FOLDER)


def _valkey_of(settings: Settings) -> Path | None:
    """Return the Valkey that is started here; `None` if the settings name one.

    Raises `CommandError` if neither can be.
    """
    if settings.counters_url is not None:
        return None
    if settings.database_url is not None:
        raise CommandError(
            "other machines may use the same PostgreSQL database, so the limits have to be in a "
            "Valkey server that all of them reach: set counters_url to it (valkey://HOST)"
        )
    return valkey_program()


class Listeners(NamedTuple):
    """Where the processes listen: all for the API, each for who reads its metrics."""

    api: socket.socket
    metrics: dict[int, socket.socket | None]


class _Several:
    """The processes of one server, from their start to their end."""

    def __init__(
        self,
        arguments: argparse.Namespace,
        settings: Settings,
        listeners: Listeners,
        folder: Path,
        valkey: OwnValkey | None,
    ) -> None:
        self._arguments = arguments
        self._settings = settings
        self._listeners = listeners
        self._folder = folder
        self._valkey = valkey
        self._hosted = needs_host(settings.served())
        self._stopping = asyncio.Event()
        self._on_terminal = os.isatty(0)
        self._welcomed = False
        self._has_started = False
        self._restarting: asyncio.Task[None] | None = None
        self._overseer = Overseer(
            self._begin,
            settings.processes,
            hosted=self._hosted,
            grace_s=settings.shutdown_grace_s,
            look=self._look,
        )

    async def serve(self) -> None:
        """Serve until a signal to stop. Raises `CommandError` if it cannot start."""
        loop = asyncio.get_running_loop()
        async with nullcontext() if self._valkey is None else self._valkey.running():
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self._stop)
            loop.add_signal_handler(signal.SIGHUP, self._reload)
            starting = asyncio.create_task(self._start())
            stopped = asyncio.create_task(self._stopping.wait())
            try:
                await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
                if starting.done():
                    say(starting.result())
                    await stopped
            finally:
                starting.cancel()
                await asyncio.wait({starting})
                await self._end(now=starting.cancelled() or starting.exception() is not None)

    async def _start(self) -> str:
        try:
            welcome = await self._overseer.start(fixed_parts(self._settings))
        except ProcessStartError as error:
            raise CommandError(str(error)) from error
        self._has_started = True
        return welcome

    async def _end(self, *, now: bool) -> None:
        ending = asyncio.create_task(self._overseer.stop(now=now))
        if self._stopping.is_set():
            hint(goodbye(0 if now else await self._left()))
        await ending

    async def _left(self) -> int:
        """Return the requests that still run, also in processes that hand over."""
        runs = self._overseer.working()
        try:
            async with asyncio.timeout(SAY_WITHIN_S):
                while any(run.left is None for run in runs):  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(0.01)
        except TimeoutError:
            pass
        return sum(run.left or 0 for run in runs)

    def _stop(self) -> None:
        if self._stopping.is_set():
            self._overseer.hurry()
        self._stopping.set()

    def _reload(self) -> None:
        """Restart the processes; or stop, if the signal says that the terminal is gone."""
        if self._on_terminal and not os.isatty(0):
            self._stop()
        elif not self._stopping.is_set():
            self._restarting = asyncio.create_task(self._overseer.restart())

    async def _look(self) -> Found:
        return await look_with(replace(self._start_of(0, 0), looks=True))

    async def _begin(self, number: int, generation: int) -> Run:
        start = self._start_of(number, generation)
        # The engine host answers no requests.
        passed = [] if number == 0 else [start.listener]
        passed += [] if start.metrics is None else [start.metrics]
        return await start_run(start, passed)

    def _start_of(self, number: int, generation: int) -> Start:
        """Return how a process begins. Each reads the settings as they are then."""
        welcomes = number == 1 and not self._welcomed
        self._welcomed = self._welcomed or welcomes
        flags: dict[str, Any] = {
            name: value
            for name in self._arguments.settings
            if (value := getattr(self._arguments, name, None)) is not None
        }
        config = self._arguments.config
        metrics = self._listeners.metrics.get(number)
        return Start(
            number=number,
            of=self._settings.processes,
            overseer=os.getpid(),
            flags=flags,
            config=None if config is None else str(config),
            listener=self._listeners.api.fileno(),
            metrics=None if metrics is None else metrics.fileno(),
            address=listening_at(self._settings, self._listeners.api),
            engines=str(self._folder / ENGINES.format(generation)) if self._hosted else None,
            counters_url=None if self._valkey is None else self._valkey.url,
            welcomes=welcomes,
            takes_over=self._has_started,
            schema=NEWEST,
        )
