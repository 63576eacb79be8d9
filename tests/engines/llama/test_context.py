"""The context that a server chooses where no setting does."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.engines.base import EngineConfig
from antiphon.engines.llama.context import (
    LEAST,
    MOST,
    OF_GPU,
    USUAL,
    ChosenContext,
    ContextFacts,
    chosen_context,
    context_facts,
    context_here,
    gpu_memory,
    with_slots,
)
from antiphon.engines.llama.control_groups import MemoryGroup
from antiphon.engines.llama.engine import open_llama
from antiphon.engines.llama.memory import CONTEXT_STEP, RESERVE, free_memory
from antiphon.engines.llama.options import LlamaOptions
from antiphon.engines.llama.process import child_config, start_child
from engines.llama.test_memory import LLAMA, TOKEN, gguf

GIB = 1 << 30
# Llama 3.1 8B in 4 bits: 128 KiB of KV cache for each token.
LARGE = ContextFacts(weights=5 * GIB, trained=131_072, token=128 << 10)

known = st.builds(
    ContextFacts,
    weights=st.integers(0, 64 * GIB),
    trained=st.integers(1, 1 << 20) | st.none(),
    token=st.integers(1, 1 << 20),
    fixed=st.integers(0, 1 << 28),
)
memories = st.integers(1, 512 * GIB)
slot_counts = st.integers(1, 256)


@pytest.mark.parametrize(
    ("memory", "slots", "expected"),
    [
        # Half of what the weights and the reserve leave: 5.25 GiB for 4 slots of 128 KiB a token.
        (16 * GIB, 4, ChosenContext(10_752, "memory")),
        (16 * GIB, 1, ChosenContext(43_008, "memory")),
        (64 * GIB, 1, ChosenContext(131_072, "model")),
        # The usual context may take all that is left.
        (10 * GIB, 4, ChosenContext(8_192, "memory")),
        (8 * GIB, 4, ChosenContext(5_120, "memory")),
        # Nothing is left: whether it can be loaded at all is seen when it is.
        (6 * GIB, 4, ChosenContext(LEAST, "memory")),
        # Weights of more than the memory are read from the disk.
        (4 * GIB, 4, ChosenContext(7_168, "memory")),
        (0, 4, ChosenContext(USUAL, "usual")),
    ],
)
def test_context_follows_from_the_memory_that_the_weights_leave(
    memory: int, slots: int, expected: ChosenContext
) -> None:
    assert chosen_context(LARGE, memory, slots) == expected


@given(facts=known, memory=memories, slots=slot_counts)
def test_chosen_context_fits_and_is_no_more_than_the_model_was_made_for(
    facts: ContextFacts, memory: int, slots: int
) -> None:
    chosen = chosen_context(facts, memory, slots)
    assert 1 <= chosen.tokens <= min(facts.trained or USUAL, MOST)
    weights = facts.weights if facts.weights < memory else 0
    room = memory - weights - RESERVE - facts.fixed * slots
    assert facts.token is not None
    taken = chosen.tokens * slots * facts.token
    assert taken <= room or chosen.tokens <= LEAST
    # Only the usual context takes more than its part.
    assert taken <= room // 2 or chosen.tokens <= USUAL
    if chosen.bound == "memory":
        step = max(chosen.tokens, USUAL) + CONTEXT_STEP
        assert step * slots * facts.token > room // 2
        assert chosen.tokens % CONTEXT_STEP == 0
    elif chosen.bound == "model":
        assert chosen.tokens == (facts.trained or USUAL)
    else:
        assert (chosen.bound, chosen.tokens) == ("most", MOST)


@given(facts=known, memory=memories, more=memories, slots=slot_counts)
def test_more_memory_and_fewer_slots_never_give_less(
    facts: ContextFacts, memory: int, more: int, slots: int
) -> None:
    if facts.weights < memory:
        chosen = chosen_context(facts, memory, slots).tokens
        assert chosen_context(facts, memory + more, slots).tokens >= chosen
        assert chosen_context(facts, memory, max(1, slots - 1)).tokens >= chosen
        assert chosen_context(facts, memory, slots, of=OF_GPU).tokens >= chosen


@given(facts=known, memory=memories, slots=st.integers(2, 256), data=st.data())
def test_fewer_slots_share_the_same_memory(
    facts: ContextFacts, memory: int, slots: int, data: st.DataObject
) -> None:
    chosen = chosen_context(facts, memory, slots)
    fewer = data.draw(st.integers(1, slots - 1))
    tokens = with_slots(chosen.tokens, slots, fewer, facts.trained)
    assert tokens * fewer <= max(chosen.tokens * slots, (facts.trained or USUAL) * fewer)
    assert tokens <= min(facts.trained or USUAL, MOST)
    if facts.weights < memory and chosen.tokens > LEAST:
        # A start with fewer slots chooses at least as much.
        assert chosen_context(facts, memory, fewer).tokens >= min(tokens, chosen.tokens)


@pytest.mark.parametrize(
    ("trained", "expected"),
    [
        (32_768, ChosenContext(USUAL, "usual")),
        (4_096, ChosenContext(4_096, "model")),
        (None, ChosenContext(USUAL, "model")),
    ],
)
def test_model_of_unknown_memory_gets_the_usual_context(
    trained: int | None, expected: ChosenContext
) -> None:
    facts = ContextFacts(weights=GIB, trained=trained, token=None)
    assert chosen_context(facts, 64 * GIB, 4) == expected


def test_facts_of_the_default_model_follow_from_its_file(default_model: Path) -> None:
    size = default_model.stat().st_size
    facts = context_facts(default_model)
    assert facts == ContextFacts(weights=size, trained=8192, token=TOKEN)
    assert context_facts(default_model, default_model).weights == 2 * size


def test_window_that_is_not_known_is_counted_as_if_its_layers_saw_all(tmp_path: Path) -> None:
    """So that what is chosen surely fits."""
    file = tmp_path / "model.gguf"
    file.write_bytes(gguf({**LLAMA, "llama.attention.sliding_window": 4096}))
    assert context_facts(file).token == 32 * 8 * (128 + 128) * 2


def test_parts_of_a_model_count_together(tmp_path: Path) -> None:
    for number in (1, 2):
        content = gguf(LLAMA) if number == 1 else bytes(5000)
        tmp_path.joinpath(f"m-0000{number}-of-00002.gguf").write_bytes(content)
    found = context_facts(tmp_path / "m-00001-of-00002.gguf")
    assert found.weights == len(gguf(LLAMA)) + 5000


def test_model_that_fits_into_a_gpu_has_its_context_there() -> None:
    assert context_here(LARGE, 1, 24 * GIB).tokens == 131_072
    assert context_here(LARGE, 2, 24 * GIB) == ChosenContext(75_776, "memory")
    tight = context_here(LARGE, 4, 5 * GIB)
    assert tight == chosen_context(LARGE, free_memory(), 4)


def test_memory_of_gpus_is_that_which_llama_cpp_lists() -> None:
    class Kind:
        def __init__(self, name: str) -> None:
            self.name = f"GGML_BACKEND_DEVICE_TYPE_{name}"

    devices: list[dict[str, object]] = [
        {"type": Kind("CPU"), "memory_free": 64 * GIB},
        {"type": Kind("GPU"), "memory_free": 20 * GIB},
        {"type": Kind("GPU"), "memory_free": 3 * GIB},
        {"type": Kind("GPU")},
    ]
    assert gpu_memory(devices) == 23 * GIB


INFO = "MemTotal: 16777216 kB\nMemAvailable:  8388608 kB\n"


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ((), 8 * GIB),
        ((MemoryGroup(6 * GIB, 5 * GIB),), GIB),
        # The file of a model that was just fetched is in memory, and can be given up.
        ((MemoryGroup(6 * GIB, 5 * GIB, 4 * GIB),), 5 * GIB),
        ((MemoryGroup(64 * GIB, 5 * GIB),), 8 * GIB),
        ((MemoryGroup(6 * GIB, 7 * GIB),), 1),
        ((MemoryGroup(6 * GIB, GIB), MemoryGroup(7 * GIB, 4 * GIB)), 3 * GIB),
    ],
)
def test_free_memory_is_that_of_the_container_with_the_files_it_keeps(
    tmp_path: Path, groups: tuple[MemoryGroup, ...], expected: int
) -> None:
    info = tmp_path / "meminfo"
    info.write_text(INFO, encoding="ascii")
    assert free_memory(info, groups) == expected


def test_free_memory_is_guessed_where_the_system_does_not_tell(tmp_path: Path) -> None:
    assert GIB >> 4 < free_memory(tmp_path / "none", ()) < 1 << 50
    assert free_memory(tmp_path / "none", (MemoryGroup(GIB),)) == GIB >> 1


@pytest.mark.anyio
async def test_child_tells_the_context_that_it_chose(default_model: Path) -> None:
    options = LlamaOptions(slots=2, threads=1)
    child = await start_child(child_config(options, default_model, None), 60)
    assert child.context == context_here(context_facts(default_model), 2).tokens == 8192
    await child.aclose()


@pytest.mark.anyio
async def test_context_that_a_setting_names_stays(tiny_model: Path) -> None:
    config = EngineConfig("tiny", tiny_model, {"context": 512, "slots": 1, "threads": 1})
    engine = await open_llama(config)
    assert engine.capabilities.context_tokens == 512
    await engine.aclose()
