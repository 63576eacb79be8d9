"""The prompts of the scripted engine: what they cost up to a breakpoint, and what is kept."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.prompt import Breakpoint, Prompt, Tool, Turn
from antiphon.core.prompt_cache import MINIMUM_TOKENS
from antiphon.engines.base import Confirmation, EngineConfig, EngineError, Started
from antiphon.engines.scripted import ScriptedEngine, ScriptedOptions, open_scripted
from antiphon.engines.scripted_prompt import TURN_TOKENS, count_prompt
from antiphon.schemas.steps import Work
from antiphon.wire.content import (
    ContentParam,
    TextParam,
    ThinkingParam,
    ToolResultParam,
    ToolUseParam,
)
from support.conversation import all_events, turn

pytestmark = pytest.mark.anyio

WORDS = " a" * MINIMUM_TOKENS


class Clock:
    """Sleeps in no time, and remembers for how long."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def engine(clock: Clock | None = None, **options: Any) -> ScriptedEngine:
    return ScriptedEngine(msgspec.convert(options, ScriptedOptions), (clock or Clock()).sleep)


def marked(*texts: str, at: tuple[int, ...] | None = None, salt: str = "") -> Prompt:
    """Return one turn, with breakpoints behind these of its texts; by default behind the last."""
    where = (len(texts) - 1,) if at is None else at
    marks = tuple(Breakpoint(0, (index,), "5m", number) for number, index in enumerate(where))
    return Prompt((turn("user", *texts),), 10, breakpoints=marks, cache_salt=salt)


async def confirmation(scripted: ScriptedEngine, prompt: Prompt) -> Confirmation:
    started = (await all_events(scripted, prompt))[0]
    assert isinstance(started, Started)
    assert started.confirmed is not None
    return started.confirmed


# Sizes.


def test_sizes_count_tools_then_turns() -> None:
    tool = Tool(name="look", input_schema={"type": "object"})
    call = ToolUseParam(id="t", name="look", input={})
    result = ToolResultParam(tool_use_id="t", content=[TextParam(text="one two")])
    turns = (
        Turn("system", (TextParam(text="a b"),)),
        Turn("user", (TextParam(text="c d e"),)),
        Turn("assistant", (ThinkingParam(thinking="hmm", signature="s"), call)),
        Turn("user", (result,)),
    )
    places = ((None, (0,)), (0, (0,)), (1, (0,)), (3, (0, 0)), (3, (0,)))
    marks = tuple(Breakpoint(turn, path, "5m", i) for i, (turn, path) in enumerate(places))
    counted = count_prompt(Prompt(turns, 1, tools=(tool,), breakpoints=marks), Work())
    tools, system, question, inside, end = counted.size.breakpoints
    assert system - tools == TURN_TOKENS + 2
    assert question - system == TURN_TOKENS + 3
    assert inside == end == counted.size.tokens
    assert len(counted.ends) == 1 + 1 + 1 + 2 + 2


def test_breakpoint_that_is_gone_has_no_size() -> None:
    prompt = Prompt((turn("user", "a b"),), 1, breakpoints=(Breakpoint(0, (0,), "5m", 2),))
    assert count_prompt(prompt, Work()).size.breakpoints == (0, 0, TURN_TOKENS + 2)


BLOCKS: st.SearchStrategy[ContentParam] = st.one_of(
    st.builds(TextParam, text=st.text()),
    st.builds(ToolUseParam, id=st.just("t"), name=st.just("f"), input=st.just({"a": "b c"})),
    st.builds(
        ToolResultParam,
        tool_use_id=st.just("t"),
        content=st.lists(st.builds(TextParam, text=st.text()), max_size=3),
    ),
)
TURNS = st.lists(
    st.builds(
        Turn, st.sampled_from(["user", "assistant"]), st.lists(BLOCKS, max_size=4).map(tuple)
    ),
    min_size=1,
    max_size=4,
).filter(lambda turns: any(one.content for one in turns))


