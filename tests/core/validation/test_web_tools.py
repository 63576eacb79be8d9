"""`web_search` and `web_fetch` in `tools`: what callers say of them."""

from typing import Any

import pytest

from antiphon.core.prompt import WebFetchTool, WebSearchTool
from antiphon.core.server_tools.domains import Domains
from antiphon.core.server_tools.url_filters import ToolFilter, UrlSourceFilter
from antiphon.wire.decoding import BodyError
from antiphon.wire.tools import UserLocation
from support.requests import ABLE, able, params, refusal, tool

SEARCHES = ["web_search_20250305", "web_search_20260209", "web_search_20260318"]
FETCHES = ["web_fetch_20250910", "web_fetch_20260209", "web_fetch_20260309", "web_fetch_20260318"]


def search(kind: str = SEARCHES[0], **fields: Any) -> dict[str, Any]:
    return {"type": kind, "name": "web_search", **fields}


def fetch(kind: str = FETCHES[-1], **fields: Any) -> dict[str, Any]:
    return {"type": kind, "name": "web_fetch", **fields}


@pytest.mark.parametrize("kind", SEARCHES)
def test_search_has_what_the_caller_says_of_it(kind: str) -> None:
    place = {"type": "approximate", "city": "Oslo", "country": "NO"}
    given = search(kind, blocked_domains=["a.example"], max_uses=3, user_location=place)
    (made,) = able(tools=[given]).tools
    assert isinstance(made, WebSearchTool)
    assert made.domains == Domains(blocked=("a.example",))
    assert (made.max_uses, made.location) == (
        3,
        UserLocation(type="approximate", city="Oslo", country="NO"),
    )
    (bare,) = able(tools=[search(kind)]).tools
    assert bare == WebSearchTool(
        name="web_search",
        kind="web_search",
        description=made.description,
        input_schema=made.input_schema,
    )


def sources(**fields: Any) -> UrlSourceFilter:
    (made,) = able(tools=[fetch(url_sources=fields)]).tools
    assert isinstance(made, WebFetchTool)
    return made.sources


@pytest.mark.parametrize("kind", FETCHES)
def test_fetch_has_what_the_caller_says_of_it(kind: str) -> None:
    cited = {"enabled": True}
    (made,) = able(tools=[fetch(kind, max_content_tokens=9, citations=cited)]).tools
    assert isinstance(made, WebFetchTool)
    assert (made.max_content_tokens, made.cited, made.sources) == (9, True, UrlSourceFilter())
    (bare,) = able(tools=[fetch(kind, citations=None, url_sources=None)]).tools
    assert isinstance(bare, WebFetchTool)
    assert (bare.cited, bare.sources) == (False, UrlSourceFilter())


def test_sources_of_urls_are_those_that_the_caller_chooses() -> None:
    named = [{"type": "tool_reference", "name": "web_fetch"}]
    assert sources(user_input={"type": "none"}) == UrlSourceFilter(user_input=False)
    assert sources(
        client_tool_results={"type": "only", "tools": named},
        server_tool_results={"type": "except", "tools": named},
    ) == UrlSourceFilter(
        client_results=ToolFilter("only", ("web_fetch",)),
        server_results=ToolFilter("except", ("web_fetch",)),
    )
    assert sources(
        client_tool_results={"type": "none"}, server_tool_results={"type": "all"}
    ) == UrlSourceFilter(client_results=ToolFilter("none"))


def test_sources_of_urls_are_tools_of_the_request() -> None:
    named = {"type": "only", "tools": [{"type": "tool_reference", "name": "list"}]}
    given = fetch(url_sources={"client_tool_results": named})
    assert refusal(tools=[tool(), given], capabilities=ABLE) == (
        "tools.1.web_fetch_20260318.url_sources.client_tool_results: Tool 'list' not found in "
        "provided tools"
    )
    assert able(tools=[tool("list"), given]).tools


@pytest.mark.parametrize("made", [search(), fetch()])
def test_domains_are_allowed_or_blocked(made: dict[str, Any]) -> None:
    both = {"allowed_domains": ["a.example"], "blocked_domains": ["b.example"]}
    assert refusal(tools=[made | both], capabilities=ABLE) == (
        f"tools.0.{made['type']}: allowed_domains and blocked_domains cannot be used together"
    )
    assert able(tools=[made | {"allowed_domains": ["a.example"], "blocked_domains": []}]).tools


@pytest.mark.parametrize(
    ("made", "fault"),
    [
        (search(max_uses=0), "max_uses: Input should be greater than 0"),
        (search(response_inclusion="full"), "response_inclusion: Extra inputs"),
        (fetch(FETCHES[0], use_cache=True), "use_cache: Extra inputs"),
        (search(user_location={"type": "exact"}), "user_location"),
        (fetch(url_sources={"user_input": {"type": "only", "tools": []}}), "user_input"),
    ],
)
def test_what_a_version_does_not_have_is_refused(made: dict[str, Any], fault: str) -> None:
    with pytest.raises(BodyError, match=fault):
        params(tools=[made])
