"""Documents as text for a model, with their images beside it if the model reads images.

A document keeps its place among the blocks of its turn. Its title and the caller's context stand
in front of its content, as XML that models know. The same document is always the same text, so
that a cached prefix stays one.

A document made of blocks may become several: images stay blocks, and where a breakpoint of the
prompt cache lies inside of it, a block ends there. Blocks are joined by a newline wherever they
become one text, so the text is the same with and without the breakpoint.
"""

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from antiphon.core.blocks import BLOCK_SEPARATOR
from antiphon.core.server_tools.searched import SearchedParam
from antiphon.wire.content import DocumentParam, ImageParam, SearchResultParam, TextParam


class Pages(msgspec.Struct, frozen=True):
    """The content of a document that has pages: their texts, `None` for an unreadable page."""

    texts: tuple[str | None, ...]


Block: TypeAlias = TextParam | ImageParam
Content: TypeAlias = str | Pages | list[Block]
"""The content of a document: a text, pages, or blocks."""


def document_text(document: DocumentParam, body: str) -> str:
    """Return a document's text, with its title and its context if it has them."""
    before, after = _document_frame(document)
    return f"{before}{body}{after}"


def document_pieces(
    document: DocumentParam, blocks: Sequence[Block], lead: str, cuts: Sequence[int] = ()
) -> list[list[Block]]:
    """Return a document as blocks: `lead`, its text, and its images where they stand in it.

    They are cut into pieces behind the blocks of these indices.
    """
    before, after = _document_frame(document)
    return _framed(lead + before, blocks, after, cuts)


def _document_frame(document: DocumentParam) -> tuple[str, str]:
    head = [
        f"<{name}>{value}</{name}>\n"
        for name, value in (("title", document.title), ("context", document.context))
        if value
    ]
    return f"<document>\n{''.join(head)}", "\n</document>"


def pages_text(pages: Sequence[str | None]) -> str:
    """Return the text of a document in pages, each with its number, which starts at 1.

    A page without text says so: the model would take a scan for an empty page.
    """
    return "\n".join(
        f'<page number="{number}">\n{text or _note(number, text)}\n</page>'
        for number, text in enumerate(pages, 1)
    )


def _note(number: int, text: str | None) -> str:
    reason = "cannot be read" if text is None else "has no text: it may be a scan"
    return f"[page {number} {reason}]"


def content_text(blocks: Sequence[object]) -> str:
    """Return the text of a document that is made of blocks."""
    return BLOCK_SEPARATOR.join(block.text for block in blocks if isinstance(block, TextParam))


def body_text(content: Content) -> str:
    """Return the content of a document as text."""
    match content:
        case str():
            return content
        case Pages(texts):
            return pages_text(texts)
        case _:
            return content_text(content)


def search_result_text(result: SearchResultParam, body: str) -> str:
    """Return a search result as text, with its source."""
    before, after = _result_frame(result)
    return f"{before}{body}{after}"


def search_result_pieces(
    result: SearchResultParam, blocks: Sequence[Block], lead: str, cuts: Sequence[int] = ()
) -> list[list[Block]]:
    """Return a search result as `document_pieces` does a document."""
    before, after = _result_frame(result)
    return _framed(lead + before, blocks, after, cuts)


def _result_frame(result: SearchResultParam) -> tuple[str, str]:
    head = f"<source>{result.source}</source>\n<title>{result.title}</title>\n"
    if isinstance(result, SearchedParam) and result.age:
        head += f"<age>{result.age}</age>\n"
    return f"<search_result>\n{head}", "\n</search_result>"


def _framed(
    before: str, blocks: Sequence[Block], after: str, cuts: Sequence[int]
) -> list[list[Block]]:
    """Put a text before blocks and one behind them. Adjacent texts are joined into one block."""
    pieces: list[list[Block]] = []
    piece: list[Block] = []
    text, between = before, ""
    for index, block in enumerate(blocks):
        if isinstance(block, TextParam):
            text += between + block.text
            between = BLOCK_SEPARATOR
        else:
            piece += [TextParam(text=text), block] if text else [block]
            text = between = ""
        if index in cuts:
            if text:
                # The separator comes back when the blocks become one text.
                piece.append(TextParam(text=text))
                text = between = ""
                if index + 1 == len(blocks):
                    after = after.removeprefix(BLOCK_SEPARATOR)
            pieces.append(piece)
            piece = []
    return [*pieces, [*piece, TextParam(text=text + after)]]
