"""The files of a tokenizer: where they are, and what is said of those that are not."""

import json
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

from antiphon.engines.base import EngineStartError
from antiphon.engines.token_server.model_files import folder_of, read_files
from support.hf_folder import write_folder


def test_template_and_tokens_are_read(tmp_path: Path) -> None:
    files = read_files("m", write_folder(tmp_path, chat_template="{{ 1 }}"))
    assert (files.template, files.tool_template) == ("{{ 1 }}", "")
    assert (files.bos, files.eos) == ("<|endoftext|>", "<|im_end|>")


def test_file_of_a_template_goes_before_the_configuration(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, chat_template="{{ 1 }}")
    (folder / "chat_template.jinja").write_text("{{ 2 }}")
    (folder / "additional_chat_templates").mkdir()
    (folder / "additional_chat_templates" / "tool_use.jinja").write_text("{{ 3 }}")
    files = read_files("m", folder)
    assert (files.template, files.tool_template) == ("{{ 2 }}", "{{ 3 }}")


def test_templates_may_have_names(tmp_path: Path) -> None:
    named = [{"name": "default", "template": "a"}, {"name": "tool_use", "template": "b"}, {}, 1]
    files = read_files("m", write_folder(tmp_path, chat_template=named, bos_token=None))
    assert (files.template, files.tool_template, files.bos) == ("a", "b", "")


def test_model_may_have_a_tokenizer_alone(tmp_path: Path) -> None:
    folder = write_folder(tmp_path)
    (folder / "tokenizer_config.json").unlink()
    files = read_files("m", folder)
    assert files.tokenizer
    assert not files.template


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("tokenizer.json", None, "has no tokenizer.json"),
        ("tokenizer_config.json", "[", "cannot be read"),
    ],
)
def test_missing_and_broken_files_are_told(
    tmp_path: Path, name: str, content: str | None, said: str
) -> None:
    folder = write_folder(tmp_path)
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(content)
    with pytest.raises(EngineStartError, match=said):
        read_files("m", folder)


def test_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    folder = write_folder(tmp_path)
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer.json").mkdir()
    with pytest.raises(EngineStartError, match="cannot be read"):
        read_files("m", folder)


def test_place_that_is_no_folder_and_no_name_is_told(tmp_path: Path) -> None:
    with pytest.raises(EngineStartError, match="is no folder here"):
        folder_of("m", str(tmp_path / "missing"))


def test_folder_is_used_where_it_is(tmp_path: Path) -> None:
    assert folder_of("m", str(tmp_path)) == tmp_path


def test_name_on_the_hub_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def fetched(repository: str, **how: Any) -> str:
        asked.append((repository, how["revision"], how["cache_dir"]))
        assert "tokenizer.json" in how["allow_patterns"]
        assert not any("safetensors" in one for one in how["allow_patterns"])
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetched)
    assert folder_of("m", "Qwen/Qwen3-8B", tmp_path / "cache") == tmp_path
    folder_of("m", "Qwen/Qwen3-8B@main")
    assert asked == [
        ("Qwen/Qwen3-8B", None, tmp_path / "cache"),
        ("Qwen/Qwen3-8B", "main", None),
    ]


def test_hub_that_is_away_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> str:
        raise OSError("no route to huggingface.co")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fails)
    with pytest.raises(EngineStartError, match="cannot be fetched: no route") as caught:
        folder_of("m", "Qwen/Qwen3-8B")
    assert "Set `tokenizer` to a folder" in str(caught.value)
    assert json.dumps(str(tmp_path)) not in str(caught.value)
