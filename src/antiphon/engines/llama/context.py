"""Chooses the context of each slot where no setting does, by the model's file and the free memory.

The KV cache of all slots is reserved when a model is loaded. So it may take half of the memory that
the weights leave: the other half is for a second child, which computes batches and takes as much,
for what other programs need later, and for the files that the system keeps in memory. A context of
`USUAL` tokens may take all of it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal, TypeAlias

import msgspec

from antiphon.engines.llama.gguf import read_metadata
from antiphon.engines.llama.memory import (
    CONTEXT_STEP,
    RESERVE,
    free_memory,
    whole,
)
from antiphon.engines.llama.model_file import ModelFile, kv_cache
from antiphon.engines.llama.split_files import files_of

USUAL: Final = 8_192
"""Tokens that a short conversation needs, and of a model whose KV cache is not known."""
LEAST: Final = 2_048
"""Tokens below which a context is of no use: then the memory is left to decide."""
MOST: Final = 131_072
"""Tokens that a context has at most without a setting, also of models made for millions."""
OF_MEMORY: Final = 2
"""The KV cache takes one part of so many of what is free."""
OF_GPU: Final = 1

Bound: TypeAlias = Literal["model", "memory", "usual", "most"]


class ContextFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the choice follows from.

    That is the bytes of the weights, the tokens that the model was trained for, the bytes of a slot
    for each `token` of its context, which may be fewer, and those that are `fixed`. `None` is not
    known.
    """

    weights: int
    trained: int | None
    token: int | None
    fixed: int = 0


class ChosenContext(msgspec.Struct, frozen=True):
    """The tokens of context for each slot, and what keeps them from being more.

    That is the `model`, which was trained for no more; the `memory`; `most`, the bound of every
    choice; or `usual`, as the memory that a token takes is not known.
    """

    tokens: int
    bound: Bound


def chosen_context(
    facts: ContextFacts, memory: int, slots: int, *, of: int = OF_MEMORY
) -> ChosenContext:
    """Choose the context of each of `slots`, for `memory` free bytes; 0 is not known.

    The KV cache takes one part `of` so many of what the weights leave.
    """
    trained = facts.trained or USUAL
    most = ChosenContext(min(trained, MOST), "model" if trained <= MOST else "most")
    if facts.token is None or memory <= 0:
        return most if most.tokens <= USUAL else ChosenContext(USUAL, "usual")
    # Weights of more than the memory are read from the disk again and again: they keep none of it.
    weights = 0 if facts.weights >= memory else facts.weights
    room = max(0, memory - weights - RESERVE - facts.fixed * slots)

    def fitting(share: int) -> int:
        return room // share // (facts.token * slots) // CONTEXT_STEP * CONTEXT_STEP  # type: ignore[operator]  # it is known

    tokens = max(fitting(of), min(USUAL, fitting(1)), LEAST)
    return most if tokens >= most.tokens else ChosenContext(tokens, "memory")


def context_facts(weights: Path, projector: Path | None = None) -> ContextFacts:
    """Return the facts of a model's file, and of its projector. Raises `OSError`."""
    facts = read_metadata(weights)
    architecture = facts.get("general.architecture")
    family = architecture if isinstance(architecture, str) else None
    cache = kv_cache(facts, family)
    files = [part for part in files_of(weights) if part.is_file()]
    if projector is not None:
        files.append(projector)
    return ContextFacts(
        weights=sum(file.stat().st_size for file in files),
        trained=whole(facts.get(f"{family}.context_length")) or None,
        token=cache.growing,
        fixed=cache.fixed,
    )


def facts_of_file(file: ModelFile) -> ContextFacts:
    """Return the facts of a file whose header was read."""
    cache = file.kv_cache
    return ContextFacts(
        weights=file.bytes or 0, trained=file.context, token=cache.growing, fixed=cache.fixed
    )


def context_here(facts: ContextFacts, slots: int, gpu: int = 0) -> ChosenContext:
    """Choose the context on this machine now. `gpu` are the free bytes of its GPUs.

    A model that fits into the memory of the GPUs has its KV cache there; llama.cpp keeps as much of
    a larger one there as fits.
    """
    if gpu > facts.weights + RESERVE:
        return chosen_context(facts, gpu, slots, of=OF_GPU)
    return chosen_context(facts, free_memory(), slots)


def with_slots(chosen: int, slots: int, fewer: int, trained: int | None) -> int:
    """Return the context of each of `fewer` slots in the memory that `slots` of `chosen` take."""
    tokens = chosen * slots // fewer // CONTEXT_STEP * CONTEXT_STEP
    return min(tokens, trained or USUAL, MOST)


def gpu_memory(devices: Sequence[dict[str, object]]) -> int:
    """Return the free bytes of all GPUs, as llama.cpp lists its devices."""
    return sum(
        free
        for one in devices
        if "DEVICE_TYPE_GPU" in str(getattr(one.get("type"), "name", ""))
        and isinstance(free := one.get("memory_free"), int)
    )
