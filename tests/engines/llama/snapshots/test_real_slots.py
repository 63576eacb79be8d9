"""Snapshots of real slots, on each kind of memory: saved, found after a crash, restored."""

import random
from pathlib import Path

import pytest

from antiphon.engines.llama.snapshots.index import Snapshot
from antiphon.engines.llama.snapshots.store import SnapshotStore
from support.slots import Slots, slots_of
from support.snapshots import Disk, open_store, written
from support.tiny_models import Kind, write_model

pytestmark = pytest.mark.anyio

NUMBERS = random.Random(5)  # noqa: S311 - prompts, no secrets
PREFIX = [NUMBERS.randrange(3, 259) for _ in range(300)]
PROMPT = [*PREFIX, *(NUMBERS.randrange(3, 259) for _ in range(12))]
REREAD = {Kind.ATTENTION: 0, Kind.SLIDING_WINDOW: 5, Kind.RECURRENT: 0}


async def save(store: SnapshotStore, slots: Slots, slot: int, tokens: list[int]) -> Snapshot | None:
    """Read a prefix into a slot and save it, as an engine does."""
    await slots.read(slot, tokens)
    async with store.saving("workspace", tokens, 1 << 20) as draft:
        assert draft is not None
        saved = await slots.act(slot, "save", draft.file)
        kept = draft.keep(written(store, tokens=saved["n_saved"], size=saved["n_written"]))
        return await kept


@pytest.mark.parametrize("kind", Kind)
async def test_prefix_is_restored_after_engine_and_server_have_ended(
    kind: Kind, tmp_path: Path
) -> None:
    weights = write_model(kind, tmp_path / "tiny.gguf")
    disk = Disk()
    store = await open_store(tmp_path / "snapshots", disk)
    async with slots_of(weights, store.folder) as slots:
        cold = await slots.answer(1, PROMPT)
        assert await save(store, slots, 0, PREFIX) is not None
    await store.aclose()

    store = await open_store(tmp_path / "snapshots", disk)
    snapshot = store.find("workspace", PROMPT)
    assert snapshot is not None
    assert snapshot.token_count == len(PREFIX)
    async with slots_of(weights, store.folder) as slots:
        async with store.restoring(snapshot) as file:
            restored = await slots.act(0, "restore", file)
        assert (restored["n_restored"], restored["n_read"]) == (len(PREFIX), snapshot.size)
        warm = await slots.answer(0, PROMPT)
    await store.aclose()
    assert warm.tokens == cold.tokens
    assert warm.reused == len(PREFIX) - REREAD[kind]
