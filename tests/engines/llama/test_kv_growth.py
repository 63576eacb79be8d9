"""What of a model's memory grows with its context, by its file, and as llama.cpp takes it."""

from pathlib import Path
from typing import Any

import psutil
import pytest

from antiphon.engines.llama.context import ContextFacts, chosen_context, context_facts
from antiphon.engines.llama.kv_growth import Growth, growth
from antiphon.engines.llama.memory import EVERY_LAYER_ATTENDS
from antiphon.engines.llama.model_file import read_model_file
from antiphon.engines.llama.options import LlamaOptions
from antiphon.engines.llama.process import child_config, start_child
from support.tiny_models import LAYERS, WIDTH, Kind, write_model

LONG, SHORT = 131_072, 2_048


@pytest.mark.anyio
@pytest.mark.parametrize("kind", Kind)
async def test_memory_that_grows_is_that_of_llama_cpp(kind: Kind, tmp_path: Path) -> None:
    weights = write_model(kind, tmp_path / "tiny.gguf", context=LONG)
    used = []
    for context in (SHORT, LONG):
        options = LlamaOptions(context=context, slots=4, threads=1)
        child = await start_child(child_config(options, weights, None), 60)
        used.append(psutil.Process(child.pid).memory_info().rss)
        await child.aclose()
    cache = read_model_file(weights).kv_cache
    assert cache.growing is not None
    expected = cache.growing * (LONG - SHORT) * 4
    # Buffers of the computation grow a little as well: the masks.
    assert expected <= used[1] - used[0] <= expected * 1.1 + (24 << 20)


@pytest.mark.parametrize(
    ("kind", "growing"),
    [(Kind.ATTENTION, 2), (Kind.SLIDING_WINDOW, 1), (Kind.RECURRENT, 2)],
)
def test_layers_that_see_all_tokens_grow(kind: Kind, growing: int, tmp_path: Path) -> None:
    weights = write_model(kind, tmp_path / "tiny.gguf")
    cache = read_model_file(weights).kv_cache
    of_layer = WIDTH * 2 * 2
    assert cache.growing == growing * of_layer
    others = LAYERS[kind] - growing
    if kind is Kind.SLIDING_WINDOW:
        assert cache.fixed == others * of_layer * (512 + 256)
    else:
        assert (cache.fixed > 0) == (others > 0)
    facts = context_facts(weights)
    assert (facts.token, facts.fixed) == (cache.growing, cache.fixed)


def facts_of(family: str, **more: Any) -> dict[str, Any]:
    return {f"{family}.{name.replace('__', '.')}": value for name, value in more.items()}


HEADS = [4] * 8
OF_LAYER = 4 * (64 + 32) * 2


@pytest.mark.parametrize(
    ("family", "facts", "heads", "growing"),
    [
        # Qwen 3.5: one of four layers attends; one that predicts a further token does so too.
        ("qwen35", {}, HEADS, 2),
        ("qwen35", {"full_attention_interval": 2}, HEADS, 4),
        ("qwen35", {"nextn_predict_layers": 1}, [4] * 9, 3),
        ("qwen35", {"attention__recurrent_layers": [True] * 7 + [False]}, HEADS, 1),
        ("qwen35", {"attention__recurrent_layers": [True]}, HEADS, 2),
        # LFM2 and others say it by their heads.
        ("lfm2", {}, [0, 0, 4, 0, 4, 0, 0, 4], 3),
        ("gpt-oss", {"attention__sliding_window": 128}, HEADS, 4),
        ("gemma3", {"attention__sliding_window": 512}, [4] * 12, 2),
        ("gemma3", {}, HEADS, 8),
        (
            "gemma4",
            {
                "attention__sliding_window": 512,
                "attention__sliding_window_pattern": [True, True, True, False] * 2,
            },
            HEADS,
            2,
        ),
        # What nobody has said is taken to keep all.
        ("gemma4", {"attention__sliding_window": 512}, HEADS, 8),
        (
            "gemma4",
            {"attention__sliding_window": 512, "attention__sliding_window_pattern": [True]},
            HEADS,
            8,
        ),
        ("unheard", {"attention__sliding_window": 512}, HEADS, 8),
        ("unheard", {"full_attention_interval": 4}, HEADS, 8),
        ("llama", {}, [], 0),
    ],
)
def test_layers_are_those_of_the_architecture(
    family: str, facts: dict[str, Any], heads: list[int], growing: int
) -> None:
    assert growth(facts_of(family, **facts), family, heads, 64, 32).token == growing * OF_LAYER


@pytest.mark.parametrize("family", sorted(EVERY_LAYER_ATTENDS))
def test_every_layer_of_most_models_grows(family: str) -> None:
    assert growth({}, family, HEADS, 64, 32) == Growth(8 * OF_LAYER, 0)


def test_windows_have_elements_of_their_own() -> None:
    facts = facts_of(
        "gemma4",
        attention__sliding_window=1024,
        attention__sliding_window_pattern=[True, False],
        attention__key_length_swa=16,
        attention__value_length_swa=16,
    )
    found = growth(facts, "gemma4", [4, 1], 64, 64)
    assert found == Growth(1 * 128 * 2, 4 * 32 * 2 * (1024 + 512))


def test_state_of_a_recurrent_layer_is_counted_for_each_slot() -> None:
    facts = facts_of(
        "qwen35", ssm__conv_kernel=4, ssm__inner_size=4096, ssm__state_size=128,
        ssm__group_count=16,
    )  # fmt: skip
    found = growth(facts, "qwen35", [4] * 32, 256, 256)
    assert found.token == 8 * 4 * 512 * 2
    # Of Qwen 3.5 4B: 24 layers with a state of 2 MiB, and three tokens to convolve.
    assert found.slot == 24 * 4 * (128 * 4096 + 3 * (4096 + 2 * 16 * 128))


def test_state_of_all_slots_is_left_free() -> None:
    gib = 1 << 30
    without = ContextFacts(weights=gib, trained=1 << 17, token=32_768)
    fixed = ContextFacts(weights=gib, trained=1 << 17, token=32_768, fixed=gib // 4)
    less, more = (chosen_context(one, 8 * gib, 4).tokens for one in (fixed, without))
    assert more - less == gib // 2 // (4 * 32_768) // 256 * 256
