from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from antiphon.engines.base import EngineConfig
from antiphon.engines.llama.engine import LlamaEngine, open_llama


@pytest.fixture(scope="session")
def small() -> dict[str, int]:
    return {"context": 1024, "slots": 4, "threads": 2}


@pytest.fixture(scope="session")
async def engine(
    anyio_backend: str,  # noqa: ARG001 - tells anyio which loop this lives in
    default_model: Path,
    small: dict[str, int],
) -> AsyncIterator[LlamaEngine]:
    engine = await open_llama(EngineConfig("smollm2", default_model, small))
    yield engine
    await engine.aclose()


@pytest.fixture(scope="session")
async def seeing(
    anyio_backend: str,  # noqa: ARG001 - tells anyio which loop this lives in
    default_model: Path,
    projector: Path,
) -> AsyncIterator[LlamaEngine]:
    """The same model with a projector, which lets it see."""
    options = {"context": 512, "slots": 2, "threads": 2, "mmproj": str(projector)}
    engine = await open_llama(EngineConfig("smollm2", default_model, options))
    yield engine
    await engine.aclose()
