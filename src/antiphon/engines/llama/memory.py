"""Estimates the memory that a model needs, and the context that fits.

llama.cpp reserves its KV cache when it loads a model, for all slots, and a machine that runs out of
memory meanwhile ends the child, or another process. The size of the cache (`llama_kv_cache` of
llama.cpp, src/llama-kv-cache.cpp) is, for a model whose every layer attends to all tokens:

    context x slots x the sum over the layers of (heads_kv x (key_length + value_length)) x 2 bytes

as its elements are f16 by default. Models with other caches (sliding windows, compressed or
recurrent states) need less, and are not estimated: they are never refused by mistake.
"""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from antiphon.engines.llama.control_groups import MemoryGroup, memory_groups
from antiphon.engines.llama.gguf import Value, read_metadata
from antiphon.engines.llama.split_files import size_of_files

ELEMENT_BYTES: Final = 2
CONTEXT_STEP: Final = 256
"""llama.cpp rounds the context of a slot up to a multiple of this."""
RESERVE: Final = 512 << 20
"""For buffers of the computation and the program itself."""
MEMORY_INFO: Final = Path("/proc/meminfo")
EVERY_LAYER_ATTENDS: Final = frozenset(
    {
        "arcee", "baichuan", "command-r", "exaone", "gemma", "glm4", "granite", "granitemoe",
        "internlm2", "llama", "minicpm", "nemotron", "olmo", "olmo2", "olmoe", "orion", "phi2",
        "qwen", "qwen2", "qwen2moe", "qwen2vl", "qwen3", "qwen3moe", "qwen3vl", "seed_oss",
        "smollm3", "stablelm", "starcoder2",
    }
)  # fmt: skip
"""The architectures, by their names in GGUF files, to which the formula applies."""

_OUT_OF_MEMORY = re.compile(
    r"insufficient memory|out of memory|failed to allocate|unable to allocate|bad_alloc|SIGKILL",
    re.IGNORECASE,
)


class TooLargeError(Exception):
    """A model needs more memory than the machine has. The message says what would fit."""


class Footprint(msgspec.Struct, frozen=True):
    """The bytes of a model: of its file, and of the KV cache for each token of context."""

    weights: int
    token: int

    def needed(self, context: int, slots: int) -> int:
        return self.weights + self.token * context * slots

    def fitting(self, memory: int, slots: int) -> int:
        """Return the largest context of each slot that fits into this memory; 0 for none."""
        room = max(0, memory - self.weights - RESERVE)
        return room // (self.token * slots) // CONTEXT_STEP * CONTEXT_STEP


def footprint(weights: Path) -> Footprint | None:
    """Return the footprint of a model; `None` if the formula does not apply to it."""
    try:
        token = bytes_of_token(read_metadata(weights))
        return None if token is None else Footprint(size_of_files(weights), token)
    except OSError:
        return None


def bytes_of_token(facts: Mapping[str, Value]) -> int | None:
    """Return the bytes of the KV cache for a token; `None` if the formula does not apply."""
    family = facts.get("general.architecture")
    if family not in EVERY_LAYER_ATTENDS or f"{family}.attention.sliding_window" in facts:
        return None
    layers, heads, width = (
        whole(facts.get(f"{family}.{name}"))
        for name in ("block_count", "attention.head_count", "embedding_length")
    )
    if not layers or not heads or not width:
        return None
    head = width // heads
    key = whole(facts.get(f"{family}.attention.key_length")) or head
    value = whole(facts.get(f"{family}.attention.value_length")) or head
    shared = facts.get(f"{family}.attention.head_count_kv", heads)
    of_layers = shared if isinstance(shared, list) else [shared] * min(layers, 1000)
    counts = [whole(count) for count in of_layers]
    return sum(counts) * (key + value) * ELEMENT_BYTES or None


def trained_context(weights: Path) -> int | None:
    """Return the longest context that a model was trained for, if its file names it."""
    try:
        facts = read_metadata(weights)
    except OSError:
        return None
    return whole(facts.get(f"{facts.get('general.architecture')}.context_length")) or None


