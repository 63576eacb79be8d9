"""Where the breakpoints of a prompt lie among its tokens."""

import asyncio
from collections.abc import Iterator
from functools import cache
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from antiphon.core.blocks import UnknownBlockError, walk
from antiphon.core.prompt import Breakpoint, Prompt, Tool, Turn
from antiphon.engines.token.prompt.edges import BlockEnds, Edge
from antiphon.engines.token.prompt.images import ImageMarks
from antiphon.engines.token.prompt.placeholders import Segment, in_json
from antiphon.engines.token.prompt.template import ChatTemplate
from antiphon.engines.token.prompt.tokens import RenderedPrompt, Tokenizer
from antiphon.wire.content import (
    DocumentParam,
    ImageParam,
    PlainTextSource,
    TextParam,
    ThinkingParam,
    ToolResultParam,
    ToolUseParam,
)
from support.images import image_param
from support.templates import CHATML, LLAMA_LIKE, NO_SYSTEM, QWEN_LIKE, SYSTEM_FIRST, TRIMMING
from support.word_machine import WordMachine

TEMPLATES = {
    "chatml": CHATML,
    "trimming": TRIMMING,
    "no system": NO_SYSTEM + CHATML,
    "qwen": QWEN_LIKE,
    "system before tools": SYSTEM_FIRST,
    "llama": LLAMA_LIKE,
}
LOOK = Tool(name="look", description="Look at it.", input_schema={"type": "object"})
FIND = Tool(name="find", description="Find it.", input_schema={"type": "object"})
BARE_TOOL = Tool(name="bare", input_schema={"type": "object"})

MOVING = (
    "{% for m in messages %}"
    "{% if m.role == 'user' and tools and loop.index0 == messages | map(attribute='role')"
    " | list | length - (2 if messages[-1].role == 'assistant' else 1) %}"
    "{{ tools | tojson }}{% endif %}<{{ m.role }}>{{ m.content }}"
    "{% for c in m.tool_calls or [] %}<call>{{ c.function.name }}:"
    "{{ c.function.arguments | tojson }}</call>{% endfor %}</{{ m.role }}>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
"""It writes the tools before the last question."""

texts = st.text(st.sampled_from("ab <|\n"), min_size=1, max_size=6).filter(str.strip)
users = st.lists(texts.map(lambda text: TextParam(text=text)), min_size=1, max_size=3)
results = st.one_of(texts, st.lists(texts.map(lambda text: TextParam(text=text)), max_size=3))


@st.composite
def rounds(draw: st.DrawFn) -> list[Turn]:
    """What a user says and a model answers; or a call, its result and an answer."""
    turns = [Turn("user", tuple(draw(users)))]
    if draw(st.booleans()):
        given = draw(st.sampled_from([{}, {"at": "a & b"}, {"n": 1}]))
        said = draw(st.lists(texts.map(lambda text: TextParam(text=text)), max_size=1))
        turns += [
            Turn("assistant", (*said, ToolUseParam(id="t", name="look", input=given))),
            Turn("user", (ToolResultParam(tool_use_id="t", content=draw(results)),)),
        ]
    return [*turns, Turn("assistant", tuple(draw(users)))]


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Prompt, Prompt]:
    """A prompt with breakpoints, and the same conversation after more was said, without them.

    Consecutive messages of the user are one turn, so the last turn may have become longer, too.
    """
    turns = [Turn("system", tuple(draw(users)))] if draw(st.booleans()) else []
    for _ in range(draw(st.integers(0, 2))):
        turns += draw(rounds())
    last = Turn("user", tuple(draw(users)))
    more = [Turn("assistant", tuple(draw(users))), Turn("user", tuple(draw(users)))]
    tools = draw(st.sampled_from([(), (LOOK, FIND), (BARE_TOOL, LOOK), (BARE_TOOL,)]))
    more_content = tuple(draw(users)) if draw(st.booleans()) else ()
    short = (*turns, last)
    long = (*turns, Turn("user", (*last.content, *more_content)), *more)
    places = [(None, (index,)) for index in range(len(tools))]
    for index, turn in enumerate(short):
        for number, block in enumerate(turn.content):
            places.append((index, (number,)))
            if isinstance(block, ToolResultParam) and isinstance(block.content, list):
                places += [(index, (number, inner)) for inner in range(len(block.content))]
    wanted = draw(st.lists(st.sampled_from(places), min_size=1, max_size=4, unique=True))
    breakpoints = tuple(Breakpoint(*place) for place in sorted(wanted, key=in_order))
    return Prompt(short, 1, tools=tools, breakpoints=breakpoints), Prompt(long, 1, tools=tools)


