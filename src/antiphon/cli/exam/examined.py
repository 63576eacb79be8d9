"""The server whose model is examined: the running one, one elsewhere, or one of its own."""

import argparse
import asyncio
import secrets
import tempfile
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from msgspec.structs import replace

from antiphon.cli.admin_session import AdminSession, checked, open_session
from antiphon.cli.command import CommandError
from antiphon.cli.links import local_url
from antiphon.cli.output import hint
from antiphon.cli.serve import sources_of
from antiphon.cli.successor import all_served
from antiphon.engines.base import EngineStartError
from antiphon.secret import Secret
from antiphon.server.run import bind, serve
from antiphon.service.admin.transactions import COMMAND_LINE
from antiphon.service.models import ModelSource
from antiphon.service.platform import build_platform
from antiphon.service.rehearsal import check_engines
from antiphon.settings import ConsoleSettings, LimitSettings, ModelSettings, Settings
from antiphon.store.data_folder import open_data_folder
from antiphon.store.database.instance_lock import serving_address
from antiphon.weights.pull import located
from antiphon.weights.source import PullError
from antiphon.weights.spec import SpecError, parse_spec
from antiphon.wire.admin.keys import CreateKeyParams, KeyInfo, UpdateKeyParams

T = TypeVar("T")

KEY_LIFE_S: Final = 2 * 3600
"""The keys of an exam on a running server are revoked at its end, and end by themselves then."""


class Examined(msgspec.Struct, frozen=True, kw_only=True):
    """A server and its model. `model` is `None` for the only one.

    `weights` and `engine` are those of the settings for a server on this machine.
    """

    url: str
    api_key: str
    admin_key: str | None = None
    model: str | None = None
    elsewhere: bool = False
    files: dict[str, Path] = {}
    engines: dict[str, str] = {}


Take = Callable[[Examined], Coroutine[Any, Any, T]]


def examine(arguments: argparse.Namespace, settings: Settings, take: Take[T]) -> T:
    """Take the exam on the server that the arguments mean, and return what it gives.

    Raises `CommandError`, and what a start of a server raises.
    """
    if arguments.base_url is not None:
        return asyncio.run(take(_elsewhere(arguments, settings)))
    if arguments.model is None and serving_address(settings.data_dir) is not None:
        with _running(arguments, settings) as examined:
            return asyncio.run(take(examined))
    return _with_own_server(arguments, settings, take)


def _elsewhere(arguments: argparse.Namespace, settings: Settings) -> Examined:
    if settings.api_key is None:
        raise CommandError(
            "the server of --base-url wants a key: ANTIPHON_API_KEY=sk-… antiphon models exam …"
        )
    return Examined(
        url=arguments.base_url.rstrip("/").removesuffix("/v1"),
        api_key=settings.api_key.reveal(),
        admin_key=None if settings.admin_key is None else settings.admin_key.reveal(),
        model=arguments.id,
        elsewhere=True,
    )


@contextmanager
def _running(arguments: argparse.Namespace, settings: Settings) -> Generator[Examined]:
    """Examine the server on this data folder, with two keys that end with the exam."""
    address = serving_address(settings.data_dir) or ""
    host, _, port = address.rpartition(":")
    name = f"models exam {secrets.token_hex(4)}"

    async def create(session: AdminSession) -> tuple[KeyInfo, KeyInfo]:
        keys = session.administration.keys
        made = [
            checked(CreateKeyParams, name=f"{name}{end}", expires_in_seconds=KEY_LIFE_S)
            for end in ("", ", memory")
        ]
        return (
            await keys.create(COMMAND_LINE, made[0]),
            await keys.create_admin(COMMAND_LINE, made[1]),
        )

    created = open_session(settings, create)

    async def revoke(session: AdminSession) -> None:
        for key in created:
            params = checked(UpdateKeyParams, status="archived")
            await session.administration.keys.update(COMMAND_LINE, key.id, params)

    models = all_served(settings)
    try:
        yield Examined(
            url=local_url(replace(settings, host=host.strip("[]")), int(port)),
            api_key=str(created[0].secret),
            admin_key=str(created[1].secret),
            model=arguments.id,
            files={one.id: file for one in models if (file := _file(one, settings)) is not None},
            engines={one.id: one.runs_on()[0].engine for one in models},
        )
    finally:
        open_session(settings, revoke)


def _file(model: ModelSettings, settings: Settings) -> Path | None:
    """Return the file of a model, if it has one here."""
    source = model.runs_on()[0].source
    with suppress(SpecError, PullError):
        path = None if source is None else located(parse_spec(source), settings.data_dir)
        return path if path is not None and path.is_file() else None
    return None


def _with_own_server(arguments: argparse.Namespace, settings: Settings, take: Take[T]) -> T:
    """Serve the model of the settings for the exam alone, on a free port of this machine."""
    models = all_served(settings)
    found = [one for one in models if arguments.id in (None, one.id)]
    if len(found) != 1:
        names = ", ".join(one.id for one in models)
        raise CommandError(f"choose a model with --id; models of the settings: {names}")
    check_engines(found)
    open_data_folder(settings.data_dir)
    sources = sources_of(found, settings.data_dir)
    with tempfile.TemporaryDirectory(prefix="antiphon-exam-") as folder:
        own = _own_settings(settings, sources[0].settings, Path(folder))
        return asyncio.run(_served(own, sources, take))


def _own_settings(settings: Settings, model: ModelSettings, folder: Path) -> Settings:
    """Return settings with the model alone: nothing is shared with another server."""
    return replace(
        settings,
        host="127.0.0.1",
        port=0,
        data_dir=folder,
        database_url=None,
        counters_url=None,
        limits=LimitSettings(),
        console=ConsoleSettings(enabled=False),
        oidc=None,
        api_key=Secret(f"exam-{secrets.token_urlsafe(24)}", "the exam"),
        admin_key=Secret(f"exam-admin-{secrets.token_urlsafe(24)}", "the exam"),
        models=(model,),
        workers=0,
        request_log_days=0,
    )


async def _served(settings: Settings, sources: list[ModelSource], take: Take[T]) -> T:
    """Run a server until the exam has ended. Raises the error of a start that fails."""
    (source,) = sources
    ready = asyncio.Event()

    async def on_ready() -> None:
        ready.set()

    with bind(settings.host, settings.port) as listener:
        async with build_platform(settings, sources) as platform:
            # Not on stdout, which is for the result.
            hint(f"Loading model {source.settings.id} …")
            serving = asyncio.create_task(serve(platform, listener, on_ready, lambda _: None))
            taking = asyncio.create_task(_take(ready, take, settings, source, _port(listener)))
            try:
                await asyncio.wait({serving, taking}, return_when=asyncio.FIRST_COMPLETED)
                if not taking.done():
                    serving.result()
                    raise EngineStartError("the exam was stopped")
                return taking.result()
            finally:
                for task in (taking, serving):
                    task.cancel()
                await asyncio.wait({serving, taking})


async def _take(
    ready: asyncio.Event, take: Take[T], settings: Settings, source: ModelSource, port: int
) -> T:
    await ready.wait()
    model = source.settings
    weights = next((one for one in source.weights if one is not None), None)
    api_key, admin_key = settings.api_key, settings.admin_key
    return await take(
        Examined(
            url=local_url(settings, port),
            api_key="" if api_key is None else api_key.reveal(),
            admin_key=None if admin_key is None else admin_key.reveal(),
            model=model.id,
            files={} if weights is None else {model.id: weights},
            engines={model.id: model.runs_on()[0].engine},
        )
    )


def _port(listener: Any) -> int:
    return int(listener.getsockname()[1])
