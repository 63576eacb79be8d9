"""The vocabulary of a tiny model, and an SGLang that has it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.simulated_sglang import SimulatedSglang
from support.simulated_vllm import running
from support.tiny_vocabulary import folder, vocabulary

__all__ = ["folder", "vocabulary"]


@pytest.fixture
async def server(folder: Path) -> AsyncIterator[SimulatedSglang]:
    async with running(SimulatedSglang(folder)) as server:
        yield server
