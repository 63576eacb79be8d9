"""What a model's file says of its size, its memory and its templates."""

import io
from pathlib import Path
from typing import Any

import pytest

from antiphon.engines.llama.gguf_header import HeaderError, read_header
from antiphon.engines.llama.model_file import KvCache, ModelFile, model_file, read_model_file
from support.gguf_bytes import header, model
from support.tiny_models import WIDTH, WINDOW, Kind, write_model


def facts_of(facts: dict[str, Any]) -> ModelFile:
    return model_file(read_header(io.BytesIO(header(facts))), None)


def test_facts_of_a_file_are_named(tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    path.write_bytes(model("A template."))
    found = read_model_file(path)
    assert (found.name, found.architecture, found.quantization) == ("Tiny", "llama", "Q4_K_M")
    assert (found.bytes, found.parts, found.missing) == (path.stat().st_size, 1, 0)
    assert (found.vocabulary, found.context) == (4, 4096)
    assert (found.begin, found.end, dict(found.templates)) == (
        "<s>", "</s>", {"default": "A template."},
    )  # fmt: skip


def test_memory_of_a_model_whose_layers_see_all_is_exact(tmp_path: Path) -> None:
    found = read_model_file(write_model(Kind.ATTENTION, tmp_path / "tiny.gguf")).kv_cache
    assert found == KvCache(
        type="f16",
        layers=2,
        kv_heads=(2,),
        key_length=WIDTH // 2,
        value_length=WIDTH // 2,
        sliding_window=None,
        bytes_per_token=2 * 2 * WIDTH * 2,
        exact=True,
        growing=2 * 2 * WIDTH * 2,
    )


def test_memory_of_a_model_with_windows_is_the_most_that_it_can_be(tmp_path: Path) -> None:
    found = read_model_file(write_model(Kind.SLIDING_WINDOW, tmp_path / "tiny.gguf")).kv_cache
    assert (found.sliding_window, found.layers, found.exact) == (WINDOW, 6, False)
    assert found.bytes_per_token == 6 * 2 * WIDTH * 2


def test_recurrent_layers_have_no_keys(tmp_path: Path) -> None:
    found = read_model_file(write_model(Kind.RECURRENT, tmp_path / "tiny.gguf")).kv_cache
    assert (found.layers, found.kv_heads, found.exact) == (2, (2,), False)


def test_file_that_says_nothing_has_no_facts() -> None:
    found = facts_of({})
    assert (found.name, found.architecture, found.quantization, found.context) == (None,) * 4
    assert found.kv_cache.bytes_per_token is None
    assert (found.begin, found.end, dict(found.templates)) == ("", "", {})


@pytest.mark.parametrize("odd", ["text", -1, True, 1 << 31, 0.5], ids=str)
def test_figures_that_are_none_change_nothing(odd: Any) -> None:
    given = odd if odd != -1 else float("nan")
    found = facts_of(
        {
            "general.architecture": "llama",
            "llama.block_count": given,
            "llama.attention.head_count": given,
            "llama.embedding_length": given,
            "tokenizer.ggml.bos_token_id": given,
            "general.file_type": given,
        }
    )
    assert found.kv_cache.layers in {None, 1, 1_000}


def test_named_templates_are_listed_beside_the_usual_one() -> None:
    found = facts_of(
        {
            "tokenizer.chat_template": "usual",
            "tokenizer.chat_template.tool_use": "for tools",
            "tokenizer.chat_template.rag": "",
            "tokenizer.chat_templates": ["tool_use"],
        }
    )
    assert dict(found.templates) == {"default": "usual", "tool_use": "for tools"}


def test_sizes_of_all_parts_are_added(tmp_path: Path) -> None:
    first = tmp_path / "big-00001-of-00003.gguf"
    first.write_bytes(model("A template."))
    (tmp_path / "big-00003-of-00003.gguf").write_bytes(bytes(1000))
    found = read_model_file(first)
    assert (found.bytes, found.parts, found.missing) == (first.stat().st_size + 1000, 3, 1)


def test_number_of_parts_that_lies_is_not_looked_for(tmp_path: Path) -> None:
    path = tmp_path / "big-00001-of-99999.gguf"
    path.write_bytes(model("A template."))
    assert read_model_file(path).parts == 1


def test_later_part_is_refused() -> None:
    with pytest.raises(HeaderError, match="later part of a model"):
        facts_of({"split.no": 1})
    assert facts_of({"split.no": 0}).parts == 1