@given(TURNS, st.data())
def test_size_of_a_prefix_is_the_same_in_every_prompt_that_begins_so(
    turns: list[Turn], data: st.DataObject
) -> None:
    places = [(t, (b,)) for t, one in enumerate(turns) for b in range(len(one.content))]
    at, path = data.draw(st.sampled_from(places))
    mark = Breakpoint(at, path)
    whole = count_prompt(Prompt(tuple(turns), 1, breakpoints=(mark,)), Work())
    cut = Turn(turns[at].role, turns[at].content[: path[0] + 1])
    prefix = Prompt((*turns[:at], cut), 1, breakpoints=(mark,))
    counted = count_prompt(prefix, Work())
    assert counted.size.breakpoints == (counted.size.tokens,) == whole.size.breakpoints
    assert counted.marked == whole.marked
    assert counted.size.tokens <= whole.size.tokens
    plain = count_prompt(Prompt(tuple(turns), 1), Work())
    assert (plain.size.tokens, plain.ends) == (whole.size.tokens, ())


def test_other_content_is_another_prefix() -> None:
    prompts = [
        marked("a", "b", at=(1,)),
        marked("ab", "", at=(1,)),
        marked("a", "b", at=(1,), salt="s"),
        Prompt((turn("assistant", "a", "b"),), 1, breakpoints=(Breakpoint(0, (1,)),)),
    ]
    keys = {count_prompt(prompt, Work()).marked[0].key for prompt in prompts}
    assert len(keys) == len(prompts)


# Prefixes.


async def test_prefix_is_kept_when_its_answer_begins() -> None:
    scripted = engine()
    prompt = marked(WORDS)
    assert (await confirmation(scripted, prompt)).reused == 0
    assert (await confirmation(scripted, marked(WORDS, "more", at=(1,)))).reused == (
        TURN_TOKENS + MINIMUM_TOKENS
    )


async def test_prefix_of_a_failed_answer_is_not_kept() -> None:
    scripted = engine(replies=[{"when": "fail", "error": "failed"}])
    with pytest.raises(EngineError):
        await confirmation(scripted, marked(WORDS, "fail", at=(0,)))
    assert (await confirmation(scripted, marked(WORDS))).reused == 0


async def test_answer_that_has_not_begun_has_stored_nothing() -> None:
    scripted = engine()
    first, second = (scripted.generate(marked(WORDS)) for _ in range(2))
    for events in (first, second):
        started = await anext(events)
        assert isinstance(started, Started)
        assert started.confirmed is not None
        assert started.confirmed.reused == 0
    await first.aclose()
    await second.aclose()


async def test_prefix_below_the_minimum_is_not_kept() -> None:
    config = EngineConfig("m", cache_minimum_tokens=TURN_TOKENS + 3)
    scripted = await open_scripted(config)
    confirmed = await confirmation(scripted, marked("a b", " c", at=(0, 1)))
    assert confirmed.stored == {TURN_TOKENS + 3}
    assert (await confirmation(scripted, marked("a b", " d"))).reused == 0
    assert (await confirmation(scripted, marked("a b", " c", " d"))).reused == TURN_TOKENS + 3


async def test_prefixes_that_were_used_last_are_kept() -> None:
    scripted = engine(kept_prefixes=2)
    one, two, three = (marked(name + WORDS) for name in ("one", "two", "three"))
    for prompt in (one, two, one, three):
        await confirmation(scripted, prompt)
    assert (await confirmation(scripted, one)).reused
    assert (await confirmation(scripted, two)).reused == 0


async def test_engine_with_too_little_room_confirms_the_longest_prefixes() -> None:
    confirmed = await confirmation(engine(kept_prefixes=1), marked(WORDS, WORDS, at=(0, 1)))
    assert confirmed.stored == {confirmed.breakpoints[1]}


async def test_engine_without_a_prompt_cache_confirms_nothing() -> None:
    scripted = engine(kept_prefixes=0)
    assert not scripted.capabilities.keeps_prefixes
    started = (await all_events(scripted, marked(WORDS)))[0]
    assert isinstance(started, Started)
    assert started.confirmed is None


async def test_reused_tokens_take_no_time() -> None:
    clock = Clock()
    scripted = engine(clock, prefill_tokens_per_second=10)
    await confirmation(scripted, marked(WORDS))
    await confirmation(scripted, marked(WORDS, " b c d"))
    assert clock.slept == [(TURN_TOKENS + MINIMUM_TOKENS) / 10, 3 / 10]
