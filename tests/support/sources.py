"""Citable documents and search results, made by hand or drawn by Hypothesis."""

from collections.abc import Sequence

from hypothesis import strategies as st

from antiphon.core.citations.sources import Sources
from antiphon.core.documents import Pages
from antiphon.wire.citations import (
    CharLocation,
    Citation,
    ContentBlockLocation,
    PageLocation,
    SearchResultLocation,
)
from antiphon.wire.content import (
    Base64PdfSource,
    CitationsParam,
    ContentSource,
    DocumentParam,
    ImageParam,
    PlainTextSource,
    SearchResultParam,
    TextParam,
    UrlSource,
)

ON = CitationsParam(enabled=True)
IMAGE = ImageParam(source=UrlSource(url="https://example.com/cat.png"))

Blocks = list[TextParam | ImageParam]
Citable = str | Pages | Blocks | SearchResultParam


def plain(text: str, title: str | None = None) -> DocumentParam:
    source = PlainTextSource(media_type="text/plain", data=text)
    return DocumentParam(source=source, title=title, citations=ON)


def paged(title: str | None = None) -> DocumentParam:
    source = Base64PdfSource(media_type="application/pdf", data="")
    return DocumentParam(source=source, title=title, citations=ON)


def of_blocks(blocks: Blocks, title: str | None = None) -> DocumentParam:
    return DocumentParam(source=ContentSource(content=blocks), title=title, citations=ON)


def search_result(*texts: str, source: str = "s", title: str = "t") -> SearchResultParam:
    content: Blocks = [TextParam(text=text) for text in texts]
    return SearchResultParam(source=source, title=title, content=content, citations=ON)


def sources_of(documents: Sequence[Citable]) -> Sources:
    """Return the sources of these documents, in their order."""
    sources = Sources()
    for one in documents:
        match one:
            case str():
                sources.document(plain(one), one)
            case Pages():
                sources.document(paged(), one)
            case list():
                sources.document(of_blocks(one), one)
            case SearchResultParam():
                sources.search_result(one)
    return sources


def matches_source(citation: Citation, documents: Sequence[Citable]) -> bool:
    """Whether a citation's text is the text at its location."""
    results = [one for one in documents if isinstance(one, SearchResultParam)]
    others = [one for one in documents if not isinstance(one, SearchResultParam)]
    cited = citation.cited_text
    match citation:
        case CharLocation(document_index=index, start_char_index=start, end_char_index=end):
            text = others[index]
            return isinstance(text, str) and text[start:end] == cited != ""
        case PageLocation(document_index=index, start_page_number=first, end_page_number=last):
            pages = others[index]
            return (
                isinstance(pages, Pages) and last == first + 1 and cited in pages.texts[first - 1]
            )
        case ContentBlockLocation(document_index=index):
            blocks = others[index]
            assert isinstance(blocks, list)
        case SearchResultLocation(search_result_index=index):
            blocks = results[index].content
    block = blocks[citation.start_block_index]
    alone = citation.end_block_index == citation.start_block_index + 1
    return alone and isinstance(block, TextParam) and block.text == cited


TEXTS = st.lists(
    st.sampled_from(
        [
            "The grass is green. ",
            "The sky is blue, as everybody who has ever looked up knows.",
            "\n\n",
            " ",
            "No",
            "1. ",
            "[source 2]",
            "\u8349\u306f\u7dd1\u3067\u3059\u3002",
        ]
    ),
    max_size=5,
).map("".join)
BLOCKS = st.lists(TEXTS.map(lambda text: TextParam(text=text)) | st.just(IMAGE), max_size=3)
DOCUMENTS = st.lists(
    TEXTS
    | st.lists(TEXTS, max_size=3).map(lambda texts: Pages(tuple(texts)))
    | BLOCKS
    | st.lists(TEXTS, max_size=3).map(lambda texts: search_result(*texts)),
    max_size=4,
)
