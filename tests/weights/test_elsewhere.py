"""Models that other programs have on this machine."""

import os
from pathlib import Path

import pytest

from antiphon.weights.elsewhere import (
    OtherModel,
    OtherStores,
    find_elsewhere,
    models_elsewhere,
    other_stores,
)
from antiphon.weights.hub_names import HubSpec, RepositorySpec
from antiphon.weights.spec import ShortName, parse_spec
from support.other_stores import (
    COMMIT,
    GGUF,
    cached_model,
    ollama_model,
    stores_below,
    studio_model,
)

MODEL_LAYER = "application/vnd.ollama.image.model"


@pytest.fixture
def stores(tmp_path: Path) -> OtherStores:
    return stores_below(tmp_path)


def find(text: str, stores: OtherStores) -> OtherModel | None:
    name = parse_spec(text)
    assert isinstance(name, HubSpec | RepositorySpec | ShortName)
    return find_elsewhere(name, stores)


@pytest.mark.parametrize(
    ("model", "tag", "name"),
    [
        ("qwen3.5", "4b", "qwen3.5:4b"),
        ("qwen3.5", "latest", "qwen3.5"),
        ("registry.ollama.ai/someone/tuned", "q4", "someone/tuned:q4"),
        ("hf.co/o/r", "Q4_K_M", "hf:o/r:Q4_K_M"),
        ("hf.co/o/r", "latest", "hf:o/r"),
    ],
)
def test_model_of_ollama_is_found_by_its_name(
    tmp_path: Path, stores: OtherStores, model: str, tag: str, name: str
) -> None:
    blob = ollama_model(tmp_path / "ollama", model, tag)
    found = find(name, stores)
    assert found is not None
    assert (found.owner, found.path, found.size) == ("Ollama", blob, len(GGUF))


@pytest.mark.parametrize(
    "manifest",
    [
        "",
        "[]",
        '{"layers": 3}',
        '{"layers": []}',
        f'{{"layers": [{{"mediaType": "{MODEL_LAYER}", "digest": "sha256:../x"}}]}}',
    ],
)
def test_manifest_that_is_damaged_is_of_no_model(
    tmp_path: Path, stores: OtherStores, manifest: str
) -> None:
    ollama_model(tmp_path / "ollama")
    path = tmp_path / "ollama/manifests/registry.ollama.ai/library/qwen3.5/4b"
    path.write_text(manifest, encoding="utf-8")
    assert find("qwen3.5:4b", stores) is None
    assert models_elsewhere(stores) == []


def test_model_whose_blob_is_not_there_yet_is_not_found(
    tmp_path: Path, stores: OtherStores
) -> None:
    ollama_model(tmp_path / "ollama").unlink()
    assert find("qwen3.5:4b", stores) is None


def test_file_of_lm_studio_is_found_by_its_repository(tmp_path: Path, stores: OtherStores) -> None:
    path = studio_model(tmp_path / "studio")
    for name in ("hf:o/r/m-Q4_K_M.gguf", "hf:o/r/sub/m-Q4_K_M.gguf", "o/r:Q4_K_M", "hf:o/r"):
        found = find(name, stores)
        assert found is not None, name
        assert (found.owner, found.path) == ("LM Studio", path)
    assert find("o/r:Q8_0", stores) is None
    assert find("hf:o/r@v1/m-Q4_K_M.gguf", stores) is None


def test_file_of_the_hubs_cache_is_found_by_branch_and_commit(
    tmp_path: Path, stores: OtherStores
) -> None:
    path = cached_model(tmp_path / "hub", file="sub/m-Q4_K_M.gguf")
    for name in ("hf:o/r/sub/m-Q4_K_M.gguf", "hf:o/r:Q4_K_M", "hf:o/r/sub/", f"hf:o/r@{COMMIT}"):
        found = find(name, stores)
        assert found is not None, name
        assert (found.owner, found.path) == ("the hub's cache", path)
    assert find("hf:o/r@v1", stores) is None


def test_reference_that_leads_out_of_the_cache_is_not_followed(
    tmp_path: Path, stores: OtherStores
) -> None:
    cached_model(tmp_path / "hub")
    (tmp_path / "hub/models--o--r/refs/main").write_text("../../elsewhere", encoding="ascii")
    studio_model(tmp_path / "hub", "elsewhere/m-Q4_K_M.gguf")
    assert find("hf:o/r", stores) is None


