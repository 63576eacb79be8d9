"""The citations of a text. Ends are exclusive; pages count from 1, all else from 0."""

from typing import ClassVar, Literal, TypeAlias

from antiphon.sdk.types.base import Answered, Unknown


class CitationCharLocation(
    Answered, tag_field="type", tag="char_location", kw_only=True, frozen=True
):
    """Characters of a plain text."""

    type: ClassVar[Literal["char_location"]] = "char_location"
    cited_text: str
    document_index: int
    document_title: str | None = None
    start_char_index: int
    end_char_index: int
    file_id: str | None = None


class CitationPageLocation(
    Answered, tag_field="type", tag="page_location", kw_only=True, frozen=True
):
    """Pages of a PDF."""

    type: ClassVar[Literal["page_location"]] = "page_location"
    cited_text: str
    document_index: int
    document_title: str | None = None
    start_page_number: int
    end_page_number: int
    file_id: str | None = None


class CitationContentBlockLocation(
    Answered, tag_field="type", tag="content_block_location", kw_only=True, frozen=True
):
    """Blocks of a document that is made of blocks."""

    type: ClassVar[Literal["content_block_location"]] = "content_block_location"
    cited_text: str
    document_index: int
    document_title: str | None = None
    start_block_index: int
    end_block_index: int
    file_id: str | None = None


class CitationsSearchResultLocation(
    Answered, tag_field="type", tag="search_result_location", kw_only=True, frozen=True
):
    """Blocks of a search result."""

    type: ClassVar[Literal["search_result_location"]] = "search_result_location"
    cited_text: str
    source: str
    title: str | None = None
    search_result_index: int
    start_block_index: int
    end_block_index: int


class CitationsWebSearchResultLocation(
    Answered, tag_field="type", tag="web_search_result_location", kw_only=True, frozen=True
):
    """A result of a web search. Only the server can read the index."""

    type: ClassVar[Literal["web_search_result_location"]] = "web_search_result_location"
    cited_text: str
    url: str
    title: str | None = None
    encrypted_index: str


class UnknownCitation(Unknown, tag_field="type", tag="\0citation", kw_only=True, frozen=True):
    """A citation of another type."""


TextCitation: TypeAlias = (
    CitationCharLocation
    | CitationPageLocation
    | CitationContentBlockLocation
    | CitationsSearchResultLocation
    | CitationsWebSearchResultLocation
    | UnknownCitation
)
