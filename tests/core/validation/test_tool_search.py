"""Searches of tools in `tools`: what they are called, and that something is left to call."""

from typing import Any

import pytest

from antiphon.core.prompt import ServerTool
from antiphon.wire.decoding import BodyError
from support.requests import ABLE, EPHEMERAL, able, counted, params, prompt, refusal, tool

REGEX = {"type": "tool_search_tool_regex_20251119", "name": "tool_search_tool_regex"}
BM25 = {"type": "tool_search_tool_bm25_20251119", "name": "tool_search_tool_bm25"}
ALL = "All tools have defer_loading set. At least one tool must be non-deferred."


@pytest.mark.parametrize("search", [REGEX, BM25])
def test_search_is_a_tool_like_others_to_the_model(search: dict[str, Any]) -> None:
    undated = {**search, "type": search["name"]}
    for given in (search, undated):
        made = able(tools=[given, tool("a", defer_loading=True)])
        assert isinstance(made.tools[0], ServerTool)
        assert made.tools[0].kind == made.tools[0].name == search["name"]
        assert made.tools[0].input_schema["additionalProperties"] is False
        assert [one.name for one in made.searchable] == ["a"]
    assert able(tools=[{**search, "strict": True}]).tools[0].strict


def test_search_has_its_own_name() -> None:
    assert refusal(tools=[{**REGEX, "name": "find"}], capabilities=ABLE) == (
        "tools.0.tool_search_tool_regex_20251119.name: Input should be 'tool_search_tool_regex'"
    )


def test_both_searches_stand_beside_each_other() -> None:
    assert [one.name for one in able(tools=[REGEX, BM25]).callable_tools] == [
        "tool_search_tool_regex",
        "tool_search_tool_bm25",
    ]
    assert refusal(tools=[REGEX, REGEX], capabilities=ABLE) == "tools: Tool names must be unique."


def test_search_may_end_a_prefix() -> None:
    made = able(tools=[{**REGEX, "cache_control": EPHEMERAL}])
    assert made.breakpoints[0].path == (0,)


def test_search_that_is_deferred_with_all_others_is_refused() -> None:
    late = [{**REGEX, "defer_loading": True}, tool("a", defer_loading=True)]
    assert refusal(tools=late, capabilities=ABLE) == ALL
    assert prompt(tools=[*late, tool("b")], capabilities=ABLE).tools
    # Clients count tools by themselves.
    assert counted(tools=late, capabilities=ABLE).tools


def test_search_takes_no_more_than_its_keys() -> None:
    with pytest.raises(BodyError, match="max_uses: Extra inputs are not permitted"):
        params(tools=[{**REGEX, "max_uses": 5}])