def physical_memory(groups: Sequence[MemoryGroup] | None = None) -> int:
    """Return the bytes of memory that this process may use: the machine's, or its container's.

    `groups` are those that bound it, by default those of this process.
    """
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    groups = memory_groups() if groups is None else groups
    return min([machine, *(group.limit for group in groups)])


def available_memory(info: Path = MEMORY_INFO, groups: Sequence[MemoryGroup] | None = None) -> int:
    """Return the bytes that this process could still use now (Linux); 0 if that is not known.

    Files in the memory of a container count as used: it is too little, never too much.
    """
    available = _kilobytes(info, "MemAvailable") or 0
    groups = memory_groups() if groups is None else groups
    return max(0, min([available, *(group.limit - group.used for group in groups)]))


def free_memory(info: Path = MEMORY_INFO, groups: Sequence[MemoryGroup] | None = None) -> int:
    """Return the bytes that a model can take now; half of all memory where that is not known.

    In a container, files that were read count as used, as those of a model that was just fetched:
    the system gives them up for it.
    """
    groups = memory_groups() if groups is None else groups
    available = _kilobytes(info, "MemAvailable") or physical_memory(groups) // 2
    left = [group.limit - max(0, group.used - group.files) for group in groups]
    return max(1, min([available, *left])) if groups else available


def own_memory(process: int) -> int | None:
    """Return the bytes of memory that a process has for itself (Linux), without mapped files."""
    return _kilobytes(Path(f"/proc/{process}/status"), "RssAnon")


def used_memory(process: int) -> int | None:
    """Return the bytes of memory that a process uses now (Linux), with its mapped files."""
    return _kilobytes(Path(f"/proc/{process}/status"), "VmRSS")


class ModelSize(msgspec.Struct, frozen=True):
    """The bytes of the file of a model, and of the KV cache for a token; `None` is not known."""

    weights: int
    token: int | None


def model_size(weights: Path) -> ModelSize:
    """Return the size of a model. Blocks. Raises `OSError`."""
    return ModelSize(size_of_files(weights), bytes_of_token(read_metadata(weights)))


def refuse_too_large(weights: Path, context: int, slots: int, memory: int) -> None:
    """Raise `TooLargeError` for a context that plainly does not fit into memory.

    Weights of more than the memory are left out: llama.cpp maps them and reads them again and
    again from the disk, which is slow and works.
    """
    found = footprint(weights)
    if found is None:
        return
    if found.weights >= memory:
        found = Footprint(0, found.token)
    if (needed := found.needed(context, slots)) > memory:
        raise TooLargeError(
            f"a context of {context:,} tokens in each of {slots} slots needs {_gib(needed)} of "
            f"memory, and {_gib(memory)} are there. {_fits(found.fitting(memory, slots))}"
        )


def advice(weights: Path, context: int, slots: int, memory: int, said: str) -> str | None:
    """Return what mends a failure to load for which `said` names a lack of memory, else `None`."""
    if _OUT_OF_MEMORY.search(said) is None:
        return None
    found = footprint(weights)
    fitting = 0 if found is None else found.fitting(memory, slots)
    # Memory that other programs use, or that of a GPU, is not known here.
    return _fits(fitting if fitting < context else 0)


def _fits(context: int) -> str:
    if not context:
        return "Set a smaller `[llama] context` or fewer `slots`, or choose a smaller model"
    return f"Set `[llama] context` to at most {context}, or fewer `slots`"


def _kilobytes(path: Path, name: str) -> int | None:
    """Return the bytes of a line such as `MemAvailable:  1024 kB`."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))
    except (OSError, ValueError, StopIteration):
        return None


def whole(value: object) -> int:
    """Return a count of the metadata; 0 for what is none."""
    return value if isinstance(value, int) and 0 < value < 1 << 32 else 0


def _gib(size: int) -> str:
    return f"{size / (1 << 30):.1f} GiB"
