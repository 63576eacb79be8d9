"""The API's table of what invalidates a cache: each row, and which level is lost."""

from typing import Any

import pytest
from msgspec.structs import replace

from antiphon.core.blocks import rewrite
from antiphon.core.prompt import Prompt
from antiphon.core.prompt_cache import Chain, ChainRoot, chain_of
from antiphon.wire.content import ThinkingParam
from support.prompt_cache import ROOT, prompt_of
from support.requests import assistant, call, result, system, text, tool, user

PIXEL = {
    "type": "image",
    "source": {
        "type": "base64",
        "media_type": "image/png",
        "data": "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGA"
        "WjR9awAAAABJRU5ErkJggg==",
    },
}
DOCUMENT = {
    "type": "document",
    "source": {"type": "text", "media_type": "text/plain", "data": "Grass is green."},
}
TALK = [user("a"), assistant("b"), user("c")]
TOOLS = [tool("f"), tool("g")]


def chain(*messages: dict[str, Any], root: ChainRoot = ROOT, **fields: Any) -> Chain:
    asked = {"tools": TOOLS, "system": "s", **fields}
    return chain_of(prompt_of(*(messages or TALK), **asked), root)


def levels(before: Chain, after: Chain) -> str:
    """Name the levels that two prompts share: tools, system, messages up to the shorter's end."""
    shared = set(before.prefixes) & set(after.prefixes)
    found = {
        "tools": before.prefixes[1] in shared,
        "system": before.prefixes[2] in shared,
        "messages": before.prefixes[3] in shared,
    }
    return " ".join(name for name, kept in found.items() if kept)


@pytest.mark.parametrize(
    "tools",
    [
        [tool("f"), tool("h")],
        [tool("g"), tool("f")],
        [tool("f"), tool("g", description="New")],
        [tool("f"), {"name": "g", "input_schema": {"type": "object"}}],
        [tool("f", strict=True), tool("g")],
        [tool("f")],
    ],
    ids=["name", "order", "description", "schema", "strict", "removed"],
)
def test_change_of_a_tool_loses_everything(tools: list[dict[str, Any]]) -> None:
    assert levels(chain(), chain(tools=tools)) == ""


def test_new_tool_behind_the_others_keeps_the_prefix_of_those_and_nothing_else() -> None:
    before, after = chain(), chain(tools=[*TOOLS, tool("h")])
    assert levels(before, after) == "tools"


@pytest.mark.parametrize("name", ["web_search", "web_fetch"])
def test_tool_of_the_web_is_a_tool_like_others(name: str) -> None:
    kind = {"web_search": "web_search_20250305", "web_fetch": "web_fetch_20250910"}[name]
    web = chain(tools=[*TOOLS, {"type": kind, "name": name}])
    assert levels(chain(), web) == "tools"
    limited = chain(tools=[*TOOLS, {"type": kind, "name": name, "max_uses": 3}])
    assert levels(web, limited) == "tools"


def test_citations_switched_on_lose_the_system_prompt() -> None:
    def with_document(*, enabled: bool) -> Chain:
        document = {**DOCUMENT, "citations": {"enabled": enabled}}
        return chain(user("a"), assistant("b"), user([document, text("c")]))

    off, on = with_document(enabled=False), with_document(enabled=True)
    assert levels(off, on) == "tools"
    absent = chain(user("a"), assistant("b"), user([DOCUMENT, text("c")]))
    assert levels(off, absent) == "tools system messages"


def test_citations_inside_of_a_result_lose_the_system_prompt() -> None:
    def with_search(**fields: Any) -> Chain:
        found = {
            "type": "search_result",
            "source": "s",
            "title": "t",
            "content": [text("x")],
            **fields,
        }
        return chain(user("a"), assistant([call("x")]), user([result("x", [found])]))

    assert levels(with_search(), with_search(citations={"enabled": True})) == "tools"


def test_another_speed_loses_the_system_prompt() -> None:
    assert levels(chain(), chain(root=replace(ROOT, speed="fast"))) == "tools"