def test_split_model_is_found_if_all_its_parts_are_there(
    tmp_path: Path, stores: OtherStores
) -> None:
    first = studio_model(tmp_path / "studio", "o/r/m-00001-of-00002.gguf")
    assert find("hf:o/r/m-00001-of-00002.gguf", stores) is None
    assert find("hf:o/r", stores) is None
    studio_model(tmp_path / "studio", "o/r/m-00002-of-00002.gguf")
    for name in ("hf:o/r/m-00002-of-00002.gguf", "hf:o/r"):
        found = find(name, stores)
        assert found is not None
        assert (found.path, found.size) == (first, 2 * len(GGUF))


def test_what_cannot_be_told_apart_here_is_left_to_the_hub(
    tmp_path: Path, stores: OtherStores
) -> None:
    for name in ("a", "b"):
        studio_model(tmp_path / "studio", f"o/r/{name}-Q4_K_M.gguf")
    assert find("hf:o/r", stores) is None


def test_every_listed_model_is_found_by_its_name(tmp_path: Path, stores: OtherStores) -> None:
    ollama_model(tmp_path / "ollama")
    ollama_model(tmp_path / "ollama", "hf.co/o/r", "Q8_0", GGUF + b"8")
    studio_model(tmp_path / "studio", "a/b/m-F16.gguf")
    studio_model(tmp_path / "studio", "a/b/mmproj-F16.gguf")
    cached_model(tmp_path / "hub", "c/d--e")
    listed = models_elsewhere(stores)
    assert [(one.owner, one.name) for one in listed] == [
        ("LM Studio", "hf:a/b/m-F16.gguf"),
        ("the hub's cache", "hf:c/d--e/m-Q4_K_M.gguf"),
        ("Ollama", "o/r:Q8_0"),
        ("Ollama", "qwen3.5:4b"),
    ]
    for one in listed:
        found = find(one.name, stores)
        assert found is not None
        assert found.path == one.path


def test_folders_that_do_not_exist_have_no_models(stores: OtherStores) -> None:
    assert models_elsewhere(stores) == []
    assert find("qwen3.5:4b", stores) is None


def test_variables_of_the_programs_say_where_their_models_are() -> None:
    home = Path("/home/me")
    found = other_stores({"HOME": "/home/me"})
    assert home / ".ollama/models" in found.ollama
    assert home / ".lmstudio/models" in found.lm_studio
    assert found.hub_cache == (home / ".cache/huggingface/hub",)
    assert other_stores({"HF_HOME": "/hf"}).hub_cache == (Path("/hf/hub"),)
    assert other_stores({"HF_HOME": "/hf", "HF_HUB_CACHE": "/c"}).hub_cache == (Path("/c"),)
    assert other_stores({"XDG_CACHE_HOME": "/x"}).hub_cache == (Path("/x/huggingface/hub"),)
    assert other_stores({"OLLAMA_MODELS": "/models"}).ollama == (Path("/models"),)


@pytest.mark.parametrize(
    "manifest",
    [
        b'{"layers": [{"mediaType": "\xff"}]}',
        b'{"more": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"layers": [{"size": ' + b"9" * 5000 + b"}]}",
    ],
    ids=["no UTF-8", "deep", "large number"],
)
def test_manifest_that_cannot_be_read_is_none(
    tmp_path: Path, stores: OtherStores, manifest: bytes
) -> None:
    path = tmp_path / "ollama/manifests/registry.ollama.ai/library/odd/4b"
    path.parent.mkdir(parents=True)
    path.write_bytes(manifest)
    assert (find("odd:4b", stores), models_elsewhere(stores)) == (None, [])


def test_manifest_that_is_no_file_is_not_waited_for(tmp_path: Path, stores: OtherStores) -> None:
    path = tmp_path / "ollama/manifests/registry.ollama.ai/library/odd/4b"
    path.parent.mkdir(parents=True)
    os.mkfifo(path)
    assert (find("odd:4b", stores), models_elsewhere(stores)) == (None, [])


@pytest.mark.parametrize("odd", ["\x1b[2J", "\n", "\u202e", "\udcff"])
def test_name_that_no_terminal_should_get_is_none(
    tmp_path: Path, stores: OtherStores, odd: str
) -> None:
    ollama_model(tmp_path / "ollama", "registry.ollama.ai/library/m", f"t{odd}")
    cached_model(tmp_path / "hub", f"o/r{odd}")
    studio_model(tmp_path / "studio", f"o/r{odd}/m.gguf")
    assert models_elsewhere(stores) == []
