"""Which part of a model's memory grows with its context, and which each slot has in any case.

Layers with a sliding window keep their last tokens alone, and recurrent layers one state. Which
layers those are stands in the file, or in the code of llama.cpp (src/models/…): it is known here
for the architectures below. All layers of others are taken to keep every token, which is the most
that they can take.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from antiphon.engines.llama.gguf import Value
from antiphon.engines.llama.memory import ELEMENT_BYTES, whole

INTERVALS: Final[Mapping[str, int]] = {"qwen35": 4, "qwen35moe": 4, "qwen3next": 4}
"""Every how many layers one attends, and is not recurrent, unless the file says it."""
PERIODS: Final[Mapping[str, int]] = {"cohere2": 4, "gemma2": 2, "gemma3": 6, "gpt-oss": 2}
"""Every how many layers one sees all tokens, and has no window, unless the file says it."""
LISTED: Final = frozenset({*PERIODS, "gemma4"})
"""The architectures whose files may list the layers with a window."""
BATCH: Final = 512
"""The most tokens that are read at once: windows have room for them beside their own."""
STEP: Final = 256
STATE_BYTES: Final = 4


class Growth(msgspec.Struct, frozen=True):
    """The bytes of a slot for each token of its context, and those beside them."""

    token: int
    slot: int


def growth(
    facts: Mapping[str, Value], architecture: str | None, heads: Sequence[int], key: int, value: int
) -> Growth:
    """Return what a slot takes. `heads` are those with keys and values of each layer.

    `key` and `value` are the elements of one.
    """
    family = architecture or ""

    def count(name: str) -> int:
        return whole(facts.get(f"{family}.{name}"))

    windowed, recurrent = _windowed(facts, family, len(heads)), _recurrent(facts, family, heads)
    seen = count("attention.sliding_window") + BATCH
    of_window = (
        (count("attention.key_length_swa") or key) + (count("attention.value_length_swa") or value)
    ) * (-(-seen // STEP) * STEP)
    token = slot = 0
    for layer, own in enumerate(heads):
        if recurrent[layer]:
            slot += _state(facts, family)
        elif windowed[layer]:
            slot += own * of_window * ELEMENT_BYTES
        else:
            token += own * (key + value) * ELEMENT_BYTES
    return Growth(token, slot)


def _recurrent(facts: Mapping[str, Value], family: str, heads: Sequence[int]) -> list[bool]:
    """Return which layers keep a state; one without heads does."""
    layers = len(heads)
    told = facts.get(f"{family}.attention.recurrent_layers")
    if family not in INTERVALS:
        return [not own for own in heads]
    if isinstance(told, list) and len(told) == layers:
        return [bool(one) for one in told]
    interval = whole(facts.get(f"{family}.full_attention_interval")) or INTERVALS[family]
    # Layers that predict further tokens come last, and attend.
    main = layers - whole(facts.get(f"{family}.nextn_predict_layers"))
    return [layer < main and (layer + 1) % interval != 0 for layer in range(layers)]


def _windowed(facts: Mapping[str, Value], family: str, layers: int) -> list[bool]:
    """Return which layers have a window."""
    none = [False] * layers
    if not whole(facts.get(f"{family}.attention.sliding_window")) or family not in LISTED:
        return none
    told = facts.get(f"{family}.attention.sliding_window_pattern")
    if isinstance(told, list):
        return [bool(one) for one in told] if len(told) == layers else none
    period = whole(told) or PERIODS.get(family)
    return none if period is None else [layer % period < period - 1 for layer in range(layers)]


def _state(facts: Mapping[str, Value], family: str) -> int:
    """Return the bytes of the state of a recurrent layer, and of what it convolves."""
    convolved, inner, state, groups = (
        whole(facts.get(f"{family}.ssm.{name}"))
        for name in ("conv_kernel", "inner_size", "state_size", "group_count")
    )
    before = max(0, convolved - 1) * (inner + 2 * groups * state)
    return (before + state * inner) * STATE_BYTES
