"""Turns the documents of a prompt into text: PDFs page by page, others as they are."""

from collections.abc import Mapping, Sequence
from itertools import chain, repeat

import msgspec
from msgspec.structs import replace

from antiphon.core.blocks import rewrite_in_pieces, walk
from antiphon.core.citations.sources import Sources
from antiphon.core.documents import Content, Pages
from antiphon.core.errors import InvalidRequestError
from antiphon.core.late_tools import NAMED, definition_in, named_text
from antiphon.core.prompt import Prompt
from antiphon.service.background import offload
from antiphon.service.content.file_reader import FileReader, FileRefusedError
from antiphon.wire.content import (
    Base64PdfSource,
    BlockParam,
    ContentSource,
    DocumentParam,
    ImageParam,
    PlainTextSource,
    SearchResultParam,
    TextParam,
    ToolAdditionParam,
    ToolChangeParam,
    ToolReferenceParam,
    ToolRemovalParam,
)


class ReadPrompt(msgspec.Struct, frozen=True, eq=False):
    """A prompt whose documents are text.

    `sources` are the documents to cite, if there are any, and `counted` all that were read: the
    number of one that is read later follows theirs. `textless_pages` counts the pages of PDFs that
    have no text or cannot be read.
    """

    prompt: Prompt
    sources: Sources | None = None
    textless_pages: int = 0
    counted: Sources | None = None


async def read_documents(
    prompt: Prompt,
    file_reader: FileReader,
    size: int = 0,
    sources: Sources | None = None,
) -> ReadPrompt:
    """Return the prompt with every document replaced by its text.

    `size` is that of the request's body in bytes: a large one is read in a thread. `sources` are
    those that were read before, to which these are added. Raises `InvalidRequestError` with the
    path of an unreadable block, and `OverloadedError` if too many other requests have PDFs.
    """
    if await offload(size, _are_plain, prompt):
        return ReadPrompt(prompt)
    pdfs = await _read_pdfs(prompt, file_reader)
    reading = _Reading(pdfs, prompt, sources)
    read = await offload(size, rewrite_in_pieces, prompt, reading.read)
    sources = reading.sources if reading.sources.pieces else None
    textless = sum(not text for pages in pdfs.values() for text in pages.texts)
    return ReadPrompt(read, sources, textless, reading.sources)


def _are_plain(prompt: Prompt) -> bool:
    for turn in prompt.turns:
        for block in turn.content:
            if not isinstance(block, TextParam) or block.citations:
                return False
    return True


async def _read_pdfs(prompt: Prompt, file_reader: FileReader) -> dict[int, Pages]:
    """Read the PDFs of a prompt, one after the other; return their pages by the source's `id`."""
    sources = [
        block.source
        for turn in prompt.turns
        for _, block in walk(turn.content)
        if isinstance(block, DocumentParam) and isinstance(block.source, Base64PdfSource)
    ]
    read: dict[int, Pages] = {}
    if not sources:
        return read
    paths = chain(prompt.pdf_paths, repeat("document"))
    async with file_reader.borrow() as child:
        for source, path in zip(sources, paths, strict=False):
            try:
                read[id(source)] = Pages(await child.text(source.data))
            except FileRefusedError as error:
                raise InvalidRequestError(f"{path}: {error}") from error
    return read


class _Reading:
    """The documents of one prompt, read in its order."""

    def __init__(self, pdfs: Mapping[int, Pages], prompt: Prompt, sources: Sources | None) -> None:
        self.sources = sources or Sources()
        self._pdfs = pdfs
        # The engine loads tools itself: blocks about those that come late are left to it.
        self._loads = prompt.offered is not None
        self._late_tools = {tool.name for tool in prompt.tools if tool.deferred}

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
            case ToolReferenceParam(tool_name=name) if name not in self._late_tools:
                return TextParam(text=NAMED.format(name=name))
            case ToolAdditionParam() | ToolRemovalParam():
                return self._change(block)
            case TextParam(citations=[_, *_]):
                # The model gets only the text of an earlier answer, without citations.
                return replace(block, citations=None)
        return block

    def _change(self, block: ToolChangeParam) -> BlockParam:
        if not self._loads:
            return TextParam(text=named_text(block))
        definition = definition_in(block)
        if definition is not None and definition.defer_loading:
            self._late_tools.add(definition.name)
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
