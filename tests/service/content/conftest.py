from collections.abc import AsyncGenerator

import pytest

from antiphon.service.content.file_reader import FileReader


@pytest.fixture(scope="module")
async def file_reader(anyio_backend: str) -> AsyncGenerator[FileReader]:  # noqa: ARG001 - its loop
    """A reader for all tests of a module: to start a child takes longer than most of them."""
    reader = FileReader()
    yield reader
    await reader.aclose()
