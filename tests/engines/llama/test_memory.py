"""The memory that a model needs, by its file, and the errors of too little."""

import struct
from collections import deque
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.engines.base import EngineStartError
from antiphon.engines.llama.control_groups import MemoryGroup
from antiphon.engines.llama.gguf import read_metadata
from antiphon.engines.llama.memory import (
    RESERVE,
    Footprint,
    TooLargeError,
    bytes_of_token,
    footprint,
    physical_memory,
    refuse_too_large,
    trained_context,
)
from antiphon.engines.llama.options import LlamaOptions
from antiphon.engines.llama.process import child_config, load_failure, start_child

GIB = 1 << 30
# Of the default model: 30 layers of 3 key and value heads of 64 elements of 2 bytes.
TOKEN = 30 * 3 * (64 + 64) * 2
# Llama 3.1 8B.
LLAMA = {
    "general.architecture": "llama",
    "llama.block_count": 32,
    "llama.embedding_length": 4096,
    "llama.attention.head_count": 32,
    "llama.attention.head_count_kv": 8,
}


def gguf(facts: dict[str, Any]) -> bytes:
    """Return the beginning of a file with these facts, and no tensors."""

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value.encode())) + value.encode()

    def item(value: Any) -> bytes:
        return text(value) if isinstance(value, str) else struct.pack("<I", value)

    body = b""
    for key, value in facts.items():
        kind = 8 if isinstance(value, str) else 4
        if isinstance(value, list):
            kind = 8 if isinstance(value[0], str) else 4
            body += text(key) + struct.pack("<IIQ", 9, kind, len(value))
            body += b"".join(map(item, value))
        else:
            body += text(key) + struct.pack("<I", kind) + item(value)
    return b"GGUF" + struct.pack("<IQQ", 3, 0, len(facts)) + body


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "model.gguf"


def test_footprint_of_the_default_model_follows_from_its_file(default_model: Path) -> None:
    assert footprint(default_model) == Footprint(default_model.stat().st_size, TOKEN)
    assert trained_context(default_model) == 8192


@pytest.mark.anyio
async def test_cache_takes_the_memory_of_the_formula(default_model: Path) -> None:
    used = []
    for context in (256, 8192):
        config = child_config(
            LlamaOptions(context=context, slots=2, threads=1), default_model, None
        )
        child = await start_child(config, 60)
        used.append(psutil.Process(child.pid).memory_info().rss)
        await child.aclose()
    assert used[1] - used[0] == pytest.approx(TOKEN * (8192 - 256) * 2, rel=0.1)


@pytest.mark.parametrize(
    ("changes", "size"),
    [
        ({}, 32 * 8 * (128 + 128) * 2),
        ({"llama.attention.head_count_kv": None}, 32 * 32 * (128 + 128) * 2),
        ({"llama.attention.head_count_kv": [8, 0, 4]}, 12 * (128 + 128) * 2),
        ({"llama.attention.key_length": 192}, 32 * 8 * (192 + 128) * 2),
        ({"llama.attention.sliding_window": 4096}, None),
        ({"general.architecture": "mamba"}, None),
        ({"llama.block_count": None}, None),
        ({"llama.block_count": "many"}, None),
        ({"llama.attention.head_count": 0}, None),
    ],
)
def test_bytes_of_a_token_follow_from_the_heads(
    changes: dict[str, Any], size: int | None, file: Path
) -> None:
    facts = {name: value for name, value in {**LLAMA, **changes}.items() if value is not None}
    file.write_bytes(gguf(facts))
    assert bytes_of_token(read_metadata(file)) == size


def test_list_of_tokens_ends_the_metadata(file: Path) -> None:
    file.write_bytes(gguf({"a": 1, "tokens": ["x"] * 5000, "b": 2}))
    assert read_metadata(file) == {"a": 1}