def in_order(place: tuple[int | None, tuple[int, ...]]) -> tuple[int, tuple[float, ...]]:
    return (-1 if place[0] is None else place[0], (*place[1], inf))


@cache
def compiled(template: str) -> ChatTemplate:
    return ChatTemplate(template, bos="", eos="")


def rendered(template: str, *prompts: Prompt) -> tuple[WordMachine, list[RenderedPrompt]]:
    """Render prompts, and tokenize them by the same words."""
    machine = WordMachine()
    chat = compiled(template)

    async def render() -> list[RenderedPrompt]:
        tokenizer = await Tokenizer.open(machine.tokenize)
        return [await tokenizer.encode(chat.render(prompt)) for prompt in prompts]

    return machine, asyncio.run(render())


def prefixes(template: str, prompt: Prompt) -> list[str]:
    """Return what stands before each breakpoint."""
    machine, (one,) = rendered(template, prompt)
    return [machine.text_of(one.tokens[1 : edge.at]) for edge in one.breakpoints]


@given(st.sampled_from(list(TEMPLATES)), conversations())
def test_tokens_before_a_breakpoint_begin_the_longer_conversation(
    template: str, pair: tuple[Prompt, Prompt]
) -> None:
    machine, (short, long) = rendered(TEMPLATES[template], *pair)
    assert short.breakpoints
    for edge in short.breakpoints:
        assert 0 < edge.at <= len(short.tokens)
        before = machine.text_of(short.tokens[: edge.at])
        assert before == machine.text_of(long.tokens[: edge.at])
        assert short.tokens[: edge.at] == long.tokens[: edge.at]


@given(st.sampled_from(list(TEMPLATES)), conversations())
def test_prefix_has_all_blocks_up_to_the_breakpoint(
    template: str, pair: tuple[Prompt, Prompt]
) -> None:
    prompt, _ = pair
    for one in prompt.breakpoints:
        (text,) = prefixes(TEMPLATES[template], structs.replace(prompt, breakpoints=(one,)))
        at = 0
        for said in texts_until(prompt, one):
            forms = (said, in_json(said))  # some templates write a tool's result as JSON
            at = min(found for form in forms if (found := text.find(form, at)) >= 0) + len(said)
        tools = prompt.tools if one.turn is not None else prompt.tools[: one.path[0] + 1]
        assert all(f'"name": "{tool.name}"' in text for tool in tools)


def texts_until(prompt: Prompt, end: Breakpoint) -> Iterator[str]:
    """Yield what is said up to a breakpoint, without the space around it."""
    for index, turn in enumerate(prompt.turns if end.turn is not None else ()):
        for path, block in walk(turn.content):
            inside = path[: len(end.path)] == end.path
            if isinstance(block, TextParam) and (
                (index, path) <= (end.turn, end.path) or (index == end.turn and inside)
            ):
                yield block.text.strip()


@given(st.sampled_from(list(TEMPLATES)), conversations())
def test_breakpoints_change_no_token(template: str, pair: tuple[Prompt, Prompt]) -> None:
    prompt, _ = pair
    without = structs.replace(prompt, breakpoints=())
    _, (one, other) = rendered(TEMPLATES[template], prompt, without)
    assert one.tokens == other.tokens
    assert other.breakpoints == ()
    assert list(one.breakpoints) == sorted(one.breakpoints, key=lambda edge: edge.at)


