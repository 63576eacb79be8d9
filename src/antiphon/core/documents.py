"""Documents as text: what a model is given of them, with images beside it if it sees.

A document keeps its place among the blocks of its turn. What it is called and what the caller says
about it stand in front of what it says, as XML that models know; the same document is always the
same text, so that a cached prefix stays one.
"""

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from antiphon.wire.content import DocumentParam, ImageParam, SearchResultParam, TextParam


class Pages(msgspec.Struct, frozen=True):
    """The content of a document that has pages."""

    texts: tuple[str, ...]


Block: TypeAlias = TextParam | ImageParam
Content: TypeAlias = str | Pages | list[Block]
"""What a document says: a text, pages, or blocks."""


def document_text(document: DocumentParam, body: str) -> str:
    """Return a document's text, with its title and its context if it has them."""
    before, after = _document_frame(document)
    return f"{before}{body}{after}"


def document_blocks(document: DocumentParam, blocks: Sequence[Block], lead: str) -> list[Block]:
    """Return a document as blocks: `lead`, its text, and its images where they stand in it."""
    before, after = _document_frame(document)
    return _framed(lead + before, blocks, after)


def _document_frame(document: DocumentParam) -> tuple[str, str]:
    head = [
        f"<{name}>{value}</{name}>\n"
        for name, value in (("title", document.title), ("context", document.context))
        if value
    ]
    return f"<document>\n{''.join(head)}", "\n</document>"


def pages_text(pages: Sequence[str]) -> str:
    """Return the text of a document in pages, each with its number, which starts at 1."""
    return "\n".join(
        f'<page number="{number}">\n{text}\n</page>' for number, text in enumerate(pages, 1)
    )


def content_text(blocks: Sequence[object]) -> str:
    """Return the text of a document that is made of blocks."""
    return "\n".join(block.text for block in blocks if isinstance(block, TextParam))


def body_text(content: Content) -> str:
    """Return what a document says as text."""
    match content:
        case str():
            return content
        case Pages(texts):
            return pages_text(texts)
        case _:
            return content_text(content)


def search_result_text(result: SearchResultParam, body: str) -> str:
    """Return a search result as text, with where it is from."""
    before, after = _result_frame(result)
    return f"{before}{body}{after}"


def search_result_blocks(
    result: SearchResultParam, blocks: Sequence[Block], lead: str
) -> list[Block]:
    """Return a search result as blocks: `lead`, its text, and its images where they stand."""
    before, after = _result_frame(result)
    return _framed(lead + before, blocks, after)


def _result_frame(result: SearchResultParam) -> tuple[str, str]:
    head = f"<source>{result.source}</source>\n<title>{result.title}</title>\n"
    return f"<search_result>\n{head}", "\n</search_result>"


def _framed(before: str, blocks: Sequence[Block], after: str) -> list[Block]:
    """Put a text before blocks and one behind them. Texts that meet are one block, in lines."""
    framed: list[Block] = []
    text, between = before, ""
    for block in blocks:
        if isinstance(block, TextParam):
            text += between + block.text
            between = "\n"
        else:
            framed += [TextParam(text=text), block] if text else [block]
            text = between = ""
    return [*framed, TextParam(text=text + after)]
