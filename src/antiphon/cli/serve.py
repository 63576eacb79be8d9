"""`antiphon serve`: runs the server, and prints a welcome when it is ready."""

import argparse
import os
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import uvloop
from msgspec.structs import replace

from antiphon.cli.auto import TakesOver
from antiphon.cli.claude_code import context_note
from antiphon.cli.command import as_command
from antiphon.cli.links import console_base
from antiphon.cli.output import hint, say
from antiphon.cli.successor import successor_of
from antiphon.cli.toy import toy_note
from antiphon.cli.uvx import path_note
from antiphon.cli.welcome import Welcome
from antiphon.logs import set_up_logs
from antiphon.server.metrics import bound_metrics, serving_metrics
from antiphon.server.run import address_of, bind, serve
from antiphon.server.traces import batch_traces, tracing
from antiphon.service.models import ModelSource
from antiphon.service.platform import Platform, build_platform
from antiphon.service.rehearsal import check_engines, rehearse
from antiphon.settings import DEFAULT_MODEL, ModelSettings, Settings, SettingsError
from antiphon.store.data_folder import open_data_folder
from antiphon.weights.hub_access import USUAL_HUB, HubAccess, hub_of
from antiphon.weights.progress import Progress, open_progress
from antiphon.weights.pull import ensure_model, is_here


class Listeners(NamedTuple):
    """Where a server listens: for the API, and for who reads its metrics."""

    api: socket.socket
    metrics: socket.socket | None


def add_to(family: argparse.ArgumentParser) -> None:
    """Set up the command."""
    flags = ("host", "port", "processes", "model", "engine", "log_level", "log_format")
    as_command(family, _serve, json=False, settings=flags)
    family.add_argument("--host", help="address to listen on; default: 127.0.0.1")
    family.add_argument(
        "--port", type=int, help="port to listen on, 0 for a free one; default: 8000"
    )
    family.add_argument(
        "--processes",
        type=int,
        metavar="N",
        help="how many processes answer at the one address; default: 1, from 1 to 64",
    )
    add_model_flags(family)


def add_model_flags(family: argparse.ArgumentParser) -> None:
    """Add the flags of models and logs, which set the settings of the same name."""
    family.add_argument(
        "--model",
        metavar="SPEC",
        help="the model to serve, see `models pull`; with auto, or auto:NAME, the default one "
        f"answers until the recommended one, or that one, is loaded; default: {DEFAULT_MODEL}",
    )
    family.add_argument("--engine", help="what runs it: llama, scripted, …; default: llama")
    family.add_argument(
        "--log-level",
        choices=["debug", "info", "warning", "error"],
        help="the least severe events that are logged; default: info",
    )
    family.add_argument(
        "--log-format",
        choices=["auto", "json", "console"],
        help="default: auto, which is console on a terminal and json elsewhere",
    )


def _serve(arguments: argparse.Namespace, settings: Settings) -> int:
    if settings.processes > 1:
        from antiphon.cli.processes.serving import serve_several  # noqa: PLC0415 - few need it

        return serve_several(arguments, settings)
    set_up_logs(settings.log_level, settings.log_format)
    open_data_folder(settings.data_dir)
    models = settings.served()
    # Mistakes are told before a fetch, which may take minutes. The listener stays open until the
    # server has it, so that no other program takes the address meanwhile.
    successor = successor_of(settings)
    later = () if successor is None else (successor,)
    check_engines((*models, *later))
    with (
        bind(settings.host, settings.port) as listener,
        bound_metrics(settings.metrics) as metrics,
    ):
        if are_missing(models, settings.data_dir):
            run_in_loop(rehearse(settings, listening_at(settings, listener)))
        hub = hub_of(settings)
        here = not are_missing(later, settings.data_dir)
        sources = sources_of(models, settings.data_dir, hub)
        takes_over = None
        if successor is not None:
            source = ModelSource(successor)
            if here:
                source = source_of(successor, settings.data_dir, hub)
            fetch = partial(source_of, successor, settings.data_dir, hub)
            takes_over = TakesOver(source, sources[0].settings.id, fetch)
        run_in_loop(_serving(settings, sources, Listeners(listener, metrics), takes_over))
    return 0


def are_missing(models: Sequence[ModelSettings], data_dir: Path) -> bool:
    """Return whether any file of these models has to be fetched."""
    files = [spec for model in models for spec in _files(model)]
    # All are looked at, as a wrong one is told before another is fetched.
    return not all([is_here(spec, data_dir) for spec in files])  # noqa: C419


def sources_of(
    models: Sequence[ModelSettings], data_dir: Path, hub: HubAccess = USUAL_HUB
) -> list[ModelSource]:
    """Return the models with their files; fetch missing ones."""
    return [source_of(model, data_dir, hub) for model in models]


def say_loading(sources: Sequence[ModelSource]) -> None:
    """Say which models are loaded from files, if there are any."""
    if files := [source for source in sources if any(source.weights)]:
        names = ", ".join(source.settings.id for source in files)
        say(f"Loading model{'s' if len(files) > 1 else ''} {names} …")


