"""What the pinned llama.cpp does with saved slots, on each kind of memory.

The snapshots of the prompt cache rest on this. The figures are exact, so that another build of
llama.cpp that does otherwise is noticed: docs/decisions/0030-kv-snapshots.md.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from antiphon.transport.base import ConnectionLost
from support import images
from support.projector import IMAGE_TOKENS
from support.slots import Slots, slots_of
from support.tiny_models import Kind, write_model

pytestmark = pytest.mark.anyio

BREAKPOINT = 600
NUMBERS = random.Random(3)  # noqa: S311 - prompts, no secrets
PREFIX = [NUMBERS.randrange(3, 259) for _ in range(BREAKPOINT)]
QUESTION = [NUMBERS.randrange(3, 259) for _ in range(12)]
OTHER_QUESTION = [NUMBERS.randrange(3, 259) for _ in range(12)]
PROMPT = PREFIX + QUESTION
FILE = "prefix.kv"

# Tokens that a restored slot does not read again. llama.cpp saves the checkpoints of a slot with
# it, and goes back to one of them where a state cannot be taken back token by token.
RESTORED = {Kind.ATTENTION: 600, Kind.SLIDING_WINDOW: 595, Kind.RECURRENT: 600}
ALONE = {Kind.ATTENTION: 599, Kind.SLIDING_WINDOW: 595, Kind.RECURRENT: 596}
ONE_TOO_LONG = {Kind.ATTENTION: 600, Kind.SLIDING_WINDOW: 596, Kind.RECURRENT: 597}
HALF = {Kind.ATTENTION: 300, Kind.SLIDING_WINDOW: 0, Kind.RECURRENT: 0}


@pytest.fixture(scope="module")
async def child(
    anyio_backend: str,  # noqa: ARG001 - tells anyio which loop this lives in
    weights: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Slots]:
    async with slots_of(weights, tmp_path_factory.mktemp("slots")) as slots:
        yield slots


@pytest.fixture
async def slots(child: Slots) -> Slots:
    """The slots of a running child, empty."""
    for slot in range(2):
        await child.act(slot, "erase")
    return child


async def save_prefix(slots: Slots, prefix: list[int] = PREFIX) -> None:
    await slots.read(0, prefix)
    assert await slots.saved(0, FILE) == len(prefix)


async def test_greedy_answer_depends_on_distant_tokens(slots: Slots) -> None:
    """Otherwise no test here could see a wrong state."""
    answer = await slots.answer(0, PROMPT)
    other = [PREFIX[0], PREFIX[1] % 200 + 4, *PROMPT[2:]]
    await slots.act(0, "erase")
    assert (await slots.answer(0, other)).tokens != answer.tokens


async def test_prompt_that_is_only_read_leaves_its_tokens_and_no_more(slots: Slots) -> None:
    await slots.read(0, PREFIX)
    assert await slots.saved(0, FILE) == BREAKPOINT


async def test_saved_file_is_for_its_owner_alone(slots: Slots) -> None:
    await save_prefix(slots)
    assert (slots.folder / FILE).stat().st_mode & 0o777 == 0o600


async def test_answered_prompt_leaves_all_tokens_but_the_last_one(slots: Slots) -> None:
    answer = await slots.answer(0, PREFIX, tokens=4)
    assert await slots.saved(0, FILE) == BREAKPOINT + len(answer.tokens) - 1


async def test_slot_goes_on_behind_its_breakpoint(slots: Slots) -> None:
    cold = await slots.answer(1, PROMPT)
    await slots.read(0, PREFIX)
    warm = await slots.answer(0, PROMPT)
    assert (cold.reused, warm.reused) == (0, BREAKPOINT)
    assert warm.tokens == cold.tokens


async def test_restored_slot_answers_as_a_cold_one(slots: Slots, kind: Kind) -> None:
    prompts = [PREFIX + QUESTION, PREFIX + OTHER_QUESTION, [*PREFIX, 77]]
    cold = []
    for prompt in prompts:
        await slots.act(1, "erase")
        cold.append((await slots.answer(1, prompt)).tokens)
    assert cold[0] != cold[1]
    await save_prefix(slots)
    for prompt, expected in zip(prompts, cold, strict=True):
        await slots.restore(1, FILE)
        restored = await slots.answer(1, prompt)
        assert (restored.tokens, restored.reused) == (expected, RESTORED[kind])


async def test_prefix_alone_is_read_again_from_its_last_checkpoint(
    slots: Slots, kind: Kind
) -> None:
    """A snapshot serves longer prompts: for an answer, llama.cpp must read one token at least."""
    await save_prefix(slots)
    await slots.restore(1, FILE)
    assert (await slots.answer(1, PREFIX)).reused == ALONE[kind]


async def test_snapshot_one_token_too_long_is_reused_up_to_a_checkpoint(
    slots: Slots, kind: Kind
) -> None:
    cold = await slots.answer(1, PROMPT)
    await save_prefix(slots, [*PREFIX, 77])
    await slots.restore(1, FILE)
    restored = await slots.answer(1, PROMPT)
    assert (restored.tokens, restored.reused) == (cold.tokens, ONE_TOO_LONG[kind])


async def test_half_of_a_snapshot_is_reused_with_plain_attention_only(
    slots: Slots, kind: Kind
) -> None:
    half = PREFIX[:300] + QUESTION
    cold = await slots.answer(1, half)
    await save_prefix(slots)
    await slots.restore(1, FILE)
    restored = await slots.answer(1, half)
    assert (restored.tokens, restored.reused) == (cold.tokens, HALF[kind])


async def test_erased_slot_reads_everything(slots: Slots) -> None:
    await slots.answer(0, PROMPT)
    assert (await slots.act(0, "erase"))["n_erased"] > len(PROMPT)
    assert (await slots.answer(0, PROMPT)).reused == 0


async def test_restored_slot_gives_nothing_to_others(slots: Slots) -> None:
    await save_prefix(slots)
    await slots.act(0, "erase")
    await slots.restore(1, FILE)
    assert (await slots.answer(0, PROMPT)).reused == 0


async def test_snapshot_serves_the_next_child(
    slots: Slots, kind: Kind, weights: Path, tmp_path: Path
) -> None:
    cold = await slots.answer(1, PROMPT)
    await save_prefix(slots)
    (tmp_path / FILE).write_bytes((slots.folder / FILE).read_bytes())
    async with slots_of(weights, tmp_path) as other:
        await other.restore(0, FILE)
        restored = await other.answer(0, PROMPT)
    assert (restored.tokens, restored.reused) == (cold.tokens, RESTORED[kind])


async def test_save_waits_for_the_answer_in_its_slot(slots: Slots) -> None:
    answering = asyncio.create_task(slots.answer(0, PREFIX, tokens=100))
    await asyncio.sleep(0.05)
    saved = await slots.saved(0, FILE)
    answer = await answering
    assert saved == BREAKPOINT + len(answer.tokens) - 1


async def test_empty_slot_is_saved_as_a_file_without_tokens(slots: Slots) -> None:
    assert await slots.saved(0, FILE) == 0


async def test_changed_byte_is_restored_without_a_complaint(slots: Slots) -> None:
    """llama.cpp does not check the content of a file, so that the store of snapshots has to."""
    await save_prefix(slots)
    path = slots.folder / FILE
    changed = bytearray(path.read_bytes())
    changed[len(changed) // 2] ^= 0x40
    path.write_bytes(changed)
    await slots.restore(1, FILE)


@pytest.mark.parametrize("damage", ["half", "foreign", "missing"])
async def test_file_without_whole_tokens_is_refused(slots: Slots, damage: str) -> None:
    await save_prefix(slots)
    path = slots.folder / FILE
    match damage:
        case "half":
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        case "foreign":
            path.write_bytes(b"not a slot")
        case _:
            path.unlink()
    refused = await slots.act(1, "restore", FILE)
    assert "invalid slot save file" in refused["error"]["message"]


async def test_file_that_lacks_a_byte_is_worse_than_refused(
    slots: Slots, kind: Kind, weights: Path, tmp_path: Path
) -> None:
    """It ends the child, or silently loses its checkpoints: only `n_read` tells."""
    await save_prefix(slots)
    (tmp_path / FILE).write_bytes((slots.folder / FILE).read_bytes()[:-1])
    async with slots_of(weights, tmp_path) as others:
        if kind is Kind.ATTENTION:
            with pytest.raises(ConnectionLost):
                await others.act(0, "restore", FILE)
        else:
            restored = await others.act(0, "restore", FILE)
            assert restored["n_restored"] == BREAKPOINT
            assert restored["n_read"] < (tmp_path / FILE).stat().st_size


async def test_file_of_another_model_is_restored_and_makes_wrong_answers(
    slots: Slots, kind: Kind, tmp_path: Path
) -> None:
    """llama.cpp compares the sizes of the layers at most."""
    cold = await slots.answer(1, PROMPT)
    async with slots_of(write_model(kind, tmp_path / "other.gguf", seed=2), tmp_path) as others:
        await save_prefix(others)
    (slots.folder / FILE).write_bytes((tmp_path / FILE).read_bytes())
    await slots.restore(1, FILE)
    restored = await slots.answer(1, PROMPT)
    assert restored.reused == RESTORED[kind]
    assert restored.tokens != cold.tokens


async def test_path_outside_of_the_folder_is_refused(slots: Slots) -> None:
    assert "Invalid filename" in (await slots.act(0, "save", "../x.kv"))["error"]["message"]


async def test_slot_with_an_image_is_restored_for_the_same_image_only(
    tiny_model: Path, projector: Path, tmp_path: Path
) -> None:
    async with slots_of(tiny_model, tmp_path, projector) as slots:
        read = await slots.with_image("Look: ", images.png(colour=(0, 0, 0)), " and say")
        same = await slots.with_image("Look: ", images.png(colour=(0, 0, 0)), " and say what")
        other = await slots.with_image("Look: ", images.png(colour=(9, 9, 9)), " and say what")
        await slots.read(0, read)
        whole = await slots.saved(0, FILE)
        cold = await slots.answer(1, same, tokens=4)
        await slots.restore(1, FILE)
        restored = await slots.answer(1, same, tokens=4)
        assert (restored.tokens, restored.reused) == (cold.tokens, whole)
        await slots.restore(1, FILE)
        assert (await slots.answer(1, other, tokens=4)).reused < whole - IMAGE_TOKENS
