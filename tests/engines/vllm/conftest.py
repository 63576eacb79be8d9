"""The vocabulary of a tiny model, and a vLLM that has it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.simulated_vllm import SimulatedVllm, running
from support.tiny_vocabulary import folder, vocabulary

__all__ = ["folder", "vocabulary"]


@pytest.fixture
async def server(folder: Path) -> AsyncIterator[SimulatedVllm]:
    async with running(SimulatedVllm(folder)) as server:
        yield server
