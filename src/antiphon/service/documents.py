"""Reads documents before a model does: PDFs page by page, all else as the text that it is."""

import binascii
from base64 import b64decode
from collections.abc import Sequence
from io import BytesIO

import anyio
from anyio import to_thread
from msgspec.structs import replace

from antiphon.core.documents import (
    document_blocks,
    document_text,
    pages_text,
    search_result_blocks,
)
from antiphon.core.errors import InvalidRequestError
from antiphon.core.generation import Prompt, Turn
from antiphon.wire.content import (
    Base64PdfSource,
    ContentParam,
    ContentSource,
    DocumentParam,
    PlainTextSource,
    SearchResultParam,
    TextParam,
    ToolResultParam,
)

MOST_PAGES = 100
# A PDF can be made to take for ever; whoever sends one does not get a thread for longer.
PATIENCE_S = 30.0


async def read_documents(prompt: Prompt) -> Prompt:
    """Return the prompt with the text of every document in the place of its block.

    Raises `InvalidRequestError` with the block's path for what cannot be read.
    """
    if all(isinstance(block, TextParam) for turn in prompt.turns for block in turn.content):
        return prompt
    turns = [Turn(turn.role, await _read_all(turn.content)) for turn in prompt.turns]
    return replace(prompt, turns=tuple(turns))


async def _read_all(blocks: Sequence[ContentParam]) -> tuple[ContentParam, ...]:
    return tuple([read for block in blocks for read in await _read(block)])


async def _read(block: ContentParam) -> Sequence[ContentParam]:
    match block:
        case DocumentParam():
            return await _read_document(block)
        case SearchResultParam():
            return search_result_blocks(block)
        case ToolResultParam(content=list() as content):
            return [replace(block, content=list(await _read_all(content)))]
        case _:
            return [block]


async def _read_document(document: DocumentParam) -> Sequence[ContentParam]:
    match document.source:
        case PlainTextSource(data=text) | ContentSource(content=str() as text):
            return [TextParam(text=document_text(document, text))]
        case ContentSource(content=list() as content):
            return document_blocks(document, content)
        case Base64PdfSource(data=data):
            return [TextParam(text=document_text(document, pages_text(await _pages(data))))]
        case source:
            kind = type(source).__struct_config__.tag
            raise InvalidRequestError(f"document: sources of type {kind!r} are not allowed here")


async def _pages(data: str) -> list[str]:
    try:
        with anyio.fail_after(PATIENCE_S):
            return await to_thread.run_sync(read_pdf, data, abandon_on_cancel=True)
    except TimeoutError as error:
        raise InvalidRequestError("document: the PDF takes too long to read") from error


def read_pdf(data: str) -> list[str]:
    """Return the text of each page of a base64 PDF. Raises `InvalidRequestError`."""
    # pypdf takes a while to import, and most requests have no document.
    from pypdf import PdfReader  # noqa: PLC0415
    from pypdf.errors import PyPdfError  # noqa: PLC0415

    try:
        reader = PdfReader(BytesIO(b64decode(data, validate=True)))
        if len(reader.pages) > MOST_PAGES:
            raise InvalidRequestError(f"A maximum of {MOST_PAGES} PDF pages may be provided.")
        return [page.extract_text().strip() for page in reader.pages]
    except binascii.Error as error:
        raise InvalidRequestError("document: the data is not base64") from error
    except (PyPdfError, ValueError, TypeError, LookupError, AttributeError) as error:
        # A broken PDF breaks pypdf in many ways.
        raise InvalidRequestError("document: Could not process PDF") from error
