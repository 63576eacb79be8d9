"""Turns the documents of a prompt into text: PDFs page by page, others as they are."""

import binascii
from base64 import b64decode
from collections.abc import Mapping, Sequence
from io import BytesIO

import anyio
from anyio import to_thread
from msgspec.structs import replace

from antiphon.core.blocks import rewrite_in_pieces, walk
from antiphon.core.citations.sources import Sources
from antiphon.core.documents import Content, Pages
from antiphon.core.errors import InvalidRequestError
from antiphon.core.prompt import Prompt
from antiphon.service.background import offload
from antiphon.wire.content import (
    Base64PdfSource,
    BlockParam,
    ContentSource,
    DocumentParam,
    ImageParam,
    PlainTextSource,
    SearchResultParam,
    TextParam,
    ToolReferenceParam,
)

MOST_PAGES = 100
# A PDF can be made to take for ever. No request holds a thread longer than this.
PATIENCE_S = 30.0


class UnreadablePdfError(Exception):
    """A PDF that cannot be read, or not in time. The message is for the caller of the API."""


async def read_documents(prompt: Prompt, size: int = 0) -> tuple[Prompt, Sources | None]:
    """Return the prompt with every document replaced by its text, and the sources to cite.

    `size` is that of the request's body in bytes: a large one is read in a thread.
    Without documents to cite, the sources are `None`. Raises `InvalidRequestError` with the path
    of an unreadable block.
    """
    if all(_is_plain(block) for turn in prompt.turns for block in turn.content):
        return prompt, None
    reading = _Reading(await _read_pdfs(prompt))
    read = await offload(size, rewrite_in_pieces, prompt, reading.read)
    return read, reading.sources if reading.sources.pieces else None


def _is_plain(block: BlockParam) -> bool:
    return isinstance(block, TextParam) and not block.citations


async def _read_pdfs(prompt: Prompt) -> dict[int, Pages]:
    """Read the PDFs of a prompt, one after the other; return their pages by the source's `id`."""
    read: dict[int, Pages] = {}
    paths = iter(prompt.pdf_paths)
    for turn in prompt.turns:
        for _, block in walk(turn.content):
            match block:
                case DocumentParam(source=Base64PdfSource(data=data) as source):
                    path = next(paths, "document")
                    try:
                        read[id(source)] = Pages(tuple(await _pages(data)))
                    except UnreadablePdfError as error:
                        raise InvalidRequestError(f"{path}: {error}") from error
    return read


class _Reading:
    """The documents of one prompt, read in its order."""

    def __init__(self, pdfs: Mapping[int, Pages]) -> None:
        self.sources = Sources()
        self._pdfs = pdfs

    def read(self, block: BlockParam, cuts: Sequence[int]) -> Sequence[Sequence[BlockParam]]:
        """Return the replacement of a block, in the pieces of `rewrite_in_pieces`."""
        match block:
            case DocumentParam(source=ContentSource(content=list(content))) if cuts or _has_image(
                content
            ):
                return self.sources.document_pieces(block, content, cuts)
            case SearchResultParam(content=content) if cuts or _has_image(content):
                return self.sources.search_result_pieces(block, cuts)
        return ((self._read_whole(block),),)

    def _read_whole(self, block: BlockParam) -> BlockParam:
        match block:
            case DocumentParam():
                return TextParam(text=self.sources.document(block, self._content(block)))
            case SearchResultParam():
                return TextParam(text=self.sources.search_result(block))
            case ToolReferenceParam(tool_name=name):
                return TextParam(text=f"Tool: {name}")
            case TextParam(citations=[_, *_]):
                # The model gets only the text of an earlier answer, without citations.
                return replace(block, citations=None)
        return block

    def _content(self, document: DocumentParam) -> Content:
        match document.source:
            case PlainTextSource(data=text):
                return text
            case ContentSource(content=str() as text):
                return [TextParam(text=text)]
            case ContentSource(content=list() as blocks):
                return blocks
            case Base64PdfSource() as source:
                return self._pdfs[id(source)]
            case source:
                kind = type(source).__struct_config__.tag
                raise InvalidRequestError(
                    f"document: sources of type {kind!r} are not allowed here"
                )


def _has_image(blocks: Sequence[BlockParam]) -> bool:
    return any(isinstance(block, ImageParam) for block in blocks)


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
