"""The sources of an answer: the documents of one request, cut into pieces with numbers.

The pieces are numbered from 1 over the whole request, and each number stands behind its piece, in
the form in which the model is asked to cite. So a model that just copies a sentence cites it.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import groupby
from typing import Final, TypeAlias

import msgspec

from antiphon.core.citations.marks import mark
from antiphon.core.citations.quotes import Quotes
from antiphon.core.citations.sentences import sentences
from antiphon.core.documents import (
    Block,
    Content,
    Pages,
    body_text,
    content_text,
    document_pieces,
    document_text,
    pages_text,
    search_result_pieces,
    search_result_text,
)
from antiphon.core.files import StoredPdfSource, StoredTextSource
from antiphon.core.server_tools.searched import SearchedParam
from antiphon.wire.citations import (
    CharLocation,
    Citation,
    ContentBlockLocation,
    PageLocation,
    SearchResultLocation,
    WebSearchResultLocation,
)
from antiphon.wire.content import (
    DocumentParam,
    SearchResultParam,
    TextParam,
)

INSTRUCTION: Final = (
    "Behind each piece of the sources stands its number in brackets. When you use a piece in your "
    "answer, write its number behind your sentence in the same way.\n\n"
)

LONGEST_WEB_CITATION: Final = 150
"""The characters that a citation of the web repeats."""

Citable: TypeAlias = DocumentParam | SearchResultParam

Locate: TypeAlias = Callable[[str, int, int], Citation]
"""Makes a citation from the cited text, and its start and end in the source text."""


class SourceText(msgspec.Struct, frozen=True, eq=False):
    """A text that pieces are cut out of: a plain text, a page or a block."""

    text: str
    locate: Locate

    def cite(self, start: int, end: int) -> Citation:
        return self.locate(self.text[start:end], start, end)


class CitablePiece(msgspec.Struct, frozen=True):
    """The section of a source text that one number cites."""

    source: SourceText
    start: int
    end: int

    @property
    def text(self) -> str:
        return self.source.text[self.start : self.end]


class Sources:
    """Reads the documents of a request, one after the other and in its order."""

    __slots__ = ("_documents", "_quoted", "_quotes", "_results", "pieces")

    def __init__(self) -> None:
        self.pieces: list[CitablePiece] = []
        self._documents = 0
        self._results = 0
        self._quotes: Quotes | None = None
        self._quoted = 0

    def quotes(self) -> Quotes:
        """Return what finds quotes of the pieces so far, made as far as it is not yet."""
        if self._quotes is None:
            self._quotes = Quotes(())
        # Tools of the server add sources while the answer is made.
        new, self._quoted = self.pieces[self._quoted :], len(self.pieces)
        if new:
            self._quotes.add(piece.text for piece in new)
        return self._quotes

    def document(self, document: DocumentParam, content: Content) -> str:
        """Return the text of the next document, with numbers if it may be cited."""
        index = self._documents
        self._documents += 1
        if not has_citations_enabled(document):
            return document_text(document, body_text(content))
        lead = self._lead()
        return lead + document_text(document, self._numbered(document, index, content))

    def document_pieces(
        self, document: DocumentParam, blocks: Sequence[Block], cuts: Sequence[int] = ()
    ) -> list[list[Block]]:
        """Return the next document as blocks, in pieces that end behind the blocks of `cuts`."""
        index = self._documents
        self._documents += 1
        if not has_citations_enabled(document):
            return document_pieces(document, blocks, "", cuts)
        lead = self._lead()
        numbered = self._blocks(blocks, lambda block: partial(_in_blocks, document, index, block))
        return document_pieces(document, numbered, lead, cuts)

    def search_result_pieces(
        self, result: SearchResultParam, cuts: Sequence[int] = ()
    ) -> list[list[Block]]:
        """Return the next search result as blocks, in pieces as those of a document."""
        index = self._results
        self._results += 1
        if not has_citations_enabled(result):
            return search_result_pieces(result, result.content, "", cuts)
        lead = self._lead()
        numbered = self._blocks(
            result.content, lambda block: partial(_in_result, result, index, block)
        )
        return search_result_pieces(result, numbered, lead, cuts)

    def search_result(self, result: SearchResultParam) -> str:
        """Return the text of the next search result, with numbers if it may be cited."""
        index = self._results
        self._results += 1
        if not has_citations_enabled(result):
            return search_result_text(result, content_text(result.content))
        lead = self._lead()
        blocks = self._blocks(
            result.content, lambda block: partial(_in_result, result, index, block)
        )
        return lead + search_result_text(result, content_text(blocks))

    def cite(self, numbers: Iterable[int]) -> tuple[Citation, ...]:
        """Return the citations of these pieces; numbers of no piece are ignored."""
        known = sorted({number for number in numbers if 0 < number <= len(self.pieces)})
        found = [(number - rank, self.pieces[number - 1]) for rank, number in enumerate(known)]
        # Adjacent pieces of one text become one citation.
        runs = groupby(found, key=lambda one: (one[0], one[1].source))
        return tuple(_together([piece for _, piece in run]) for _, run in runs)

    def _lead(self) -> str:
        """Return the instruction to cite, before the first piece only: there it stays cached."""
        return "" if self.pieces else INSTRUCTION

    def _numbered(self, document: DocumentParam, index: int, content: Content) -> str:
        match content:
            case str():
                return self._cut(content, partial(_in_text, document, index))
            case Pages(texts):
                return pages_text(
                    [
                        text and self._cut(text, partial(_in_pages, document, index, number))
                        for number, text in enumerate(texts, 1)
                    ]
                )
            case _:
                return content_text(
                    self._blocks(content, lambda block: partial(_in_blocks, document, index, block))
                )

    def _cut(self, text: str, locate: Locate) -> str:
        """Return the text with a number behind each sentence."""
        source = SourceText(text, locate)
        written, done = [], 0
        for start, end in sentences(text):
            written += [text[done:end], self._mark(CitablePiece(source, start, end))]
            done = end
        return "".join([*written, text[done:]])

    def _blocks(self, blocks: Sequence[Block], located: Callable[[int], Locate]) -> list[Block]:
        """Return the blocks with a number behind each text; images have none, but count."""
        written: list[Block] = []
        for index, block in enumerate(blocks):
            if isinstance(block, TextParam):
                whole = CitablePiece(SourceText(block.text, located(index)), 0, len(block.text))
                number = self._mark(whole) if block.text.strip() else ""
                written.append(TextParam(text=block.text + number))
            else:
                written.append(block)
        return written

    def _mark(self, piece: CitablePiece) -> str:
        self.pieces.append(piece)
        return mark(len(self.pieces))


def has_citations_enabled(block: Citable) -> bool:
    """Return whether the caller has enabled citations of this block."""
    return block.citations is not None and block.citations.enabled


def _together(pieces: Sequence[CitablePiece]) -> Citation:
    return pieces[0].source.cite(pieces[0].start, pieces[-1].end)


def _in_text(document: DocumentParam, index: int, cited: str, start: int, end: int) -> Citation:
    return CharLocation(
        cited_text=cited,
        document_index=index,
        document_title=document.title,
        start_char_index=start,
        end_char_index=end,
        file_id=_file(document),
    )


def _in_pages(document: DocumentParam, index: int, number: int, cited: str, *_: int) -> Citation:
    return PageLocation(
        cited_text=cited,
        document_index=index,
        document_title=document.title,
        start_page_number=number,
        end_page_number=number + 1,
        file_id=_file(document),
    )


def _in_blocks(document: DocumentParam, index: int, block: int, cited: str, *_: int) -> Citation:
    return ContentBlockLocation(
        cited_text=cited,
        document_index=index,
        document_title=document.title,
        start_block_index=block,
        end_block_index=block + 1,
        file_id=_file(document),
    )


def _in_result(result: SearchResultParam, index: int, block: int, cited: str, *_: int) -> Citation:
    if isinstance(result, SearchedParam):
        return WebSearchResultLocation(
            cited_text=cited[:LONGEST_WEB_CITATION],
            url=result.source,
            title=result.title,
            encrypted_index=result.index,
        )
    return SearchResultLocation(
        cited_text=cited,
        source=result.source,
        title=result.title,
        search_result_index=index,
        start_block_index=block,
        end_block_index=block + 1,
    )


def _file(document: DocumentParam) -> str | None:
    match document.source:
        case StoredPdfSource(file_id=file) | StoredTextSource(file_id=file):
            return file
    return None