SYSTEM = Turn("system", (TextParam(text="Be kind."), TextParam(text=" Today. ")))
QUESTION = Turn("user", (TextParam(text="A long text."), TextParam(text="Look?")))
CALL = Turn(
    "assistant", (TextParam(text="I do."), ToolUseParam(id="t", name="look", input={"at": "a b"}))
)
RESULT = Turn(
    "user",
    (
        ToolResultParam(tool_use_id="t", content=[TextParam(text="one"), TextParam(text="two")]),
        TextParam(text="Well?"),
    ),
)
TURNS = (SYSTEM, QUESTION, CALL, RESULT)


def asked(*places: tuple[int | None, tuple[int, ...]], **more: Any) -> Prompt:
    breakpoints = tuple(Breakpoint(*place) for place in places)
    return Prompt(TURNS, 1, tools=(LOOK, FIND), breakpoints=breakpoints, **more)


@pytest.mark.parametrize(
    ("place", "end"),
    [
        ((0, (0,)), "Be kind."),
        ((0, (1,)), " Today."),
        ((1, (0,)), "<|im_start|>user\nA long text."),
        ((1, (1,)), "A long text.\nLook?"),
        ((2, (0,)), "<|im_start|>assistant\nI do."),
        ((2, (1,)), '{"at": "a b"}}\n</tool_call>'),
        ((3, (0, 0)), "<|im_start|>user\n<tool_response>\none"),
        ((3, (0, 1)), "one\ntwo\n</tool_response>"),
        ((3, (0,)), "one\ntwo\n</tool_response>"),
        ((3, (1,)), "</tool_response>\nWell?"),
    ],
)
def test_breakpoint_lies_right_behind_the_text_of_its_block(
    place: tuple[int, tuple[int, ...]], end: str
) -> None:
    (text,) = prefixes(CHATML, asked(place))
    assert text.endswith(end)


def test_breakpoint_on_a_tool_lies_right_behind_its_line() -> None:
    first, second = prefixes(CHATML, asked((None, (0,)), (None, (1,))))
    assert first.endswith('"Look at it.", "parameters": {"type": "object"}}')
    assert second.startswith(first)
    assert second.endswith('"Find it.", "parameters": {"type": "object"}}')


@pytest.mark.parametrize(
    ("place", "end"),
    [
        ((None, (0,)), '{"name": "find", "description": "'),
        ((None, (1,)), "<|im_end|>\n<|im_start|>system\n"),
        ((0, (0,)), "Be kind."),
        ((2, (1,)), '"a b"}}\n</tool_call><|im_end|>\n<|im_start|>tool\n'),
        ((3, (0, 0)), "<|im_start|>tool\none"),
        ((3, (0,)), "one\ntwo"),
        ((3, (1,)), "two<|im_end|>\n<|im_start|>user\nWell?"),
    ],
)
def test_breakpoint_behind_what_the_template_writes_lies_before_the_next_text(
    place: tuple[int | None, tuple[int, ...]], end: str
) -> None:
    (text,) = prefixes(QWEN_LIKE, asked(place))
    assert text.endswith(end)


def test_breakpoint_on_a_system_prompt_before_the_tools_lies_behind_the_tools() -> None:
    (text,) = prefixes(SYSTEM_FIRST, asked((0, (1,))))
    assert text.endswith(
        '"Find it.", "parameters": {"type": "object"}}}\n<|im_end|>\n<|im_start|>user\n'
    )


def test_breakpoint_on_reasoning_lies_behind_the_block_before_it() -> None:
    reasoning = ThinkingParam(thinking="Hm.", signature="s")
    turns = (
        Turn("user", (TextParam(text="Why?"),)),
        Turn("assistant", (reasoning, TextParam(text="So."))),
        Turn("user", (TextParam(text="Oh."),)),
    )
    prompt = Prompt(turns, 1, breakpoints=(Breakpoint(1, (0,)),))
    (text,) = prefixes(CHATML + "{% if add_generation_prompt %}<think>\n{% endif %}", prompt)
    assert text.endswith("user\nWhy?")


