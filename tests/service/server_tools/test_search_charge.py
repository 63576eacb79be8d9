"""The money of searches of the web: it is held before each one, and due for those that worked."""

from collections.abc import Sequence
from typing import Any

import pytest

from antiphon.core.prompt import Prompt, WebSearchTool
from antiphon.core.server_tools.rounds import ServerCall
from antiphon.service.server_tools.web.backends import Hit, Query, SearchFailedError
from antiphon.service.server_tools.web.opened import WebResults
from antiphon.service.server_tools.web.search import SearchCharge, WebSearch

pytestmark = pytest.mark.anyio


class Money:
    """So much that so many searches can be paid."""

    def __init__(self, searches: int) -> None:
        self.left = searches
        self.due = 0

    async def hold(self) -> bool:
        self.left -= 1
        return self.left >= 0

    def record(self) -> None:
        self.due += 1


class Service:
    """Fails as often as it is told."""

    def __init__(self, fails: int) -> None:
        self.fails = fails

    async def search(self, query: Query) -> Sequence[Hit]:
        del query
        self.fails -= 1
        if self.fails >= 0:
            raise SearchFailedError("too_many_requests")
        return [Hit("https://a.example", "a", "b")]


async def searched(money: Money, service: Any, times: int) -> list[str]:
    """Search so often in one answer; return the codes of errors, and `found`."""
    tool = WebSearchTool(name="web_search", kind="web_search", input_schema={})
    charge = SearchCharge(money.hold, money.record)
    search = WebSearch(tool, service, WebResults(None), "", most=5, charge=charge)
    said = []
    for _ in range(times):
        result = await search.run(ServerCall("a", "web_search", {"query": "b"}), Prompt((), 1))
        said.append(getattr(result.block.content, "error_code", "found"))
    return said


async def test_money_of_a_search_that_failed_is_there_for_the_next_one() -> None:
    money = Money(1)
    said = await searched(money, Service(fails=3), 5)
    assert said == [*["too_many_requests"] * 3, "found", "unavailable"]
    assert money.due == 1


async def test_each_search_is_paid_by_itself() -> None:
    money = Money(2)
    assert await searched(money, Service(fails=0), 3) == ["found", "found", "unavailable"]
    assert money.due == 2


async def test_nothing_is_held_for_a_search_that_is_not_set() -> None:
    money = Money(1)
    assert await searched(money, None, 1) == ["unavailable"]
    assert (money.left, money.due) == (1, 0)
