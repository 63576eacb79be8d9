from msgspec.structs import replace

from antiphon.core.breakpoints import marks_in, turns_with_marks, without_marks
from antiphon.core.prompt import Breakpoint, Prompt, Turn
from antiphon.wire.base import CacheControlParam
from antiphon.wire.content import SearchResultParam, TextParam, ThinkingParam, ToolResultParam
from support.tool_changes import add, define

LONG = CacheControlParam(type="ephemeral", ttl="1h")
SHORT = CacheControlParam(type="ephemeral")
FOUND = SearchResultParam(
    source="s", title="t", content=[TextParam(text="one", cache_control=LONG)], cache_control=SHORT
)
RESULT = ToolResultParam(tool_use_id="toolu_1", content=[FOUND], cache_control=SHORT)
MARKED = (Turn("user", (RESULT, TextParam(text="two", cache_control=SHORT))),)
BREAKPOINTS = (
    Breakpoint(0, (0, 0, 0), "1h"),
    Breakpoint(0, (0, 0)),
    Breakpoint(0, (0,)),
    Breakpoint(0, (1,)),
)


def test_breakpoints_inside_of_a_block_come_before_its_own() -> None:
    assert list(marks_in(MARKED[0].content)) == [
        ((0, 0, 0), LONG),
        ((0, 0), SHORT),
        ((0,), SHORT),
        ((1,), SHORT),
    ]


def test_breakpoints_come_off_their_blocks_and_go_on_again() -> None:
    prompt = without_marks(Prompt(MARKED, max_tokens=1, breakpoints=BREAKPOINTS))
    assert list(marks_in(prompt.turns[0].content)) == []
    assert prompt.breakpoints == BREAKPOINTS
    assert turns_with_marks(prompt) == MARKED


def test_block_that_cannot_carry_a_breakpoint_has_none() -> None:
    thinking = ThinkingParam(thinking="So.", signature="s")
    turns = (Turn("user", (TextParam(text="Hi"),)), Turn("assistant", (thinking,)))
    prompt = Prompt(turns, max_tokens=1, breakpoints=(Breakpoint(1, (0,)),))
    assert turns_with_marks(prompt) == turns


def test_breakpoint_of_a_defined_tool_is_that_of_its_block() -> None:
    inside = define("a", cache_control={"type": "ephemeral", "ttl": "1h"})
    assert list(marks_in([inside])) == [((0,), LONG)]
    turns = (Turn("user", (TextParam(text="Hi"),)), Turn("system", (inside,)))
    prompt = without_marks(Prompt(turns, max_tokens=1, breakpoints=(Breakpoint(1, (0,), "1h"),)))
    assert prompt.turns[1].content == (define("a"),)
    on = replace(define("a"), cache_control=LONG)
    assert turns_with_marks(prompt)[1].content == (on,)
    named = (Turn("system", (replace(add("a"), cache_control=SHORT),)),)
    prompt = without_marks(Prompt(named, max_tokens=1, breakpoints=(Breakpoint(0, (0,)),)))
    assert prompt.turns[0].content == (add("a"),)
