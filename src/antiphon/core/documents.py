"""Documents as text: what a model is given of them, with images beside it if it sees.

A document keeps its place among the blocks of its turn. What it is called and what the caller says
about it stand in front of what it says, as XML that models know; the same document is always the
same text, so that a cached prefix stays one.
"""

from collections.abc import Sequence
from typing import TypeAlias

from antiphon.wire.content import DocumentParam, ImageParam, SearchResultParam, TextParam

Block: TypeAlias = TextParam | ImageParam


def document_text(document: DocumentParam, body: str) -> str:
    """Return a document's text, with its title and its context if it has them."""
    before, after = _document_frame(document)
    return f"{before}{body}{after}"


def document_blocks(document: DocumentParam, body: Sequence[Block]) -> list[Block]:
    """Return a document as blocks: its text, and its images where they stand in it."""
    return _framed(_document_frame(document), body)


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


def search_result_blocks(result: SearchResultParam) -> list[Block]:
    """Return a search result as blocks: text, and its images where they stand in it."""
    head = f"<source>{result.source}</source>\n<title>{result.title}</title>\n"
    return _framed((f"<search_result>\n{head}", "\n</search_result>"), result.content)


def _framed(frame: tuple[str, str], blocks: Sequence[Block]) -> list[Block]:
    """Put a text before blocks and one behind them. Texts that meet are one block, in lines."""
    text, after = frame
    framed: list[Block] = []
    between = ""
    for block in blocks:
        if isinstance(block, TextParam):
            text += between + block.text
            between = "\n"
        else:
            framed += [TextParam(text=text), block] if text else [block]
            text = between = ""
    return [*framed, TextParam(text=text + after)]
