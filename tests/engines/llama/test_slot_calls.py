"""The client's calls for slots, on a real child."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from antiphon.engines.base import EngineError, EngineErrorKind
from antiphon.engines.llama.server_types import RestoredSlot, SavedSlot
from support.slots import Slots, slots_of
from support.tiny_models import Kind, write_model

pytestmark = pytest.mark.anyio

PREFIX = [3 + number % 250 for number in range(0, 3000, 7)]
PROMPT = [*PREFIX, 5, 6]


@pytest.fixture
async def slots(tmp_path: Path) -> AsyncIterator[Slots]:
    weights = write_model(Kind.ATTENTION, tmp_path / "tiny.gguf")
    async with slots_of(weights, tmp_path) as slots:
        yield slots


async def test_saved_slot_is_restored_into_another_one(slots: Slots) -> None:
    await slots.read(0, PREFIX)
    saved = await slots.client.save_slot(0, "prefix.part")
    size = (slots.folder / "prefix.part").stat().st_size
    assert saved == SavedSlot(n_saved=len(PREFIX), n_written=size)
    restored = await slots.client.restore_slot(1, "prefix.part")
    assert restored == RestoredSlot(n_restored=len(PREFIX), n_read=size)
    assert (await slots.answer(1, PROMPT)).reused == len(PREFIX)


async def test_erased_slot_tells_what_it_held(slots: Slots) -> None:
    await slots.read(0, PREFIX)
    assert await slots.client.erase_slot(0) == len(PREFIX)
    assert await slots.client.erase_slot(0) == 0
    assert (await slots.answer(0, PROMPT)).reused == 0


async def test_refused_restore_is_a_failure(slots: Slots) -> None:
    with pytest.raises(EngineError, match="invalid slot save file") as error:
        await slots.client.restore_slot(0, "missing.kv")
    assert error.value.kind is EngineErrorKind.FAILED


async def test_file_that_ends_the_child_is_a_failure_and_is_not_sent_again(slots: Slots) -> None:
    await slots.read(0, PREFIX)
    await slots.client.save_slot(0, "cut.kv")
    path = slots.folder / "cut.kv"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(EngineError, match=r"llama\.cpp broke off") as error:
        await slots.client.restore_slot(1, "cut.kv")
    assert error.value.kind is EngineErrorKind.FAILED
