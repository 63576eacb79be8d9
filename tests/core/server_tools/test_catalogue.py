"""What a search of tools finds, and in which order."""

import itertools
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.prompt import Tool
from antiphon.core.server_tools.catalogue import (
    LONGEST_TEXT,
    MOST_ARGUMENTS,
    MOST_FOUND,
    Catalogue,
    SearchTooLongError,
    words_of,
)


def tool(name: str, description: str | None = None, **arguments: Any) -> Tool:
    schema = {"type": "object", "properties": arguments}
    return Tool(name=name, description=description, input_schema=schema)


def catalogue(*tools: Tool, is_late: Callable[[], bool] = lambda: False) -> Catalogue:
    return Catalogue(tools, is_late)


def containing(words: str) -> Callable[[str], bool]:
    return lambda text: words in text


WEATHER = tool("get_weather", "Look at the sky.", city={"description": "Where to look."})
CITIES = tool("list_cities", "Which places have a weather station.")
FORECAST = tool("forecast", "Tomorrow.", days={"description": "Days of weather."})
MAIL = tool("sendMail", "Send a letter.", to={}, options={"properties": {"weather": True}})


def test_names_come_before_descriptions_and_those_before_arguments() -> None:
    found = catalogue(FORECAST, CITIES, MAIL, WEATHER).matching(containing("weather"))
    assert found == ("get_weather", "list_cities", "forecast", "sendMail")
    assert catalogue(WEATHER).matching(containing("snow")) == ()
    assert catalogue().matching(containing("")) == ()


def test_arguments_are_searched_at_every_depth() -> None:
    deep = tool("a", items={"items": {"properties": {"colour": {"description": "Red."}}}})
    assert catalogue(deep).matching(containing("colour")) == ("a",)
    assert catalogue(deep).matching(containing("Red")) == ("a",)
    odd = Tool(name="b", input_schema={"properties": ["colour"]})
    assert catalogue(odd).matching(containing("colour")) == ()


def test_search_ends_with_enough_names() -> None:
    tools = [tool(f"x{number}") for number in range(MOST_FOUND + 3)]
    asked: list[str] = []

    def matches(text: str) -> bool:
        asked.append(text)
        return text.startswith("x")

    assert catalogue(*tools).matching(matches) == tuple(one.name for one in tools[:MOST_FOUND])
    assert len(asked) == MOST_FOUND
    many = [tool(f"y{number}", "x") for number in range(9)]
    assert len(catalogue(*many).matching(containing("x"))) == MOST_FOUND


def test_texts_and_arguments_are_searched_up_to_a_limit() -> None:
    long = tool("a", "-" * LONGEST_TEXT + "end", b={"description": "-" * LONGEST_TEXT + "end"})
    assert catalogue(long).matching(containing("end")) == ()
    many = tool("a", **{f"n{number}": {} for number in range(MOST_ARGUMENTS + 1)})
    assert catalogue(many).matching(containing(f"n{MOST_ARGUMENTS - 1}")) == ("a",)
    assert catalogue(many).matching(containing(f"n{MOST_ARGUMENTS}")) == ()


def test_late_search_is_given_up() -> None:
    late = iter([False, True])
    with pytest.raises(SearchTooLongError):
        catalogue(WEATHER, CITIES, is_late=lambda: next(late)).ranked("weather")


def test_late_search_is_given_up_between_two_texts_of_a_tool() -> None:
    searched: list[str] = []
    many = tool("many", **{f"n{number}": {} for number in range(MOST_ARGUMENTS)})
    with pytest.raises(SearchTooLongError):
        catalogue(many, is_late=lambda: len(searched) == 3).matching(
            lambda text: bool(searched.append(text))
        )
    asked = itertools.count()
    with pytest.raises(SearchTooLongError):
        catalogue(many, is_late=lambda: next(asked) == 100).ranked("n1")


def test_late_search_leaves_the_rest_to_the_next_one() -> None:
    looks = itertools.count(1)
    many = [tool(f"n{number}", "Some words.") for number in range(100)]
    found = catalogue(*many, WEATHER, is_late=lambda: next(looks) % 160 == 0)
    tries = 0
    while tries < 20:
        tries += 1
        with suppress(SearchTooLongError):
            assert found.ranked("weather") == ("get_weather",)
            break
    assert 1 < tries < 20


def test_words_rank_by_how_well_they_fit() -> None:
    tools = (FORECAST, CITIES, MAIL, WEATHER)
    assert catalogue(*tools).ranked("the WEATHER in a city") == (
        "get_weather",
        "list_cities",
        "forecast",
        "sendMail",
    )
    assert catalogue(*tools).ranked("mails") == ("sendMail",)
    assert catalogue(*tools).ranked("nothing else") == ()
    assert catalogue(*tools).ranked("?!") == ()
    assert catalogue().ranked("weather") == ()
    assert catalogue(tool("-")).ranked("weather") == ()


def test_rare_word_says_more_than_a_frequent_one() -> None:
    tools = [*(tool(f"file_{one}") for one in "abc"), tool("unlock_file")]
    assert catalogue(*tools).ranked("unlock file")[0] == "unlock_file"


def test_words_are_the_parts_of_names() -> None:
    assert words_of("getHTTPServers2 list_files, Öl-Markt") == [
        *["get", "http", "server", "2", "list", "file", "öl", "markt"]
    ]
    assert words_of("as is") == ["as", "is"]


@given(st.lists(st.text("abc_ ", min_size=1, max_size=6), max_size=8, unique=True), st.text("abc "))
def test_found_tools_have_what_was_asked_for(names: list[str], asked: str) -> None:
    tools = [tool(name) for name in names]
    by_pattern = catalogue(*tools).matching(lambda text: re.search(asked, text) is not None)
    assert by_pattern == tuple(name for name in names if asked in name)[:MOST_FOUND]
    wanted = set(words_of(asked))
    fitting = [name for name in names if wanted & set(words_of(name))]
    ranked = catalogue(*tools).ranked(asked)
    assert set(ranked) <= set(fitting)
    if "a" not in wanted:
        assert len(ranked) == min(len(fitting), MOST_FOUND)
