"""Opens the snapshots of a model, as far as they can be kept."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from antiphon.engines.llama.options import LlamaOptions
from antiphon.engines.llama.snapshots.folder import SnapshotsUnavailableError
from antiphon.engines.llama.snapshots.identity import ModelIdentity, file_identity
from antiphon.engines.llama.snapshots.store import SnapshotStore
from antiphon.logs import EventLog

FOLDER: Final = "snapshots"
SWEEP_EVERY_S: Final = 60.0
KV_TYPES: Final = ("f16", "f16")
"""The types of keys and values in memory: llama.cpp's own, as nothing is configured."""


@asynccontextmanager
async def opened_snapshots(
    model: str, weights: Path, state_dir: Path | None, options: LlamaOptions
) -> AsyncGenerator[SnapshotStore | None]:
    """Open the snapshots of a model until the end of the block; `None` if none can be kept."""
    if state_dir is None or not options.snapshot_bytes:
        yield None
        return
    log = EventLog(__name__)
    try:
        identity = await asyncio.to_thread(_identity, weights, options)
        store = await SnapshotStore.open(
            state_dir / FOLDER, identity, budget_bytes=options.snapshot_bytes
        )
    except (SnapshotsUnavailableError, OSError) as error:
        log.warning("prompts are cached in memory only", reason=str(error))
        yield None
        return
    try:
        await store.name(model)
    except OSError as error:
        log.warning("the snapshots of a model have no name", reason=error.strerror)
    try:
        async with alongside(_sweep(store)):
            yield store
    finally:
        await store.aclose()


@asynccontextmanager
async def alongside(work: Coroutine[Any, Any, None]) -> AsyncGenerator[None]:
    """Run a task until the end of the block."""
    task = asyncio.create_task(work, name="antiphon-snapshots")
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _sweep(store: SnapshotStore) -> None:
    while True:
        await asyncio.sleep(SWEEP_EVERY_S)
        await store.sweep()


def _identity(weights: Path, options: LlamaOptions) -> ModelIdentity:
    """Return what the KV of a model depends on. Blocks. Raises `OSError`.

    The template of the weights is a part of their file; another one is a file of the options.
    """
    template = options.chat_template
    projector = options.mmproj
    return ModelIdentity(
        weights=file_identity(weights),
        projector=None if projector is None else file_identity(Path(projector)),
        template="" if template is None else file_identity(Path(template)),
        kv_types=KV_TYPES,
        build=f"{_release()} with {options.gpu_layers} layers on a GPU",
    )


def _release() -> str:
    try:
        return version("xllamacpp")
    except PackageNotFoundError:  # pragma: no cover - a child could not have been started
        return "unknown"
