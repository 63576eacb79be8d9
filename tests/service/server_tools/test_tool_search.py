"""A search of tools as the model asks for it."""

import asyncio
import itertools
import sys
import threading
import time
from typing import Any

import pytest

from antiphon.core.prompt import Prompt, Tool
from antiphon.core.server_tools.rounds import ServerCall
from antiphon.engines.step_runner import StepRunner
from antiphon.service.server_tools.tool_search import LONGEST_S, ToolSearch
from antiphon.wire.server_blocks import ToolSearchErrorBlock, ToolSearchResultBlock

pytestmark = pytest.mark.anyio

REGEX, BM25 = "tool_search_tool_regex", "tool_search_tool_bm25"


def tool(name: str, description: str = "") -> Tool:
    return Tool(name=name, description=description, input_schema={})


async def searched(search: ToolSearch, name: str, given: dict[str, Any] | None) -> Any:
    """Return the names of what was found, or the code and the message of the error."""
    result = await search.run(ServerCall("srvtoolu_1", name, given), Prompt((), 1))
    assert result.block.tool_use_id == "srvtoolu_1"
    assert (result.searches, result.fetches) == (0, 0)
    content = result.block.content
    if isinstance(content, ToolSearchErrorBlock):
        return content.error_code, content.error_message
    assert isinstance(content, ToolSearchResultBlock)
    return [one.tool_name for one in content.tool_references]


TOOLS = [
    tool("get_user_data"),
    tool("get_weather_data"),
    tool("query", "Ask the database."),
    tool("öl"),
]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("WEATHER", ["get_weather_data"]),
        ("get_.*_data", ["get_user_data", "get_weather_data"]),
        ("database.*query|query.*database|Ask.*database", ["query"]),
        ("^query$", ["query"]),
        (r"\bdatabase\b", ["query"]),
        ("ÖL", ["öl"]),
        ("(?i)USER", ["get_user_data"]),
        ("snow", []),
    ],
)
async def test_pattern_is_searched_as_python_does_without_case(
    pattern: str, names: list[str]
) -> None:
    assert await searched(ToolSearch(TOOLS), REGEX, {"pattern": pattern}) == names


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("(", "missing ): ("),
        ("(?=a)", "invalid perl operator: (?="),
        (r"(a)\1", r"invalid escape sequence: \1"),
        ("a{1001}", "invalid repetition size: {1001}"),
    ],
)
async def test_pattern_that_cannot_be_searched_is_told(pattern: str, why: str) -> None:
    code, message = await searched(ToolSearch(TOOLS), REGEX, {"pattern": pattern})
    assert code == "invalid_tool_input"
    assert message.startswith("Invalid regular expression pattern: ")
    assert why in message


@pytest.mark.parametrize("pattern", ["(a?){1000}" * 19 + "c", "[ab]{1000}" * 19, r"(\pL?){20}c"])
async def test_pattern_whose_search_would_take_minutes_is_refused(pattern: str) -> None:
    tools = [tool("a" * 64, "a" * 10_000)]
    began = time.process_time()
    code, message = await searched(ToolSearch(tools), REGEX, {"pattern": pattern})
    assert (code, "pattern too large" in message) == ("invalid_tool_input", True)
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    "pattern",
    [r"[\pL\pN_]+ ?\p{Lu}*", "a{500}b?", "|".join("weather" for _ in range(25)), "\u00f6" * 99],
)
async def test_patterns_that_people_write_are_not_too_large(pattern: str) -> None:
    assert isinstance(await searched(ToolSearch(TOOLS), REGEX, {"pattern": pattern}), list)


async def test_search_ends_with_its_caller(anyio_backend: str) -> None:
    del anyio_backend
    entered, go_on, looks = threading.Event(), threading.Event(), itertools.count()
    seen = 0

    def clock() -> float:
        nonlocal seen
        seen = next(looks)
        if seen == 1:
            entered.set()
            go_on.wait(20)
        return 0.0

    runner = StepRunner()
    search = ToolSearch([tool(f"a{number}") for number in range(1000)], clock, runner=runner)
    asking = asyncio.create_task(searched(search, REGEX, {"pattern": "x"}))
    await asyncio.to_thread(entered.wait, 20)
    asking.cancel()
    await asyncio.wait({asking})
    go_on.set()
    # The next one has to wait for a thread of its own, and finds one.
    assert await searched(ToolSearch(TOOLS, runner=runner), BM25, {"query": "weather"})
    assert seen <= 2


async def test_pattern_of_half_a_character_is_told() -> None:
    assert await searched(ToolSearch(TOOLS), REGEX, {"pattern": "\ud800"}) == (
        "invalid_tool_input",
        "The pattern has characters that are none.",
    )


async def test_words_are_searched_in_their_rank() -> None:
    assert await searched(ToolSearch(TOOLS), BM25, {"query": "data of the weather"}) == [
        "get_weather_data",
        "get_user_data",
    ]


@pytest.mark.parametrize(
    ("name", "given", "why"),
    [
        (REGEX, {"pattern": "a" * 201}, "The pattern has more than 200 characters."),
        (BM25, {"query": "a" * 501}, "The query has more than 500 characters."),
        (REGEX, {"query": "a"}, "`pattern` must be a text that is not empty."),
        (BM25, {"query": " "}, "`query` must be a text that is not empty."),
        (BM25, {"query": 5}, "`query` must be a text that is not empty."),
        (REGEX, None, "`pattern` must be a text that is not empty."),
    ],
)
async def test_input_that_is_wrong_is_told(name: str, given: Any, why: str) -> None:
    assert await searched(ToolSearch(TOOLS), name, given) == ("invalid_tool_input", why)


async def test_longest_pattern_and_query_are_searched() -> None:
    assert await searched(ToolSearch(TOOLS), REGEX, {"pattern": "a" * 200}) == []
    assert await searched(ToolSearch(TOOLS), BM25, {"query": "a" * 500}) == []


async def test_pattern_that_makes_others_backtrack_takes_no_time() -> None:
    tools = [tool("a", "a" * 10_000) for _ in range(20)]
    began = time.process_time()
    assert await searched(ToolSearch(tools), REGEX, {"pattern": "(a*)*(a*)*(a|aa)*b$"}) == []
    assert time.process_time() - began < 1


async def test_search_without_its_library_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "re2", None)
    given = {"pattern": "x"}
    assert await searched(ToolSearch(TOOLS), REGEX, given) == ("unavailable", None)


async def test_search_that_takes_too_long_is_given_up() -> None:
    times = itertools.chain([0.0, LONGEST_S], itertools.repeat(LONGEST_S + 0.1))
    search = ToolSearch(TOOLS, lambda: next(times))
    assert await searched(search, REGEX, {"pattern": "x"}) == ("execution_time_exceeded", None)
