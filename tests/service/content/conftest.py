from collections.abc import AsyncGenerator

import pytest

from antiphon.service.content.pdf_reader import PdfReader


@pytest.fixture(scope="module")
async def pdf_reader(anyio_backend: str) -> AsyncGenerator[PdfReader]:  # noqa: ARG001 - its loop
    """A reader for all tests of a module: to start a child takes longer than most of them."""
    reader = PdfReader()
    yield reader
    await reader.aclose()
