from typing import Any

import pytest

from antiphon.core.prompt import Breakpoint, Turn
from antiphon.core.validation.breakpoints import breakpoints_of
from antiphon.wire.base import CacheControlParam
from antiphon.wire.content import ThinkingParam
from antiphon.wire.messages import CreateMessageParams
from antiphon.wire.tools import CustomToolParam, ToolParam
from support.requests import (
    EPHEMERAL,
    able,
    assistant,
    call,
    refusal,
    result,
    system,
    text,
    tool,
    turn_texts,
    user,
)


def test_four_breakpoints_are_taken() -> None:
    blocks = [text("a", "1h"), text("b", "5m")]
    assert (
        len(turn_texts(user(blocks), system=blocks[:1], cache_control={"type": "ephemeral"})) == 2
    )


def test_fifth_breakpoint_is_refused() -> None:
    blocks = [text("a", "5m"), text("b", "5m")]
    assert refusal(user(blocks), assistant(), user(blocks), system=blocks[:1]) == (
        "A maximum of 4 blocks with cache_control may be provided. Found 5."
    )


def test_automatic_breakpoint_counts_towards_the_maximum() -> None:
    blocks = [text("a", "5m"), text("b", "5m")]
    sentence = refusal(user([*blocks, text("c")]), system=blocks, cache_control=EPHEMERAL)
    assert sentence.endswith("Found 5.")


@pytest.mark.parametrize(
    ("system_ttl", "ttls", "path"),
    [
        ("1h", ["5m", "1h"], "messages.0.content.1"),
        ("5m", ["1h"], "messages.0.content.0"),
        ("5m", [None, "5m", "1h"], "messages.0.content.2"),
    ],
)
def test_long_breakpoint_after_a_short_one_is_refused(
    system_ttl: str, ttls: list[str | None], path: str
) -> None:
    blocks = [text("a", ttl) for ttl in ttls]
    assert refusal(user(blocks), system=[text("s", system_ttl)]) == (
        f"{path}.cache_control.ttl: a ttl='1h' cache_control block must not come after a "
        "ttl='5m' cache_control block. Note that blocks are processed in the following order: "
        "`tools`, `system`, `messages`."
    )


LONG = "a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block. "


def test_long_automatic_breakpoint_after_a_short_one_is_refused() -> None:
    automatic = {"type": "ephemeral", "ttl": "1h"}
    messages = [user([text("a", "5m"), text("b")])]
    assert refusal(*messages, cache_control=automatic).startswith(f"cache_control.ttl: {LONG}")


def test_automatic_breakpoint_on_a_marked_block_does_not_count() -> None:
    blocks = [text("a", "5m"), text("b", "5m")]
    assert turn_texts(user(blocks), assistant(), user(blocks), cache_control=EPHEMERAL)


def test_automatic_breakpoint_of_another_ttl_on_a_marked_block_is_refused() -> None:
    assert refusal(user([text("a", "1h")]), cache_control=EPHEMERAL) == (
        "cache_control: the last block has a breakpoint with ttl='1h', so the automatic one cannot "
        "have ttl='5m'"
    )


def test_breakpoints_of_tools_come_first() -> None:
    short, long = ({"type": "ephemeral", "ttl": ttl} for ttl in ("5m", "1h"))
    assert able(tools=[tool("a", cache_control=long), tool("b", cache_control=short)]).tools
    tools = [tool("a", cache_control=short), tool("b", cache_control=long)]
    assert refusal(tools=tools).startswith(f"tools.1.cache_control.ttl: {LONG}")
    assert refusal(system=[text("s", "1h")], tools=tools[:1]).startswith(
        f"system.0.cache_control.ttl: {LONG}"
    )


def test_breakpoints_of_tools_count_towards_the_maximum() -> None:
    tools = [tool(name, cache_control=EPHEMERAL) for name in "abc"]
    tools.append({"type": "bash_20250124", "name": "bash", "cache_control": EPHEMERAL})
    assert len(able(tools=tools).tools) == 4
    assert refusal(user([text("a", "5m")]), tools=tools).endswith("Found 5.")


@pytest.mark.parametrize(
    "block",
    [
        {
            "type": "search_result",
            "source": "s",
            "title": "t",
            "content": [text("a", "5m"), text("b", "1h")],
        },
        {
            "type": "document",
            "source": {"type": "content", "content": [text("a", "5m"), text("b", "1h")]},
        },
    ],
    ids=lambda block: block["type"],
)
def test_long_breakpoint_after_a_short_one_inside_of_a_block_is_refused(
    block: dict[str, Any],
) -> None:
    assert refusal(user([block])).startswith("messages.0.content.0.content.1.cache_control.ttl: ")


