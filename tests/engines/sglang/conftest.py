"""The vocabulary of a tiny model, and an SGLang that has it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from antiphon.engines.token_server.vocabulary import Vocabulary, open_vocabulary
from support.hf_folder import write_folder
from support.simulated_sglang import SimulatedSglang
from support.simulated_vllm import running


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("model") / "hf")


@pytest.fixture(scope="session")
def vocabulary(folder: Path) -> Vocabulary:
    return open_vocabulary("m", (folder / "tokenizer.json").read_bytes())


@pytest.fixture
async def server(folder: Path) -> AsyncIterator[SimulatedSglang]:
    async with running(SimulatedSglang(folder)) as server:
        yield server