def _default_folder() -> Path | None:
    """Return the data folder of commands without flags; `None` for a file that needs flags."""
    try:
        return Settings.load({}).data_dir
    except SettingsError:
        return None


def _files(model: ModelSettings) -> Iterator[str]:
    """Yield the specs of the files that a model needs: its weights and its projectors."""
    for runs_on in model.runs_on():
        if runs_on.source is not None:
            yield runs_on.source
        projector = runs_on.options.get("mmproj")
        if runs_on.engine == "llama" and isinstance(projector, str):
            yield projector


def listening_at(settings: Settings, listener: socket.socket) -> str:
    """Return the address of a listener: `host:port`."""
    return address_of(settings.host, listener.getsockname()[1])


async def _serving(
    settings: Settings,
    sources: Sequence[ModelSource],
    listeners: Listeners,
    takes_over: TakesOver | None,
) -> None:
    address = listening_at(settings, listeners.api)
    successor = None if takes_over is None else takes_over.successor()
    async with (
        tracing(settings.traces) as tracers,
        build_platform(
            settings,
            sources,
            address=address,
            successor=successor,
            batch_traces=batch_traces(tracers),
        ) as platform,
        serving_metrics(platform, listeners.metrics) as metrics_url,
    ):
        if takes_over is not None:
            takes_over.platform = platform

        async def show_welcome() -> None:
            notes = None if takes_over is None else takes_over.notes()
            say(await welcome_of(platform, sources, listeners.api, notes, metrics_url=metrics_url))

        say_loading(sources if takes_over is None else takes_over.loaded_first(sources))
        await serve(
            platform, listeners.api, show_welcome, lambda left: hint(goodbye(left)), tracers
        )


async def welcome_of(
    platform: Platform,
    sources: Sequence[ModelSource],
    listener: socket.socket,
    notes: tuple[str, ...] | None = None,
    *,
    metrics_url: str | None,
) -> str:
    """Return what a server says when it is ready; without `notes`, those about its models.

    One of several processes says of what they are.
    """
    settings = platform.settings
    # A key that the settings choose is the only one that the server makes.
    chosen = settings.api_key is not None and "api_key" not in platform.ignored
    first = None if chosen else await platform.first_key()
    refusal, port = await platform.refusal(), listener.getsockname()[1]
    if notes is None:
        found = (toy_note(settings.served()), context_note(platform.models, sources))
        notes = tuple(note for note in found if note is not None)
    setup = None
    if platform.console is not None and refusal is None:
        setup = await platform.console.links.to_set_up(console_base(settings, port))
    uvx = path_note()
    notes = (*notes, *_of_several(platform), *(() if uvx is None else (uvx,)))
    return Welcome(
        platform, port, first, refusal, _default_folder(), notes, setup, metrics_url
    ).text()


def _of_several(platform: Platform) -> tuple[str, ...]:
    process = platform.process
    if process.of == 1:
        return ()
    # Its parent is the overseer.
    told = (
        f"{process.of} processes answer here. `kill -HUP {os.getppid()}` restarts them one after "
        "the other, without a lost request."
    )
    if platform.settings.metrics.listen is not None:
        told += " Each has metrics of its own, at the port behind that of the one before it."
    return (told,)


def run_in_loop(work: Awaitable[None]) -> None:
    """Run the work of a server to its end."""

    async def whole() -> None:
        await work

    uvloop.run(whole())


def source_of(
    model: ModelSettings,
    data_dir: Path,
    hub: HubAccess,
    progress: Callable[[str], Progress] = open_progress,
) -> ModelSource:
    """Return a model with its files; fetch missing ones. `progress` begins to show one of them."""
    model = _with_projectors(model, data_dir, hub, progress)
    sources = [runs_on.source for runs_on in model.runs_on()]
    weights = tuple(
        None if source is None else ensure_model(source, data_dir, progress(model.id), hub)
        for source in sources
    )
    times = [path.stat().st_mtime for path in weights if path is not None]
    if not times:
        return ModelSource(model)
    made = datetime.fromtimestamp(max(times), UTC)
    return ModelSource(model, weights, made.strftime("%Y-%m-%dT%H:%M:%SZ"))


def _with_projectors(
    model: ModelSettings, data_dir: Path, hub: HubAccess, progress: Callable[[str], Progress]
) -> ModelSettings:
    """Fetch the vision projectors of a model's llama engines, and name their files."""

    def local(engine: str, options: dict[str, Any]) -> dict[str, Any]:
        spec = options.get("mmproj")
        if engine != "llama" or not isinstance(spec, str):
            return options
        return {
            **options,
            "mmproj": str(ensure_model(spec, data_dir, progress(f"{model.id}, mmproj"), hub)),
        }

    return replace(
        model,
        options=local(model.engine, model.options),
        engines=tuple(
            replace(one, options=local(one.engine, one.options)) for one in model.engines
        ),
    )


def goodbye(running: int) -> str:
    """Return what a server says at its first stop signal, while so many requests run."""
    if not running:
        return "Stopping."
    requests = "1 request" if running == 1 else f"{running} requests"
    return f"Stopping, {requests} left; Ctrl-C again stops now."