def test_breakpoint_inside_of_a_result_comes_before_that_of_the_result() -> None:
    answer = result("x", [text("a", "5m")], cache_control={"type": "ephemeral", "ttl": "1h"})
    assert refusal(user(), assistant([call("x")]), user([answer])).startswith(
        "messages.2.content.0.cache_control.ttl: "
    )


def test_blocks_without_cache_control_are_not_counted_as_breakpoints() -> None:
    thought = {"type": "thinking", "thinking": "Hm.", "signature": ""}
    plain = {"type": "document", "source": {"type": "url", "url": "x"}}
    messages = [user(), assistant([thought, call("x")]), user([result("x"), plain])]
    assert refusal(*messages, cache_control=EPHEMERAL).endswith("not 'url'")


def places(*messages: Any, **fields: Any) -> list[tuple[int | None, tuple[int, ...], str]]:
    prompt = able(*messages, **fields)
    return [(one.turn, one.path, one.ttl) for one in prompt.breakpoints]


def test_breakpoints_reach_the_prompt_in_its_order() -> None:
    long = {"type": "ephemeral", "ttl": "1h"}
    results = result("a", [text("one", "1h"), text("two")], cache_control=EPHEMERAL)
    assert places(
        user(),
        assistant([call("a", cache_control=long)]),
        user([results]),
        tools=[tool("f", cache_control=long), tool()],
    ) == [
        (None, (0,), "1h"),
        (1, (0,), "1h"),
        (2, (0, 0), "1h"),
        (2, (0,), "5m"),
    ]


def test_breakpoint_counts_the_blocks_of_the_messages_before_it_in_its_turn() -> None:
    assert places(
        user([text("a"), text("b", "1h")]),
        user("c"),
        user([text("d", "5m")]),
        system=[text("s", "1h")],
    ) == [(0, (0,), "1h"), (1, (1,), "1h"), (1, (3,), "5m")]


def test_blocks_of_a_prompt_carry_no_breakpoints() -> None:
    assert able(user([text("a", "5m")])).turns == able(user([text("a")])).turns


@pytest.mark.parametrize(
    ("messages", "place"),
    [
        ([user("a"), assistant("b"), user("c")], (2, (0,))),
        ([user([text("a"), text("b")])], (0, (1,))),
        # An earlier turn may end with what cannot have a breakpoint.
        (
            [
                user([text("a"), text("b")]),
                assistant([{"type": "redacted_thinking", "data": "x"}]),
            ],
            (0, (1,)),
        ),
    ],
)
def test_automatic_breakpoint_lies_behind_the_last_block_that_may_have_one(
    messages: list[Any], place: tuple[int, tuple[int, ...]]
) -> None:
    assert places(*messages, cache_control=EPHEMERAL) == [(*place, "5m")]


def test_automatic_breakpoint_on_a_marked_block_adds_none() -> None:
    assert places(user([text("a", "5m")]), cache_control=EPHEMERAL) == [(0, (0,), "5m")]


@pytest.mark.parametrize(
    ("tools", "expected"),
    [
        ([], ()),
        ([CustomToolParam(name="look", input_schema={})], (Breakpoint(None, (0,), "5m"),)),
    ],
)
def test_automatic_breakpoint_behind_no_block_is_on_the_last_tool(
    tools: list[ToolParam], expected: tuple[Breakpoint, ...]
) -> None:
    mark = CacheControlParam(type="ephemeral")
    params = CreateMessageParams(
        model="m", max_tokens=1, messages=[], tools=tools, cache_control=mark
    )
    thought = Turn("assistant", (ThinkingParam(thinking="hm", signature="s"),))
    assert breakpoints_of(params, [thought]) == expected


def test_automatic_breakpoint_passes_over_turn_scoped_messages() -> None:
    scoped = {**system("Quick"), "clear_at": "next_user_message"}

    def automatic(*messages: dict[str, Any], **fields: Any) -> tuple[int | None, int]:
        (one,) = able(*messages, cache_control=EPHEMERAL, **fields).breakpoints
        return one.turn, one.path[0]

    assert automatic(user([text("a"), text("b")]), scoped) == (0, 1)
    assert automatic(user("a"), scoped, scoped, system="S") == (1, 0)
    assert automatic(user("a"), system([text("b"), text("c")]), scoped) == (1, 1)
    assert automatic(user("a"), scoped, system("b")) == (1, 1)
    assert automatic(user("a"), scoped, assistant("b")) == (2, 0)
    # Once it is cleared it takes no place.
    assert automatic(user("a"), scoped, assistant("b"), user("c")) == (2, 0)
    assert automatic(user("a"), system("b"), assistant("c"), user("d"), scoped) == (3, 0)
