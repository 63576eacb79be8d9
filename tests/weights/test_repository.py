from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.weights.hub_names import RepositorySpec
from antiphon.weights.repository import (
    DEFAULT_ORDER,
    ListedFile,
    ListedModel,
    choose,
    models_of,
    short_names,
)
from antiphon.weights.source import PullError
from antiphon.weights.spec import parse_spec

REPO = RepositorySpec("o", "r")


def listing(*names: str) -> tuple[ListedModel, ...]:
    return models_of(ListedFile(name, 1000 * n) for n, name in enumerate(names, 1))


def wanting(tag: str) -> RepositorySpec:
    return RepositorySpec("o", "r", tag)


@pytest.mark.parametrize(
    ("tag", "names", "chosen"),
    [
        (None, ["only-Q8_0.gguf", "mmproj-F16.gguf", "imatrix.gguf"], "only-Q8_0.gguf"),
        (None, ["m-Q8_0.gguf", "m-Q4_K_M.gguf", "m-Q4_0.gguf"], "m-Q4_K_M.gguf"),
        (None, ["m-Q8_0.gguf", "m-Q4_0.gguf", "m-F16.gguf"], "m-Q4_0.gguf"),
        (None, ["m-UD-Q4_K_XL.gguf", "m-Q8_0.gguf"], "m-UD-Q4_K_XL.gguf"),
        ("Q8_0", ["m-Q8_0.gguf", "m-Q4_K_M.gguf"], "m-Q8_0.gguf"),
        ("q4_k_m", ["m-UD-Q4_K_M.gguf", "m-Q4_K_M.gguf"], "m-Q4_K_M.gguf"),
        ("Q4_K_M", ["m-UD-Q4_K_M.gguf", "m-Q8_0.gguf"], "m-UD-Q4_K_M.gguf"),
        ("7b", ["m-7b-Q4_K_M.gguf", "m-3b-Q4_K_M.gguf"], "m-7b-Q4_K_M.gguf"),
    ],
)
def test_model_that_is_meant_is_chosen(tag: str | None, names: list[str], chosen: str) -> None:
    assert choose(RepositorySpec("o", "r", tag), listing(*names)).path == chosen


def test_several_that_may_be_meant_are_listed_with_their_sizes() -> None:
    with pytest.raises(PullError) as refused:
        choose(wanting("Q4_K_M"), listing("a-Q4_K_M.gguf", "b-Q4_K_M.gguf", "b-Q8_0.gguf"))
    assert str(refused.value) == (
        "hf:o/r:Q4_K_M may be several models. Choose one of\n"
        "     1.0 kB  hf:o/r/a-Q4_K_M.gguf\n"
        "     2.0 kB  hf:o/r/b-Q4_K_M.gguf"
    )


def test_missing_quantization_is_told_with_those_that_are_there() -> None:
    with pytest.raises(PullError) as refused:
        choose(wanting("Q5_K_M"), listing("a-Q4_K_M.gguf", "b-Q8_0.gguf"))
    assert str(refused.value) == (
        "o/r has no model Q5_K_M. Choose one of\n"
        "     1.0 kB  hf:o/r:Q4_K_M\n"
        "     2.0 kB  hf:o/r:Q8_0"
    )


def test_long_list_ends_with_the_page_that_has_all() -> None:
    names = [f"model-{n}.gguf" for n in range(40)]
    with pytest.raises(PullError) as refused:
        choose(REPO, listing(*names))
    lines = str(refused.value).splitlines()
    assert lines[-1] == "  and 16 more: https://huggingface.co/o/r/tree/main"
    assert len(lines) == 26


def test_repository_without_models_is_told_where_they_may_be() -> None:
    with pytest.raises(PullError, match=r"no \.gguf file of a model.*r-GGUF"):
        choose(REPO, listing("model.safetensors"))


def test_parts_are_one_model_with_the_size_of_all() -> None:
    (model,) = models_of(
        [ListedFile(f"Q4/m-Q4_0-0000{n}-of-00003.gguf", 10 * n) for n in (1, 2, 3)]
    )
    assert model == ListedModel("Q4/m-Q4_0-00001-of-00003.gguf", 60, "Q4_0")


def test_model_that_lacks_a_part_is_refused_with_its_name() -> None:
    parts = models_of([ListedFile(f"m-0000{n}-of-00003.gguf", 10) for n in (1, 3)])
    with pytest.raises(PullError, match=r"o/r lacks a part of the model: m-00002-of-00003\.gguf"):
        choose(REPO, parts)


def test_folder_of_a_page_leaves_out_the_rest() -> None:
    files = [ListedFile("Q4/m-Q4_K_M.gguf", 1), ListedFile("Q8/m-Q8_0.gguf", 1)]
    wanted = RepositorySpec("o", "r", folder="Q8")
    assert choose(wanted, models_of(files, "Q8")).path == "Q8/m-Q8_0.gguf"
    with pytest.raises(PullError, match="Q2/ of o/r has no"):
        choose(RepositorySpec("o", "r", folder="Q2"), models_of(files, "Q2"))


LABELS = st.lists(
    st.sampled_from([*DEFAULT_ORDER, "Q2_K", "IQ1_S"]), min_size=1, max_size=8, unique=True
)


@given(LABELS, st.sampled_from(["", "Q8/", "a b/"]))
def test_short_name_of_each_model_means_this_model(labels: list[str], folder: str) -> None:
    models = models_of(ListedFile(f"{folder}m-{label}.gguf", 1) for label in labels)
    names = short_names(REPO, models)
    for model in models:
        name = parse_spec(names[model.path])
        if isinstance(name, RepositorySpec):
            assert choose(name, models) == model
        else:
            assert name == REPO.file(model.path)


@given(LABELS)
def test_choice_without_a_tag_is_the_first_of_the_written_order(labels: list[str]) -> None:
    models = models_of(ListedFile(f"m-{label}.gguf", 1) for label in labels)
    known = [label for label in DEFAULT_ORDER if label in labels]
    if known or len(labels) == 1:
        assert choose(REPO, models).quantization == (known or labels)[0]
    else:
        with pytest.raises(PullError):
            choose(REPO, models)


def test_page_of_models_has_the_order() -> None:
    page = (Path(__file__).parents[2] / "docs/reference/models.md").read_text(encoding="utf-8")
    written = ", ".join(f"`{label}`" for label in DEFAULT_ORDER)
    assert f"the first of these that there is: {written}." in " ".join(page.split())
