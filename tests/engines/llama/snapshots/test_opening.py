"""Who keeps the snapshots of a model: one engine at a time, and the next when that has ended."""

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from antiphon.engines.llama.opening import opened_snapshots
from antiphon.engines.llama.options import LlamaOptions
from antiphon.engines.llama.prompt_slot import SlotParts
from antiphon.engines.llama.snapshots.store import SnapshotStore
from support.conversation import eventually

pytestmark = pytest.mark.anyio


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF and so on")
    return path


async def test_second_engine_keeps_the_snapshots_once_the_first_has_ended(
    weights: Path, tmp_path: Path
) -> None:
    options, taken = LlamaOptions(), list[SnapshotStore]()
    async with AsyncExitStack() as first, AsyncExitStack() as second:
        one = await first.enter_async_context(
            opened_snapshots("m", weights, tmp_path / "engines", options)
        )
        assert one.store is not None
        other = await second.enter_async_context(
            opened_snapshots("m", weights, tmp_path / "engines", options, look_every_s=0.01)
        )
        other.take = taken.append
        # It may write to the folder, as its llama.cpp has been told, but finds nothing in it.
        assert (other.store, other.folder) == (None, one.folder)
        await first.aclose()
        await eventually(lambda: taken == [other.store])
    async with opened_snapshots("m", weights, tmp_path / "engines", options) as third:
        assert third.store is not None


async def test_folder_that_cannot_be_made_keeps_nothing(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "engines").write_text("no folder")
    options = LlamaOptions()
    async with opened_snapshots("m", weights, tmp_path / "engines", options) as opened:
        assert (opened.store, opened.folder) == (None, None)
    none = LlamaOptions(snapshot_bytes=0)
    async with opened_snapshots("m", weights, tmp_path, none) as opened:
        assert (opened.store, opened.folder) == (None, None)


def test_engine_that_cannot_restore_takes_no_snapshots_later(tmp_path: Path) -> None:
    # Its probe has found that out, at its start.
    parts = SlotParts(client=None, server=None)  # type: ignore[arg-type]
    parts.take_store(object())  # type: ignore[arg-type]
    assert parts.store is None
    parts.folder = tmp_path
    store: SnapshotStore = object()  # type: ignore[assignment]
    parts.take_store(store)
    assert parts.store is store
