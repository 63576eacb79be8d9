"""Answers in rounds: requests whose model looks for tools and searches the web, again and again.

A request names the step at which its model begins. Each step is a tool that the model looks for;
when it is found, the model looks for the next one, and with every other it searches the web.
"""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from antiphon.core.defined_tools import tool_of
from antiphon.core.server_tools.domains import Domains
from antiphon.engines.scripted_prompt import tokens
from antiphon.service.server_tools.web.backends import Hit, Query, SearchFailedError
from antiphon.wire.tools import ToolSearchParam, WebSearchParam

if TYPE_CHECKING:
    from simulation.world import World

# More than an answer may have rounds.
STEPS = 12
SEARCH = {"type": "tool_search_tool_regex_20251119", "name": "tool_search_tool_regex"}
WEB = {"type": "web_search_20250305", "name": "web_search", "max_uses": 4}
# Nano-dollars for a search of the web, and the setting for 1,000 of them in dollars.
SEARCH_PRICE, SEARCH_PRICE_SET = 200_000, "0.2"


def step(number: int) -> str:
    return f"step_{number:02}"


def begins_at(number: int) -> str:
    """Return the words of a prompt whose model begins with a step."""
    return f"search {step(number)}"


def tools() -> list[dict[str, Any]]:
    """Return the tools of such a request."""
    schema = {"type": "object"}
    late = [
        {"name": step(number), "input_schema": schema, "defer_loading": True}
        for number in range(1, STEPS + 1)
    ]
    return [SEARCH, WEB, *late]


def tool_tokens() -> int:
    """Return the tokens of the tools that stand in front of the prompt."""
    there = [msgspec.convert(SEARCH, ToolSearchParam), msgspec.convert(WEB, WebSearchParam)]
    return sum(len(tokens(msgspec.json.encode(tool_of(one)).decode())) for one in there)


def replies() -> list[dict[str, Any]]:
    """Return the script of the engine."""
    begins = [
        {"when": rf"{begins_at(number)}\b", "echo": True, "tool_calls": _calls(number)}
        for number in range(1, STEPS + 1)
    ]
    goes_on = [
        {"when": f"Tool: {step(number)}", "text": "And then?", "tool_calls": _calls(number + 1)}
        for number in range(1, STEPS)
    ]
    ends = [{"when": f"Tool: {step(STEPS)}", "text": "That is all."}]
    # What was found counts before the prompt, which is no part of the last turn then.
    return [*goes_on, *ends, *begins]


def _calls(number: int) -> list[dict[str, Any]]:
    looks = {"name": SEARCH["name"], "input": {"pattern": f"^{step(number)}$"}}
    searches = {"name": WEB["name"], "input": {"query": f"rain {number}"}}
    return [looks, searches] if number % 2 else [looks]


class SimulatedSearch:
    """A service that searches the web: it takes its time, fails, and counts what it has found."""

    def __init__(self, world: "World", server: str) -> None:
        self._world = world
        self._chance = world.chance_of(f"web searches of {server}")

    async def search(self, query: Query) -> Sequence[Hit]:
        await asyncio.sleep(self._chance.choice([0.001, 0.05, 2.0]))
        if not self._world.faults.over and self._chance.random() < 0.2:
            raise SearchFailedError(self._chance.choice(["unavailable", "too_many_requests"]))
        self._world.searches += 1
        assert query.domains == Domains()
        return [Hit(f"https://example.com/{number}", "Rain", "It rains. ") for number in range(2)]