@given(data=st.binary(max_size=200) | st.binary(max_size=200).map(b"GGUF\3\0\0\0".__add__))
def test_damaged_file_is_read_as_far_as_it_goes(
    data: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.getbasetemp() / "damaged.gguf"
    file.write_bytes(data)
    assert isinstance(read_metadata(file), dict)
    assert footprint(file) is None


def test_counts_of_a_stranger_cost_no_time_or_memory(file: Path) -> None:
    start = b"GGUF" + struct.pack("<IQQ", 3, 0, 1 << 63)
    file.write_bytes(start + struct.pack("<Q", 1 << 62))
    assert read_metadata(file) == {}
    file.write_bytes(start + struct.pack("<Q", 1) + b"a" + struct.pack("<IIQ", 9, 9, 1 << 62))
    assert read_metadata(file) == {}


def test_context_that_does_not_fit_is_refused_with_the_largest_that_does(file: Path) -> None:
    file.write_bytes(gguf(LLAMA))
    refuse_too_large(file, 8192, 4, 8 * GIB)
    with pytest.raises(TooLargeError) as caught:
        refuse_too_large(file, 131_072, 4, 8 * GIB)
    assert str(caught.value) == (
        "a context of 131,072 tokens in each of 4 slots needs 64.0 GiB of memory, and 8.0 GiB are "
        "there. Set `[llama] context` to at most 15104, or fewer `slots`"
    )
    refuse_too_large(file, 15_104, 4, 8 * GIB)


def test_machine_without_room_for_any_context_is_told_so(file: Path) -> None:
    file.write_bytes(gguf(LLAMA))
    with pytest.raises(TooLargeError, match="or choose a smaller model"):
        refuse_too_large(file, 131_072, 4, RESERVE)


def test_weights_of_more_than_the_memory_are_mapped_and_not_refused(file: Path) -> None:
    file.write_bytes(gguf(LLAMA) + bytes(1 << 20))
    refuse_too_large(file, 1, 1, 1 << 20)


@pytest.mark.anyio
async def test_child_refuses_a_context_that_does_not_fit_before_it_loads(
    default_model: Path,
) -> None:
    config = child_config(LlamaOptions(context=1 << 30, slots=1), default_model, None)
    with pytest.raises(EngineStartError) as caught:
        await start_child(config, 60)
    found = footprint(default_model)
    assert found is not None
    fitting = found.fitting(physical_memory(), 1)
    said = str(caught.value)
    assert said.startswith(f"{default_model} cannot be loaded by llama.cpp: a context of 1,073,741")
    assert said.endswith(f"Set `[llama] context` to at most {fitting}, or fewer `slots`.")


NO_MEMORY = "0.00.1 E ggml_aligned_malloc: insufficient memory (attempted to allocate 9000.00 MB)"


@pytest.mark.parametrize(
    ("reported", "lines", "said"),
    [
        (
            "RuntimeError: failed",
            [NO_MEMORY],
            "9000.00 MB). Set `[llama] context` to at most 15104",
        ),
        ("the child was ended by SIGKILL (the system may be out of memory)", [], "at most 15104,"),
        ("RuntimeError: failed", [], None),
    ],
)
def test_failure_for_lack_of_memory_says_what_would_fit(
    reported: str, lines: list[str], said: str | None, file: Path
) -> None:
    file.write_bytes(gguf(LLAMA))
    config = child_config(LlamaOptions(context=131_072, slots=4), file, None)
    found = load_failure(config, reported, deque(lines), 8 * GIB)
    assert found.startswith(f"{file} cannot be loaded by llama.cpp: ")
    assert ("[llama] context" in found) is (said is not None)
    assert said is None or said in found


def test_failure_although_the_context_should_fit_names_no_number(file: Path) -> None:
    file.write_bytes(gguf(LLAMA))
    config = child_config(LlamaOptions(context=1024, slots=4), file, None)
    found = load_failure(config, "bad_alloc", deque(), 8 * GIB)
    assert found.endswith(
        "Set a smaller `[llama] context` or fewer `slots`, or choose a smaller model."
    )


def test_memory_is_that_of_the_tightest_group() -> None:
    groups = (MemoryGroup(1 << 50), MemoryGroup(1 << 20), MemoryGroup(1 << 21))
    assert physical_memory(groups) == 1 << 20
    assert physical_memory(groups[:1]) == physical_memory(()) > 1 << 28
