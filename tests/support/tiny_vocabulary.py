"""Fixtures of the vocabulary of a tiny model, and of the folder that it is in."""

from pathlib import Path

import pytest

from antiphon.engines.token_server.vocabulary import Vocabulary, open_vocabulary
from support.hf_folder import write_folder


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("model") / "hf")


@pytest.fixture(scope="session")
def vocabulary(folder: Path) -> Vocabulary:
    return open_vocabulary("m", (folder / "tokenizer.json").read_bytes())
