"""Files that llama.cpp loads: several of one model, and those without a suffix."""

import os
from pathlib import Path

import pytest

from antiphon.engines.llama.memory import model_size
from antiphon.engines.llama.model_file import read_model_file
from antiphon.engines.llama.snapshots.identity import file_identity
from antiphon.engines.llama.split_files import files_of, size_of_files
from antiphon.weights.elsewhere import OtherStores, find_elsewhere
from antiphon.weights.pull import check_local
from antiphon.weights.spec import ShortName
from support.caching import answered, asked, opened, text
from support.other_stores import ollama_model
from support.tiny_models import Kind, write_model

pytestmark = pytest.mark.anyio


def split_model(tmp_path: Path) -> Path:
    return write_model(Kind.ATTENTION, tmp_path / "tiny.gguf", tensors_of_part=8)


async def test_model_in_several_files_answers_as_in_one(tmp_path: Path) -> None:
    first = split_model(tmp_path)
    parts = files_of(first)
    assert len(parts) > 2
    whole = write_model(Kind.ATTENTION, tmp_path / "whole.gguf")
    prompt = asked(text("split", 30), "?")
    async with opened(whole, tmp_path / "a") as engine:
        expected = await answered(engine, prompt)
    # Any part names the model.
    async with opened(check_local(parts[-1], "tiny"), tmp_path / "b") as engine:
        assert await answered(engine, prompt) == expected


def test_size_is_that_of_all_files(tmp_path: Path) -> None:
    first = split_model(tmp_path)
    size = sum(file.stat().st_size for file in tmp_path.glob("tiny-*.gguf"))
    assert size_of_files(first) == model_size(first).weights == size
    assert read_model_file(first).bytes == size


def test_change_of_a_later_part_is_another_model(tmp_path: Path) -> None:
    first = split_model(tmp_path)
    was = file_identity(first)
    assert file_identity(first) == was
    last = files_of(first)[-1]
    os.utime(last, ns=(0, 0))
    assert file_identity(first) != was
    last.unlink()
    with pytest.raises(OSError, match="No such file"):
        file_identity(first)


async def test_blob_of_ollama_is_loaded_where_it_is(tmp_path: Path) -> None:
    content = write_model(Kind.ATTENTION, tmp_path / "tiny.gguf").read_bytes()
    blob = ollama_model(tmp_path / "ollama", "tiny", "1b", content)
    found = find_elsewhere(ShortName("tiny", "1b"), OtherStores((tmp_path / "ollama",)))
    assert found is not None
    assert found.path == blob
    async with opened(found.path, tmp_path / "state") as engine:
        assert await answered(engine, asked(text("blob", 30), "?"))
