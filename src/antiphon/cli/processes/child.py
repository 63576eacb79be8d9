"""The program of one process of several: `python -m antiphon.cli.processes.child NUMBER`.

It reads a `Start` from stdin, reports on stdout, and ends when its stdin does: with the overseer.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import msgspec
from msgspec.structs import replace

from antiphon.children import claim_stdout, die_with_parent
from antiphon.cli import expected_errors
from antiphon.cli.doctor.machine import devices
from antiphon.cli.processes.hosted import is_hosted
from antiphon.cli.processes.looking import host_parts, look
from antiphon.cli.processes.reports import DRAIN, HAND_OVER, PING, Found, Report, Start
from antiphon.cli.serve import are_missing, run_in_loop, sources_of, welcome_of
from antiphon.engines.base import Engine, EngineConfig, EngineError, EngineErrorKind
from antiphon.engines.registry import open_engine
from antiphon.engines.shared.client import open_shared
from antiphon.engines.shared.host import EngineHost
from antiphon.logs import set_up_logs
from antiphon.secret import Secret
from antiphon.server.metrics import serving_metrics
from antiphon.server.run import (
    return_freed_memory,
    serve,
    settle_memory,
    share_interpreter,
)
from antiphon.server.traces import batch_traces, tracing
from antiphon.service.models import ModelSource
from antiphon.service.platform import Platform, build_platform
from antiphon.service.process_place import ProcessPlace
from antiphon.service.rehearsal import check_engines
from antiphon.settings import Settings, SettingsError
from antiphon.store.database.migrations import NEWEST
from antiphon.weights.hub_access import hub_of


def main() -> None:
    """Run one process until the overseer ends it, or ends."""
    # A terminal's Ctrl-C is not meant for it, and the overseer says what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    report_to = claim_stdout()
    with open(0, "rb", buffering=0, closefd=False) as stdin:
        start = msgspec.json.decode(stdin.readline(), type=Start)
    die_with_parent(start.overseer, b"antiphon-host" if start.number == 0 else b"antiphon-api")
    report = partial(_report, report_to)
    try:
        settings = settings_of(start)
        set_up_logs(settings.log_level, settings.log_format)
        check_schema(start)
        sources = _sources(settings)
        if start.looks:
            check_engines(settings.served())
            found = look(_loaded(start), sources, has_gpu=_has_gpu)
            report(Report(state="found", found=found))
            return
        work = _hosting if start.number == 0 else _answering
        run_in_loop(work(start, settings, sources, report))
    except expected_errors() as error:
        report(Report(state="failed", error=str(error)))
        sys.exit(1)


def settings_of(start: Start) -> Settings:
    """Return the settings of one process, as its sources have them now.

    Workers on batches are with the engine host, where the models are, or spread over the processes.
    """
    settings = _loaded(start)
    if start.engines is not None:
        workers = settings.workers if start.number == 0 else 0
    else:
        workers = len(range(start.number - 1, settings.workers, start.of))
    counters = settings.counters_url
    if start.counters_url is not None:
        counters = Secret(start.counters_url)
    return replace(settings, workers=workers, counters_url=counters)


def _loaded(start: Start) -> Settings:
    config = None if start.config is None else Path(start.config)
    return Settings.load(start.flags, config=config)


def check_schema(start: Start) -> None:
    """Raise `SettingsError` for a database that this process would migrate below the others."""
    if start.schema not in ("", NEWEST):
        raise SettingsError(
            f"the installed release brings the database from schema {start.schema} to {NEWEST}: "
            "back it up, then restart the whole server"
        )


def _has_gpu() -> bool:
    return any(one.is_gpu for one in devices())


def _sources(settings: Settings) -> Sequence[ModelSource]:
    """Return the models with their files, which the overseer has fetched."""
    models = settings.served()
    if are_missing(models, settings.data_dir):
        raise SettingsError(
            "a model of the settings is not here: fetch it with `antiphon models pull`, then "
            "reload again"
        )
    return sources_of(models, settings.data_dir, hub_of(settings))


async def _answering(
    start: Start,
    settings: Settings,
    sources: Sequence[ModelSource],
    report: Callable[[Report], None],
) -> None:
    """Answer requests at the listener."""

    async def open_here(name: str, config: EngineConfig) -> Engine:
        if start.engines is not None and is_hosted(name):
            return await open_shared(Path(start.engines), config)
        return await open_engine(name, config)

    process = ProcessPlace(start.number, start.of)
    listener = socket.socket(fileno=start.listener)
    async with (
        tracing(settings.traces) as tracers,
        build_platform(
            settings,
            sources,
            address=start.address,
            open_engine=open_here,
            process=process,
            batch_traces=batch_traces(tracers),
        ) as platform,
        _Metrics() as metrics,
    ):
        metrics_url = await metrics.serve(platform, start)
        orders = _Orders(report)

        async def tell_ready() -> None:
            welcome = ""
            if start.welcomes:
                welcome = await welcome_of(platform, sources, listener, metrics_url=metrics_url)
            report(Report(state="ready", welcome=welcome))

        def tell_stopping(left: int) -> None:
            report(Report(state="stopping", left=left))

        def obey(hand_over: Callable[[], None]) -> None:
            def give_way() -> None:
                hand_over()
                metrics.end()

            orders.begin(give_way)

        with listener:
            await serve(
                platform,
                listener,
                tell_ready,
                tell_stopping,
                tracers,
                handing_over=obey,
                takes_over=start.takes_over,
            )


class _Metrics(AsyncExitStack):
    """The metrics of this process, which another one tells once it is in its place."""

    _ending: asyncio.Task[None] | None = None

    async def serve(self, platform: Platform, start: Start) -> str | None:
        """Tell the metrics; return where."""
        listener = None if start.metrics is None else socket.socket(fileno=start.metrics)
        if listener is not None:
            self.enter_context(listener)
        return await self.enter_async_context(serving_metrics(platform, listener))

    def end(self) -> None:
        """Tell no more, before the process ends."""
        self._ending = asyncio.create_task(self.aclose(), name="antiphon-metrics")


async def _hosting(
    start: Start,
    settings: Settings,
    sources: Sequence[ModelSource],
    report: Callable[[Report], None],
) -> None:
    """Run the models for all processes, and the batches."""
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()
    share_interpreter(loop)
    return_freed_memory()
    process = ProcessPlace(0, start.of)
    # Before the models are loaded: what changes meanwhile is then another reload's.
    found = Found(host=await asyncio.to_thread(host_parts, _loaded(start), sources))
    async with (
        tracing(settings.traces) as tracers,
        build_platform(
            settings, sources, process=process, batch_traces=batch_traces(tracers)
        ) as platform,
        _Metrics() as metrics,
    ):
        await metrics.serve(platform, start)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        await platform.open_models()
        settle_memory()
        host = EngineHost(partial(_find, platform), partial(_place, platform))
        async with host.listening(Path(start.engines or "")):

            def give_way() -> None:
                platform.hand_over()
                metrics.end()

            def drain() -> None:
                give_way()
                host.drain(stopping.set)

            _Orders(report).begin(give_way, drain)
            report(Report(state="ready", found=found))
            await stopping.wait()
        platform.stopping.set()


def _find(platform: Platform, model: str, number: int) -> Engine | None:
    """Return an open engine that is hosted."""
    for one in platform.models.known:
        names = [runs_on.engine for runs_on in one.settings.runs_on()]
        if one.id == model and number < len(one.opened) and is_hosted(names[number]):
            return one.opened[number]
    return None


@asynccontextmanager
async def _place(platform: Platform, model: str) -> AsyncGenerator[None]:
    """Hold a place at the gate of a model: batches make way for the requests of all processes."""
    found = next((one for one in platform.models.known if one.id == model), None)
    if found is None:
        raise EngineError(EngineErrorKind.OVERLOADED, f"{model} is not loaded")
    await found.gate.enter()
    try:
        yield
    finally:
        found.gate.leave()


class _Orders:
    """What the overseer says while a process runs; at its end the process ends."""

    def __init__(self, report: Callable[[Report], None]) -> None:
        self._report = report
        self._rest = b""
        self._acts: dict[bytes, Callable[[], None]] = {}

    def begin(
        self, hand_over: Callable[[], None], drain: Callable[[], None] = lambda: None
    ) -> None:
        self._acts = {HAND_OVER: hand_over, DRAIN: drain, PING: self._tell_alive}
        os.set_blocking(0, False)
        asyncio.get_running_loop().add_reader(0, self._read)

    def _read(self) -> None:
        found = os.read(0, 4096)
        if not found:
            # Without the overseer nobody would ever end it.
            os._exit(1)
        *lines, self._rest = (self._rest + found).split(b"\n")
        for line in lines:
            if (act := self._acts.get(line + b"\n")) is not None:
                act()

    def _tell_alive(self) -> None:
        self._report(Report(state="alive"))


def _report(descriptor: int, report: Report) -> None:
    os.write(descriptor, msgspec.json.encode(report) + b"\n")


if __name__ == "__main__":
    main()
