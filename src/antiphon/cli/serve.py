"""`antiphon serve`: runs the server, and prints a welcome when it is ready."""

import argparse
from collections.abc import Awaitable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvloop
from msgspec.structs import replace

from antiphon import __version__
from antiphon.cli.command import as_command
from antiphon.cli.output import hint, say
from antiphon.logs import set_up_logs
from antiphon.server.run import bind, serve
from antiphon.service.models import ModelSource
from antiphon.service.platform import Platform, build_platform
from antiphon.settings import DEFAULT_MODEL, ModelSettings, Settings
from antiphon.weights.progress import open_progress
from antiphon.weights.pull import ensure_model
from antiphon.wire.admin.keys import KeyInfo


def add_to(family: argparse.ArgumentParser) -> None:
    """Set up the command."""
    flags = ("host", "port", "model", "engine", "log_level", "log_format")
    as_command(family, _serve, json=False, settings=flags)
    family.add_argument("--host", help="address to listen on; default: 127.0.0.1")
    family.add_argument(
        "--port", type=int, help="port to listen on, 0 for a free one; default: 8000"
    )
    family.add_argument(
        "--model",
        metavar="SPEC",
        help=f"the model to serve; see `models pull`; default: {DEFAULT_MODEL}",
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


def _serve(_: argparse.Namespace, settings: Settings) -> int:
    set_up_logs(settings.log_level, settings.log_format)
    sources = [_source(model, settings.data_dir) for model in settings.served()]
    _run(_serving(settings, sources))
    return 0


async def _serving(settings: Settings, sources: Sequence[ModelSource]) -> None:
    listener = bind(settings.host, settings.port)
    port = listener.getsockname()[1]
    with listener:
        async with build_platform(settings, sources) as platform:

            async def show_welcome() -> None:
                # A key that the settings choose is the only one that the server makes.
                first = None if settings.api_key else await platform.first_key()
                say(welcome(platform, port, first))

            if files := [source for source in sources if any(source.weights)]:
                say(f"Loading {', '.join(source.settings.id for source in files)} …")
            await serve(platform, listener, show_welcome, lambda left: hint(_goodbye(left)))


def _run(work: Awaitable[None]) -> None:
    async def whole() -> None:
        await work

    uvloop.run(whole())


def _source(model: ModelSettings, data_dir: Path) -> ModelSource:
    """Return a model with its files; fetch missing ones."""
    model = _with_projectors(model, data_dir)
    sources = [runs_on.source for runs_on in model.runs_on()]
    weights = tuple(
        None if source is None else ensure_model(source, data_dir, open_progress(model.id))
        for source in sources
    )
    times = [path.stat().st_mtime for path in weights if path is not None]
    if not times:
        return ModelSource(model)
    made = datetime.fromtimestamp(max(times), UTC)
    return ModelSource(model, weights, made.strftime("%Y-%m-%dT%H:%M:%SZ"))


def _with_projectors(model: ModelSettings, data_dir: Path) -> ModelSettings:
    """Fetch the vision projectors of a model's llama engines, and name their files."""

    def local(engine: str, options: dict[str, Any]) -> dict[str, Any]:
        spec = options.get("mmproj")
        if engine != "llama" or not isinstance(spec, str):
            return options
        return {
            **options,
            "mmproj": str(ensure_model(spec, data_dir, open_progress(f"{model.id}, mmproj"))),
        }

    return replace(
        model,
        options=local(model.engine, model.options),
        engines=tuple(
            replace(one, options=local(one.engine, one.options)) for one in model.engines
        ),
    )


def welcome(platform: Platform, port: int, first: KeyInfo | None) -> str:
    """Return the welcome: the address of the server, the `first` key, and a first request."""
    settings = platform.settings
    host = "127.0.0.1" if settings.host in {"0.0.0.0", "::"} else settings.host  # noqa: S104 - compared, not bound
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    secret = "$ANTIPHON_API_KEY" if first is None else str(first.secret)
    models = ", ".join(platform.models.states())
    exported = f'"{secret}"' if first is None else secret
    return f"""
Antiphon {__version__} is ready.

  URL      {url}
  API key  {_key_line(settings, first)}
  Model    {models}
  Data     {settings.data_dir}

For the official SDKs:

  export ANTHROPIC_BASE_URL={url}
  export ANTHROPIC_API_KEY={exported}

Try it:

  curl {url}/v1/messages \\
    -H "x-api-key: {secret}" \\
    -H "anthropic-version: 2023-06-01" -H "content-type: application/json" \\
    -d '{{"model": "claude-local", "max_tokens": 64, "temperature": 0, \
"messages": [{{"role": "user", "content": "What is the chemical symbol for water?"}}]}}'
"""


def _goodbye(running: int) -> str:
    if not running:
        return "Stopping."
    requests = "1 request" if running == 1 else f"{running} requests"
    return f"Stopping after {requests}; Ctrl-C again stops now."


def _key_line(settings: Settings, first: KeyInfo | None) -> str:
    if first is not None:
        return f"{first.secret}  (keep it: it is not shown once it was used)"
    if settings.api_key is not None:
        return "the one in ANTIPHON_API_KEY"
    return "made before; `antiphon keys create NAME` makes another"
