"""`antiphon worker`: a server without a port, which works on Message Batches only."""

import argparse
import asyncio
import signal
import socket
from collections.abc import Sequence

from msgspec.structs import replace

from antiphon import __version__
from antiphon.cli.command import CommandError, as_command
from antiphon.cli.output import hint, say
from antiphon.cli.serve import (
    add_model_flags,
    are_missing,
    run_in_loop,
    say_loading,
    sources_of,
)
from antiphon.engines.base import Engine, EngineConfig
from antiphon.engines.registry import open_engine
from antiphon.logs import set_up_logs
from antiphon.server.metrics import bound_metrics, serving_metrics
from antiphon.server.run import return_freed_memory, share_interpreter
from antiphon.server.traces import batch_traces, tracing
from antiphon.service.models import ModelSource
from antiphon.service.platform import build_platform
from antiphon.service.rehearsal import check_engines, rehearse
from antiphon.settings import Settings
from antiphon.store.data_folder import open_data_folder
from antiphon.store.database.database import server_database_name
from antiphon.weights.hub_access import hub_of

_SHARED = {
    "database_url": "the PostgreSQL database of the servers",
    "counters_url": "their Valkey server",
}


def add_to(family: argparse.ArgumentParser) -> None:
    """Set up the command."""
    flags = ("workers", "model", "engine", "log_level", "log_format")
    as_command(family, _work, json=False, settings=flags)
    family.add_argument(
        "--workers", type=int, metavar="N", help="how many workers; default: 1, from 1 to 64"
    )
    add_model_flags(family)


def _work(_: argparse.Namespace, settings: Settings) -> int:
    missing = {name: what for name, what in _SHARED.items() if getattr(settings, name) is None}
    if missing:
        raise CommandError(
            "a worker shares the batches and the limits of servers: set "
            + " and ".join(f"{name} to {what}" for name, what in missing.items())
            + ". Without them `antiphon serve` itself works on batches"
        )
    if settings.successor is not None:
        raise CommandError(
            "a worker has one model: give it the one that its servers have, by --model"
        )
    # Servers leave the work to workers by `workers = 0`, perhaps in the same file.
    settings = replace(settings, workers=max(1, settings.workers))
    set_up_logs(settings.log_level, settings.log_format)
    open_data_folder(settings.data_dir)
    models = settings.served()
    check_engines(models)
    if are_missing(models, settings.data_dir):
        run_in_loop(rehearse(settings, ""))
    with bound_metrics(settings.metrics) as metrics:
        sources = sources_of(models, settings.data_dir, hub_of(settings))
        run_in_loop(_working(settings, sources, metrics))
    return 0


async def _open(name: str, config: EngineConfig) -> Engine:
    return await open_engine(name, replace(config, only_batches=True))


async def _working(
    settings: Settings, sources: Sequence[ModelSource], metrics: socket.socket | None
) -> None:
    """Work until a signal to stop; then what is finished is committed, the rest given back."""
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()
    share_interpreter(loop)
    return_freed_memory()
    async with (
        tracing(settings.traces) as tracers,
        build_platform(
            settings, sources, open_engine=_open, batch_traces=batch_traces(tracers)
        ) as platform,
        serving_metrics(platform, metrics) as metrics_url,
    ):
        say_loading(sources)
        opening = asyncio.create_task(platform.models.open())
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        waiting = asyncio.create_task(stopping.wait())
        await asyncio.wait({opening, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if opening.done():
            opening.result()
            url = settings.database_url
            database = "" if url is None else f" of {server_database_name(url.reveal())}"
            told = "" if metrics_url is None else f" Its metrics are at {metrics_url}."
            say(
                f"Antiphon {__version__} works on the batches{database} with "
                f"{', '.join(platform.models.states())}.{told} Ctrl-C stops it."
            )
            await waiting
        else:
            opening.cancel()
            await asyncio.wait({opening})
        hint("Stopping: what is not finished is given back.")
