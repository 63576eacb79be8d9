"""Opens the snapshots of a model, as far as they can be kept."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from antiphon.engines.llama.options import LlamaOptions
from antiphon.engines.llama.snapshots.folder import (
    SnapshotsTakenError,
    SnapshotsUnavailableError,
)
from antiphon.engines.llama.snapshots.identity import ModelIdentity, file_identity
from antiphon.engines.llama.snapshots.store import SnapshotStore
from antiphon.logs import EventLog

FOLDER: Final = "snapshots"
SWEEP_EVERY_S: Final = 60.0
LOOK_EVERY_S: Final = 5.0
"""How often an engine looks whether another one has left it the snapshots."""
KV_TYPES: Final = ("f16", "f16")
"""The types of keys and values in memory: llama.cpp's own, as nothing is configured."""


class OpenedSnapshots:
    """The snapshots of a model, in `folder`; without a folder none can be kept.

    `store` is `None` as long as another engine keeps them: one that ends soon, as this one takes
    its place. `take` is called with the store when it has ended.
    """

    def __init__(self) -> None:
        self.store: SnapshotStore | None = None
        self.folder: Path | None = None
        self.take: Callable[[SnapshotStore], None] = lambda _: None


@asynccontextmanager
async def opened_snapshots(
    model: str,
    weights: Path,
    state_dir: Path | None,
    options: LlamaOptions,
    look_every_s: float = LOOK_EVERY_S,
) -> AsyncGenerator[OpenedSnapshots]:
    """Open the snapshots of a model until the end of the block."""
    opened = OpenedSnapshots()
    if state_dir is None or not options.snapshot_bytes:
        yield opened
        return
    root, log = state_dir / FOLDER, EventLog(__name__)
    try:
        identity = await asyncio.to_thread(_identity, weights, options)
        keeping = _Keeping(model, root, identity, options.snapshot_bytes, log)
        opened.store = await keeping.open()
    except SnapshotsTakenError:
        log.info("another engine keeps the snapshots of a model, until it ends", model=model)
        opened.folder = root / identity.digest()
        async with alongside(keeping.take_over(opened, look_every_s)):
            yield opened
        return
    except (SnapshotsUnavailableError, OSError) as error:
        log.warning("prompts are cached in memory only", reason=str(error))
        yield opened
        return
    opened.folder = opened.store.folder
    async with alongside(keeping.keep(opened.store)):
        yield opened


class _Keeping:
    """Opens the store of a model, and keeps it in order until it is cancelled."""

    def __init__(
        self, model: str, root: Path, identity: ModelIdentity, budget_bytes: int, log: EventLog
    ) -> None:
        self._model = model
        self._root = root
        self._identity = identity
        self._budget_bytes = budget_bytes
        self._log = log

    async def open(self) -> SnapshotStore:
        """Open the store. Raises `SnapshotsUnavailableError`."""
        store = await SnapshotStore.open(
            self._root, self._identity, budget_bytes=self._budget_bytes
        )
        try:
            await store.name(self._model)
        except OSError as error:
            self._log.warning("the snapshots of a model have no name", reason=error.strerror)
        return store

    async def keep(self, store: SnapshotStore) -> None:
        """Remove what has ended, each minute; close the store at the end."""
        try:
            while True:
                await asyncio.sleep(SWEEP_EVERY_S)
                await store.sweep()
        finally:
            await store.aclose()

    async def take_over(self, opened: OpenedSnapshots, look_every_s: float) -> None:
        """Keep the snapshots from when the other engine has ended."""
        while True:
            await asyncio.sleep(look_every_s)
            try:
                store = await self.open()
            except SnapshotsTakenError:
                continue
            except SnapshotsUnavailableError as error:
                self._log.warning("prompts are cached in memory only", reason=str(error))
                return
            opened.store = store
            opened.take(store)
            await self.keep(store)


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
