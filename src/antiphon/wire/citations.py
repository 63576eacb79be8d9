"""Citations: those of answers, and those that callers send back.

Ends are exclusive. Pages count from 1, all else from 0.
"""

from typing import Annotated, TypeAlias

from msgspec import Meta

from antiphon.wire.base import AnswerStruct, Param

Index: TypeAlias = Annotated[int, Meta(ge=0)]


class CitationParam(Param, tag_field="type", kw_only=True, frozen=True):
    """The base of all citations of a request."""

    cited_text: str


class DocumentCitationParam(CitationParam, kw_only=True, frozen=True):
    """A location in the document of this index, counted from the first document."""

    document_index: Index
    document_title: str | None


class CharLocationParam(DocumentCitationParam, tag="char_location", kw_only=True, frozen=True):
    start_char_index: Index
    end_char_index: int
    file_id: str | None = None


class PageLocationParam(DocumentCitationParam, tag="page_location", kw_only=True, frozen=True):
    start_page_number: Annotated[int, Meta(ge=1)]
    end_page_number: int
    file_id: str | None = None


class ContentBlockLocationParam(
    DocumentCitationParam, tag="content_block_location", kw_only=True, frozen=True
):
    start_block_index: Index
    end_block_index: int
    file_id: str | None = None


class WebSearchResultLocationParam(
    CitationParam, tag="web_search_result_location", kw_only=True, frozen=True
):
    """A result of a web search, of this server or another."""

    url: str
    title: str | None
    encrypted_index: str


class SearchResultLocationParam(
    CitationParam, tag="search_result_location", kw_only=True, frozen=True
):
    source: str
    title: str | None
    search_result_index: Index
    start_block_index: Index
    end_block_index: int


TextCitationParam: TypeAlias = (
    CharLocationParam
    | PageLocationParam
    | ContentBlockLocationParam
    | WebSearchResultLocationParam
    | SearchResultLocationParam
)


class CharLocation(AnswerStruct, tag_field="type", tag="char_location", kw_only=True, frozen=True):
    """Characters of a plain text."""

    cited_text: str
    document_index: int
    document_title: str | None
    start_char_index: int
    end_char_index: int
    file_id: str | None = None


class PageLocation(AnswerStruct, tag_field="type", tag="page_location", kw_only=True, frozen=True):
    """Pages of a PDF."""

    cited_text: str
    document_index: int
    document_title: str | None
    start_page_number: int
    end_page_number: int
    file_id: str | None = None


class ContentBlockLocation(
    AnswerStruct, tag_field="type", tag="content_block_location", kw_only=True, frozen=True
):
    """Blocks of a document that is made of blocks."""

    cited_text: str
    document_index: int
    document_title: str | None
    start_block_index: int
    end_block_index: int
    file_id: str | None = None


class SearchResultLocation(
    AnswerStruct, tag_field="type", tag="search_result_location", kw_only=True, frozen=True
):
    """Blocks of a search result."""

    cited_text: str
    source: str
    title: str | None
    search_result_index: int
    start_block_index: int
    end_block_index: int


class WebSearchResultLocation(
    AnswerStruct, tag_field="type", tag="web_search_result_location", kw_only=True, frozen=True
):
    """A result of a web search. Only this server can read the index."""

    cited_text: str
    url: str
    title: str | None
    encrypted_index: str


Citation: TypeAlias = (
    CharLocation
    | PageLocation
    | ContentBlockLocation
    | WebSearchResultLocation
    | SearchResultLocation
)
