"""Which model takes over from the default one."""

from pathlib import Path

from antiphon.cli.model_files import users_of_files
from antiphon.cli.successor import all_served, successor_of
from antiphon.settings import DEFAULT_MODEL_ID, Settings
from antiphon.weights.catalogue import Machine, read_catalogue
from antiphon.weights.hub_names import HubSpec
from antiphon.weights.pull import open_model_store
from antiphon.weights.source import FetchedFile

GIB = 1 << 30


def settings(tmp_path: Path, model: str = "auto") -> Settings:
    return Settings.load({"model": model, "data_dir": tmp_path}, environ={})


def chosen(tmp_path: Path, memory: int) -> str | None:
    found = successor_of(settings(tmp_path), Machine(memory))
    return None if found is None else found.id


def test_model_that_is_recommended_for_the_machine_takes_over(tmp_path: Path) -> None:
    found = successor_of(settings(tmp_path), Machine(5 * GIB))
    assert found is not None
    entry = next(one for one in read_catalogue() if one.name == found.id)
    assert (found.source, entry.is_toy) == (entry.model, False)
    assert chosen(tmp_path, 24 * GIB) != found.id
    assert chosen(tmp_path, GIB) is None


def test_model_that_is_here_goes_before_a_better_one(tmp_path: Path) -> None:
    small, better = chosen(tmp_path, 5 * GIB), chosen(tmp_path, 24 * GIB)
    spec = HubSpec("unsloth", "Qwen3.5-4B-GGUF", "Qwen3.5-4B-Q4_K_M.gguf")
    assert small == "qwen3.5-4b" != better
    store = open_model_store(tmp_path)
    folder = store.folder(spec)
    folder.mkdir(parents=True)
    partial = folder / f"{spec.file}.partial"
    partial.write_bytes(b"GGUF1234")
    fetched = FetchedFile(partial, spec.file)
    store.keep(spec, fetched, "a" * 64)
    assert chosen(tmp_path, 24 * GIB) == small
    # It has to fit all the same.
    assert chosen(tmp_path, GIB) is None


def test_model_that_is_named_takes_over_on_every_machine(tmp_path: Path) -> None:
    found = successor_of(settings(tmp_path, "auto:qwen3.5-4b"), Machine(1))
    assert found is not None
    assert (found.source, found.id) == ("qwen3.5-4b", "qwen3.5-4b")


def test_other_models_are_served_alone(tmp_path: Path) -> None:
    assert successor_of(settings(tmp_path, "./large.gguf")) is None
    assert [one.id for one in all_served(settings(tmp_path, "./large.gguf"))] == ["large"]
    both = [one.id for one in all_served(settings(tmp_path, "auto:./large.gguf"))]
    assert both == [DEFAULT_MODEL_ID, "large"]


def test_file_of_the_model_that_takes_over_has_a_user(tmp_path: Path) -> None:
    """So that `antiphon models rm` says whose it is."""
    file = tmp_path / "large.gguf"
    file.write_bytes(b"GGUF1234")
    assert users_of_files(settings(tmp_path, f"auto:{file}")) == {file: ("large",)}
