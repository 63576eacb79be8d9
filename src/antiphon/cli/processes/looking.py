"""What a server with several processes depends on, as it is now: for the overseer at a reload.

The overseer keeps the code with which it was started. So a new process looks, with the code and the
settings as they are, and says what it has found.
"""

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Any, Final

import msgspec

from antiphon import __version__
from antiphon.cli.processes.hosted import HOSTED, is_hosted, needs_host
from antiphon.cli.processes.hosts import RELEASE
from antiphon.cli.processes.reports import Found
from antiphon.engines.llama.beside import NotBesideError, needed_beside
from antiphon.engines.llama.memory import available_memory
from antiphon.engines.llama.options import decode_options
from antiphon.secret import Secret
from antiphon.service.models import ModelSource
from antiphon.settings import SETTING_NAMES, Settings

OF_OTHERS: Final = frozenset(
    {
        "host", "port", "processes", "console", "oidc", "api_key", "admin_key",
        "ping_interval_s", "shutdown_grace_s", "request_timeout_s", "write_timeout_s",
        "max_batch_bytes", "body_budget_bytes", "max_file_bytes", "file_quota_bytes",
        "workspace_file_quota_bytes", "file_downloads", "hub_endpoint", "hub_token",
    }
)  # fmt: skip
"""The settings that the engine host does not depend on: all others make it another one.

It runs batches beside the models, so it depends on limits, prices and sources as well.
"""


def look(
    settings: Settings,
    sources: Sequence[ModelSource],
    *,
    has_gpu: Callable[[], bool],
    free: Callable[[], int] = available_memory,
) -> Found:
    """Return what a server of these settings depends on. Blocks. Raises `OSError`."""
    return Found(
        host=host_parts(settings, sources) if needs_host(settings.served()) else {},
        fixed=fixed_parts(settings),
        alone=why_alone(sources, has_gpu, free()),
    )


def fixed_parts(settings: Settings) -> dict[str, str]:
    """Return the settings that a reload cannot change: the form is for other releases as well."""
    return {
        "host": settings.host,
        "port": str(settings.port),
        "processes": str(settings.processes),
        "metrics.listen": settings.metrics.listen or "",
        "data_dir": str(settings.data_dir.absolute()),
        "database_url": _hidden(settings.database_url),
        "counters_url": _hidden(settings.counters_url),
        "engine": HOSTED if needs_host(settings.served()) else "others",
    }


def host_parts(settings: Settings, sources: Sequence[ModelSource]) -> dict[str, str]:
    """Return a digest of each thing that the engine host depends on. Raises `OSError`."""
    parts = {name: getattr(settings, name) for name in SETTING_NAMES if name not in OF_OTHERS}
    files = [path for source in sources for path in source.weights if path is not None]
    found = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return {
        **{name: _digest(value) for name, value in parts.items()},
        "files of models": _digest(found),
        RELEASE: _digest([__version__, _record(), _version("xllamacpp")]),
    }


def why_alone(sources: Sequence[ModelSource], has_gpu: Callable[[], bool], free: int) -> str:
    """Return why a second engine host cannot run beside the first; empty if it can.

    The bytes of memory that are `free` now have to be enough for all of it; 0 is not known. Raises
    `OSError`.
    """
    if not free:
        return "it is not known how much memory is free"
    needed, on_gpu = 0, False
    try:
        for source in sources:
            runs_on = source.settings.runs_on()
            for one, weights in zip(runs_on, source.weights or (None,) * len(runs_on), strict=True):
                if is_hosted(one.engine):
                    options = decode_options(source.settings.id, one.options)
                    needed += needed_beside(source.settings.id, options, weights, free - needed)
                    on_gpu = on_gpu or options.gpu_layers != 0
    except NotBesideError as error:
        return str(error)
    if needed > free:
        return f"it takes {needed >> 20:,} MiB of memory, and {free >> 20:,} MiB are free"
    if on_gpu and has_gpu():
        return "it is not known what is free on the GPU"
    return ""


def _digest(value: Any) -> str:
    packed = msgspec.json.encode(value, enc_hook=_plain, order="deterministic")
    return sha256(packed).hexdigest()[:16]


def _plain(value: Any) -> Any:
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise NotImplementedError(type(value).__name__)


def _hidden(secret: Secret | None) -> str:
    return "" if secret is None else sha256(secret.reveal().encode()).hexdigest()[:16]


def _record() -> str:
    """Return the list of this package's files, which has a digest of each of an installed one."""
    try:
        return distribution("antiphon").read_text("RECORD") or ""
    except PackageNotFoundError:  # pragma: no cover - sources on the path that nobody installed
        return ""


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # pragma: no cover - a model could not have been loaded
        return ""
