"""Whether a model can be loaded a second time: what it takes, or why it cannot be."""

from pathlib import Path
from typing import Any

import pytest

from antiphon.engines.llama.beside import NotBesideError, needed_beside
from antiphon.engines.llama.memory import RESERVE
from antiphon.engines.llama.options import LlamaOptions
from engines.llama.test_memory import LLAMA, gguf

GIB = 1 << 30


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return file_of(tmp_path, LLAMA)


def file_of(folder: Path, facts: dict[str, Any]) -> Path:
    path = folder / "m.gguf"
    path.write_bytes(gguf(facts))
    return path


def test_model_takes_its_file_its_context_and_a_reserve(weights: Path) -> None:
    options = LlamaOptions(context=1024, slots=3)
    needed = needed_beside("m", options, weights, GIB)
    assert needed == weights.stat().st_size + 3 * 1024 * 32 * 8 * (128 + 128) * 2 + RESERVE


def test_context_that_memory_does_not_bound_is_the_one_that_it_would_choose(weights: Path) -> None:
    assert needed_beside("m", LlamaOptions(slots=1), weights, 1 << 50) > RESERVE
    with pytest.raises(NotBesideError, match="the context of m would be smaller"):
        needed_beside("m", LlamaOptions(slots=1), weights, RESERVE)


def test_slots_of_a_server_elsewhere_have_one_owner() -> None:
    elsewhere = LlamaOptions(url="http://127.0.0.1:1")
    with pytest.raises(NotBesideError, match="have one owner"):
        needed_beside("m", elsewhere, None, GIB)


def test_context_of_unknown_size_is_no_second_one(tmp_path: Path) -> None:
    odd = file_of(tmp_path, {"general.architecture": "unheard-of"})
    with pytest.raises(NotBesideError, match="not known what the context of m takes"):
        needed_beside("m", LlamaOptions(context=1024), odd, GIB)
