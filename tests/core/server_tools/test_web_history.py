"""What the web said in earlier turns, as an engine gets it."""

from typing import Any

import pytest
from msgspec.structs import replace

from antiphon.core.citations.sources import LONGEST_WEB_CITATION, Sources
from antiphon.core.server_tools.history import NO_RESULTS
from antiphon.core.server_tools.searched import SearchedParam
from antiphon.wire.citations import WebSearchResultLocation
from antiphon.wire.content import (
    CitationsParam,
    DocumentParam,
    PlainTextSource,
    TextParam,
    ToolResultParam,
)
from support.requests import ABLE, able, assistant, refusal, user

SEARCH = {"type": "web_search_20250305", "name": "web_search"}


def used(name: str, content: Any) -> list[dict[str, Any]]:
    """Return a call of a tool of the web, and its result."""
    use = {"type": "server_tool_use", "id": "srvtoolu_1", "name": name, "input": {}}
    return [use, {"type": f"{name}_tool_result", "tool_use_id": "srvtoolu_1", "content": content}]


def read(name: str, content: Any) -> ToolResultParam:
    """Return the result as an engine gets it."""
    made = able(user(), assistant(used(name, content)), user(), tools=[SEARCH])
    result = made.turns[2].content[0]
    assert isinstance(result, ToolResultParam)
    return result


HIT = {
    "type": "web_search_result",
    "url": "https://example.com",
    "title": "Rain",
    "encrypted_content": "AQ==",
    "page_age": "2 days",
}


def test_results_are_search_results_that_are_sealed_yet() -> None:
    assert read("web_search", [HIT]).content == [
        SearchedParam(
            source="https://example.com", title="Rain", content=[], sealed="AQ==", age="2 days"
        )
    ]
    assert read("web_search", []).content == [TextParam(text=NO_RESULTS)]


def test_prompt_says_that_there_are_seals() -> None:
    said = [user(), assistant(used("web_search", [HIT])), user()]
    assert able(*said, tools=[SEARCH]).sealed
    assert not able(user(), tools=[SEARCH]).sealed


def test_fetched_page_is_a_document_behind_its_address() -> None:
    document = {
        "type": "document",
        "source": {"type": "text", "media_type": "text/plain", "data": "It rains."},
        "title": "Rain",
        "citations": None,
    }
    page = {"type": "web_fetch_result", "url": "https://example.com", "content": document}
    source = PlainTextSource(media_type="text/plain", data="It rains.")
    assert read("web_fetch", page).content == [
        TextParam(text="URL: https://example.com"),
        DocumentParam(source=source, title="Rain"),
    ]


@pytest.mark.parametrize("name", ["web_search", "web_fetch"])
def test_failure_is_a_result_that_failed(name: str) -> None:
    error = {"type": f"{name}_tool_result_error", "error_code": "unavailable"}
    result = read(name, error)
    assert (result.content, result.is_error) == ("unavailable", True)


def test_result_of_another_tool_is_refused() -> None:
    said = used("web_search", [HIT])
    said[0]["name"] = "web_fetch"
    assert "unexpected `tool_use_id` found in `web_search_tool_result` blocks" in refusal(
        user(), assistant(said), user(), capabilities=ABLE
    )


def test_citation_of_the_web_has_an_index_and_a_short_text() -> None:
    long = "a" * 200
    hit = SearchedParam(
        source="https://example.com",
        title="Rain",
        content=[TextParam(text="It rains."), TextParam(text=long)],
        sealed="AQ==",
        index="Ag==",
        citations=CitationsParam(enabled=True),
    )
    sources = Sources()
    text = sources.search_result(hit)
    assert "It rains. [source 1]" in text
    assert "<age>2 days</age>" in Sources().search_result(replace(hit, age="2 days"))
    cited = [sources.cite([number])[0] for number in (1, 2)]
    assert cited == [
        WebSearchResultLocation(
            cited_text=words, url="https://example.com", title="Rain", encrypted_index="Ag=="
        )
        for words in ("It rains.", long[:LONGEST_WEB_CITATION])
    ]