@pytest.mark.parametrize(
    "choice",
    [
        {"type": "any"},
        {"type": "none"},
        {"type": "tool", "name": "f"},
        {"type": "auto", "disable_parallel_tool_use": True},
    ],
    ids=["any", "none", "tool", "parallel"],
)
def test_tool_choice_loses_the_messages(choice: dict[str, Any]) -> None:
    assert levels(chain(), chain(tool_choice=choice)) == "tools system"


def test_tool_choice_that_is_the_default_loses_nothing() -> None:
    assert levels(chain(), chain(tool_choice={"type": "auto"})) == "tools system messages"


def test_first_image_loses_the_messages() -> None:
    later = [*TALK[:2], user([text("c"), PIXEL])]
    assert levels(chain(), chain(*later)) == "tools system"
    inside = [user("a"), assistant([call("x")]), user([result("x", [PIXEL])])]
    assert levels(chain(), chain(*inside)) == "tools system"


def test_another_image_loses_nothing_before_it() -> None:
    one = [user([text("a"), PIXEL]), assistant("b"), user("c")]
    two = [*one[:2], user([text("c"), PIXEL])]
    assert levels(chain(*one), chain(*two)) == "tools system messages"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"type": "disabled"}, {"type": "adaptive"}),
        ({"type": "disabled"}, {"type": "enabled", "budget_tokens": 1024}),
        (
            {"type": "enabled", "budget_tokens": 1024},
            {"type": "enabled", "budget_tokens": 2048},
        ),
    ],
    ids=["adaptive", "enabled", "budget"],
)
def test_thinking_loses_the_messages(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert (
        levels(chain(thinking=before, max_tokens=4096), chain(thinking=after, max_tokens=4096))
        == "tools system"
    )


def test_disabled_thinking_is_the_default() -> None:
    assert levels(chain(), chain(thinking={"type": "disabled"})) == "tools system messages"


def test_effort_loses_the_messages() -> None:
    assert levels(chain(), chain(output_config={"effort": "low"})) == "tools system"


@pytest.mark.parametrize("default", ["high", "medium"])
def test_explicit_default_effort_is_as_good_as_none(default: str) -> None:
    root = replace(ROOT, default_effort=default)
    explicit = chain(root=root, output_config={"effort": default})
    assert levels(chain(root=root), explicit) == "tools system messages"


def test_effort_in_a_system_message_loses_nothing() -> None:
    directive = {"role": "system", "content": [], "output_config": {"effort": "low"}}
    assert levels(chain(), chain(*TALK, directive)) == "tools system messages"


def test_format_loses_the_system_prompt() -> None:
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    form = {"format": {"type": "json_schema", "schema": schema}}
    assert levels(chain(), chain(output_config=form)) == "tools"
    other = {"format": {"type": "json_schema", "schema": {**schema, "description": "New"}}}
    assert levels(chain(output_config=form), chain(output_config=other)) == "tools"


def without_thinking(prompt: Prompt) -> Prompt:
    return rewrite(prompt, lambda block: () if isinstance(block, ThinkingParam) else (block,))


def test_dropped_thinking_loses_what_stands_behind_it_alone() -> None:
    """A model that strips old thinking, and thinking that is not of this server, are one case."""
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "s"}
    prompt = prompt_of(user("a"), assistant([thought, text("b")]), user("c"), tools=TOOLS)
    kept, dropped = chain_of(prompt, ROOT), chain_of(without_thinking(prompt), ROOT)
    assert kept.prefixes[:3] == dropped.prefixes[:3]
    assert not set(kept.prefixes[3:]) & set(dropped.prefixes)


def test_system_message_at_the_end_keeps_the_prefix() -> None:
    before, after = chain(), chain(*TALK, system("Be brief"))
    assert after.prefixes[: len(before.prefixes)] == before.prefixes


@pytest.mark.parametrize(
    "ignored",
    [
        {"max_tokens": 7},
        {"temperature": 0.5},
        {"stop_sequences": ["."]},
        {"metadata": {"user_id": "u"}},
        {"stream": True},
    ],
    ids=lambda field: next(iter(field)),
)
def test_what_no_prompt_contains_loses_nothing(ignored: dict[str, Any]) -> None:
    assert chain(**ignored).prefixes == chain().prefixes