def test_breakpoint_before_any_token_has_no_prefix() -> None:
    prompt = Prompt((Turn("user", (TextParam(text=" "), TextParam(text="a"))),), 1)
    nothing = structs.replace(prompt, breakpoints=(Breakpoint(0, (0,)),))
    assert prefixes(CHATML, nothing) == []


def test_breakpoint_before_the_first_text_has_no_edge() -> None:
    ends = BlockEnds()
    ends.add((None, (0,)), 0, with_text=False)
    ends.begin_turns(0)
    ends.add((0, (0,)), 1, with_text=True)
    both = (Breakpoint(None, (0,), "1h"), Breakpoint(0, (0,)))
    assert ends.edges(both, {0: (0, 1)}) == (Edge(1, "5m"),)


def test_two_breakpoints_at_one_edge_have_one_size() -> None:
    two = (Breakpoint(0, (0,), "1h", 0), Breakpoint(0, (1,), "5m", 2))
    turns = (Turn("user", (TextParam(text="a"), TextParam(text="  "))),)
    _, (one,) = rendered(CHATML, Prompt(turns, 1, breakpoints=two))
    first, second = one.breakpoints
    assert (first.ttl, second.ttl, first.at) == ("1h", "5m", second.at)
    assert one.prefix_sizes == (first.at, 0, first.at)


def test_prefix_that_a_template_ends_first_has_the_size_of_the_one_before_it() -> None:
    moved = RenderedPrompt([1, 2, 3], (Edge(3, "5m", 0), Edge(2, "5m", 1)))
    assert moved.prefix_sizes == (3, 3)
    assert RenderedPrompt([1]).prefix_sizes == ()


def test_edge_behind_an_image_is_behind_its_part() -> None:
    content = (TextParam(text="See"), image_param(), TextParam(text="Well?"))
    breakpoints = (Breakpoint(0, (1,)), Breakpoint(0, (2,)))
    marks = ImageMarks(Prompt((Turn("user", content),), 1, breakpoints=breakpoints))
    split = marks.split_at_marks(compiled(CHATML).render(marks.prompt))
    assert split is not None
    parts, (behind_image, behind_text) = split
    assert isinstance(parts[behind_image.at - 1], ImageParam)
    assert parts[behind_text.at - 1] == Segment("Well?", control=False)


@pytest.mark.parametrize("native", [CHATML, QWEN_LIKE])
@pytest.mark.parametrize(
    "unknown",
    [DocumentParam(source=PlainTextSource(data="x", media_type="text/plain")), image_param()],
)
def test_block_that_cannot_be_shown_is_refused(native: str, unknown: Any) -> None:
    chat = compiled(native)
    result = ToolResultParam(tool_use_id="t", content=[unknown])
    for content in ((unknown,), (result,), (result, unknown)):
        with pytest.raises(UnknownBlockError):
            chat.render(Prompt((Turn("user", content),), 1))


@pytest.mark.parametrize("tools", [(LOOK, FIND), (BARE_TOOL,)])
def test_prefixes_have_no_tools_where_these_move(tools: tuple[Tool, ...]) -> None:
    chat = ChatTemplate(MOVING, bos="", eos="")
    said = [
        Turn(role, (TextParam(text=f"{role}, {number}"),))
        for number, role in enumerate(("system", "user", "assistant", "user"))
    ]
    places = [(None, (0,)), *((turn, (0,)) for turn in range(len(said)))]
    prompt = Prompt(
        tuple(said), 1, tools=tools, breakpoints=tuple(Breakpoint(*place) for place in places)
    )
    rendered = chat.render(prompt)
    prefixes = [
        "".join(one.text for one in rendered.segments[: edge.at]) for edge in rendered.edges
    ]
    assert [prefix.endswith(", 1") for prefix in prefixes[:3]] == [False, True, False]
    assert len(prefixes) == 4
    assert not any(tools[0].name in prefix for prefix in prefixes[:3])
    assert tools[0].name in prefixes[3]
