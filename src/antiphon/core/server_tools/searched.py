"""A result of a web search, as engines read it: a search result that is cited in its own way."""

from antiphon.wire.content import SearchResultParam


class SearchedParam(SearchResultParam, tag="web_search_result", kw_only=True, frozen=True):
    """A result that a web search of this server found.

    `sealed` is its text as the caller sent it back; `content` is empty, and nothing is cited, until
    it was opened. `index` is what a citation of it has.
    """

    sealed: str
    index: str = ""
    age: str | None = None
