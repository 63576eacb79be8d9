"""Reads documents before a model does: PDFs page by page, all else as the text that it is."""

import binascii
from base64 import b64decode
from collections.abc import Iterator, Sequence
from io import BytesIO

import anyio
from anyio import to_thread
from msgspec.structs import replace

from antiphon.core.citations.sources import Sources
from antiphon.core.documents import Content, Pages
from antiphon.core.errors import InvalidRequestError
from antiphon.core.prompt import Prompt, Turn
from antiphon.wire.content import (
    Base64PdfSource,
    ContentParam,
    ContentSource,
    DocumentParam,
    ImageParam,
    PlainTextSource,
    SearchResultParam,
    TextParam,
    ToolReferenceParam,
    ToolResultParam,
)

MOST_PAGES = 100
# A PDF can be made to take for ever; whoever sends one does not get a thread for longer.
PATIENCE_S = 30.0


class UnreadablePdfError(Exception):
    """A PDF that cannot be read, or not in time. The message is for the caller of the API."""


async def read_documents(prompt: Prompt) -> tuple[Prompt, Sources | None]:
    """Return the prompt with the text of every document in the place of its block.

    Beside it, the sources that the answer shall cite, if there are any. Raises
    `InvalidRequestError` with the block's path for what cannot be read.
    """
    if all(_is_plain(block) for turn in prompt.turns for block in turn.content):
        return prompt, None
    sources, paths = Sources(), iter(prompt.pdf_paths)
    turns = [
        Turn(turn.role, await _read_all(turn.content, sources, paths)) for turn in prompt.turns
    ]
    return replace(prompt, turns=tuple(turns)), sources if sources.pieces else None


def _is_plain(block: ContentParam) -> bool:
    return isinstance(block, TextParam) and not block.citations


async def _read_all(
    blocks: Sequence[ContentParam], sources: Sources, paths: Iterator[str]
) -> tuple[ContentParam, ...]:
    read: list[ContentParam] = []
    for block in blocks:
        match block:
            case DocumentParam(source=ContentSource(content=list(content))) if _has_image(content):
                read += sources.document_blocks(block, content)
            case SearchResultParam(content=content) if _has_image(content):
                read += sources.search_result_blocks(block)
            case _:
                read.append(await _read(block, sources, paths))
    return tuple(read)


def _has_image(blocks: Sequence[ContentParam]) -> bool:
    return any(isinstance(block, ImageParam) for block in blocks)


async def _read(block: ContentParam, sources: Sources, paths: Iterator[str]) -> ContentParam:
    match block:
        case DocumentParam():
            return TextParam(text=sources.document(block, await _content(block, paths)))
        case SearchResultParam():
            return TextParam(text=sources.search_result(block))
        case ToolReferenceParam(tool_name=name):
            return TextParam(text=f"Tool: {name}")
        case ToolResultParam(content=list() as content):
            return replace(block, content=list(await _read_all(content, sources, paths)))
        case TextParam(citations=[_, *_]):
            # What an earlier answer cited is for its reader; the model reads what it said.
            return replace(block, citations=None)
        case _:
            return block


async def _content(document: DocumentParam, paths: Iterator[str]) -> Content:
    match document.source:
        case PlainTextSource(data=text):
            return text
        case ContentSource(content=str() as text):
            return [TextParam(text=text)]
        case ContentSource(content=list() as blocks):
            return blocks
        case Base64PdfSource(data=data):
            path = next(paths, "document")
            try:
                return Pages(tuple(await _pages(data)))
            except UnreadablePdfError as error:
                raise InvalidRequestError(f"{path}: {error}") from error
        case source:
            kind = type(source).__struct_config__.tag
            raise InvalidRequestError(f"document: sources of type {kind!r} are not allowed here")


async def _pages(data: str) -> list[str]:
    try:
        with anyio.fail_after(PATIENCE_S):
            return await to_thread.run_sync(read_pdf, data, abandon_on_cancel=True)
    except TimeoutError as error:
        raise UnreadablePdfError("the PDF takes too long to read") from error


def read_pdf(data: str) -> list[str]:
    """Return the text of each page of a base64 PDF. Raises `UnreadablePdfError`."""
    # pypdf takes a while to import, and most requests have no document.
    from pypdf import PdfReader  # noqa: PLC0415
    from pypdf.errors import DependencyError, FileNotDecryptedError, PyPdfError  # noqa: PLC0415

    try:
        reader = PdfReader(BytesIO(b64decode(data, validate=True)))
        if len(reader.pages) > MOST_PAGES:
            raise UnreadablePdfError(f"A maximum of {MOST_PAGES} PDF pages may be provided.")
        return [page.extract_text().strip() for page in reader.pages]
    except binascii.Error as error:
        raise UnreadablePdfError("invalid base64 data") from error
    except (FileNotDecryptedError, DependencyError) as error:
        raise UnreadablePdfError("Could not process PDF: it is encrypted") from error
    except (PyPdfError, ValueError, TypeError, LookupError, AttributeError) as error:
        # A broken PDF breaks pypdf in many ways.
        raise UnreadablePdfError("Could not process PDF") from error
