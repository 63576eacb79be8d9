"""Which URLs may be fetched: those that somebody else has named."""

import time
from typing import Any

import pytest

from antiphon.core.prompt import Prompt, Turn
from antiphon.core.server_tools.url_filters import ToolFilter, UrlSourceFilter
from antiphon.core.server_tools.urls import is_named
from antiphon.wire.content import TextParam, ToolResultParam, ToolUseParam

URL = "https://example.com/a"
ALL = UrlSourceFilter()
NONE = ToolFilter("none")


def said(role: Any, *blocks: Any) -> Turn:
    return Turn(role, blocks)


def text(words: str) -> TextParam:
    return TextParam(text=words)


def asked(call: str, name: str, result: str) -> tuple[Turn, Turn]:
    return (
        said("assistant", ToolUseParam(id=call, name=name, input={"url": URL})),
        said("user", ToolResultParam(tool_use_id=call, content=result)),
    )


def named(*turns: Turn, sources: UrlSourceFilter = ALL, url: str = URL) -> bool:
    return is_named(url, Prompt(turns, 1), sources)


@pytest.mark.parametrize(
    "words",
    [
        URL,
        f"See {URL}.",
        f"<{URL}>",
        f"[a]({URL})",
        f"{URL}/",
        f'"{URL}"',
        f"{URL}#part",
        f"{URL}b and {URL}",
        f"{URL}, please",
    ],
)
def test_url_that_the_user_names_is_named(words: str) -> None:
    assert named(said("user", text(words)))
    assert named(said("system", text(words)))
    assert not named(said("user", text(words)), sources=UrlSourceFilter(user_input=False))


@pytest.mark.parametrize(
    "words", [f"{URL}b", f"{URL}?b=c", f"{URL}/b", "example.com/a", "", f"{URL}.html"]
)
def test_url_that_is_only_a_part_is_not_named(words: str) -> None:
    assert not named(said("user", text(words)))


def test_slash_at_the_end_makes_no_difference() -> None:
    assert named(said("user", text("https://example.com")), url="https://example.com/")


def test_url_that_the_model_made_up_is_not_named() -> None:
    assert not named(said("user", text("Hi")), said("assistant", text(URL)))
    call = ToolUseParam(id="toolu_1", name="web_fetch", input={"url": URL})
    assert not named(said("user", text("Hi")), said("assistant", call))


def test_results_of_tools_count_as_far_as_the_caller_says() -> None:
    client = asked("toolu_1", "list", f"Look at {URL}")
    server = asked("srvtoolu_1", "web_search", f"Look at {URL}")
    assert named(*client)
    assert named(*server)
    assert not named(*client, sources=UrlSourceFilter(client_results=NONE))
    assert named(*client, sources=UrlSourceFilter(server_results=NONE))
    assert not named(*server, sources=UrlSourceFilter(server_results=NONE))
    only, others = ToolFilter("only", ("list",)), ToolFilter("except", ("list",))
    assert named(*client, sources=UrlSourceFilter(client_results=only))
    assert not named(*client, sources=UrlSourceFilter(client_results=others))
    assert named(*asked("toolu_1", "b", URL), sources=UrlSourceFilter(client_results=others))
    assert not named(*asked("toolu_1", "b", URL), sources=UrlSourceFilter(client_results=only))


def test_text_full_of_beginnings_takes_no_longer_than_its_length() -> None:
    began = time.process_time()
    for words in (f"{URL}b" * 100_000, f"{URL}:" * 100_000 + "b", f"{URL}{'.:!?' * 500_000}b"):
        assert not named(said("user", text(words)))
    assert time.process_time() - began < 2
