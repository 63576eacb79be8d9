"""The tokens of a conversation begin the tokens of the same conversation after one more turn.

This holds for every template that llama.cpp collects, and in both thinking modes, except where the
template itself takes back what it has written: `STRIPPING` and `DATED` list these places.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from itertools import count, pairwise
from pathlib import Path
from typing import TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.core.late_tools import OfferedTools, with_described_tools
from antiphon.core.prompt import Breakpoint, Prompt, Thinking, Tool, Turn
from antiphon.engines.token.prompt.placeholders import Segment
from antiphon.engines.token.prompt.template import ChatTemplate
from antiphon.engines.token.prompt.template_writer import TemplateUnusableError
from antiphon.engines.token.prompt.tokens import Tokenizer
from antiphon.wire.content import (
    TextParam,
    ThinkingParam,
    ToolReferenceParam,
    ToolResultParam,
    ToolUseParam,
)
from engines.token.conftest import NOW, Clock, Compiled
from support.conversation import turn
from support.examples import examples
from support.template_corpus import NAMES, every_other, template_corpus
from support.tool_changes import add, define, remove
from support.word_machine import WordMachine

pytestmark = pytest.mark.anyio

Turns: TypeAlias = tuple[Turn, ...]
Stripped: TypeAlias = Callable[[Turns, Turns], int | None]
"""Of a conversation and what is said next: the first turn whose reasoning is then taken back."""


def after_the_last_question(begun: Turns, more: Turns) -> int | None:
    """The reasoning behind the last question is shown until there is another question."""
    return next(iter(reasoned(begun, asked(begun)[-1])), None) if asked(more) else None


def answers_after_the_last_question(begun: Turns, more: Turns) -> int | None:
    """The same, also of an answer that has no reasoning: it is written as an empty one."""
    return first_answer(begun, asked(begun)[-1]) if asked(more) else None


def after_the_last_directive(begun: Turns, more: Turns) -> int | None:
    """As behind a question, also behind a directive: it is said by the user."""
    return next(iter(reasoned(begun, directed(begun)[-1])), None) if directed(more, 1) else None


def answers_after_the_last_directive(begun: Turns, more: Turns) -> int | None:
    return first_answer(begun, directed(begun)[-1]) if directed(more, 1) else None


def calls_after_the_last_question(begun: Turns, more: Turns) -> int | None:
    """Only the reasoning of calls is shown, until there is another question."""
    if not asked(more):
        return None
    found = reasoned(begun, asked(begun)[-1])
    return next((index for index in found if not is_final(begun[index])), None)


def before_the_first_answer(begun: Turns, more: Turns) -> int | None:
    """Reasoning is shown until the first answer that calls no tool, and that behind it for good."""
    if any(map(is_final, begun)) or not any(map(is_final, more)):
        return None
    return next(iter(reasoned(begun, 0)), None)


def at_a_call_until_a_text(begun: Turns, more: Turns) -> int | None:
    """The reasoning before a call is shown until there is a text; that before a text is not."""
    if not any(map(says, more)):
        return None
    said = [index for index, one in enumerate(begun) if says(one)]
    return next(iter(reasoned(begun, max(said, default=-1) + 1)), None)


def asked(turns: Turns) -> list[int]:
    return [index for index, one in enumerate(turns) if one.role == "user" and one.texts]


def directed(turns: Turns, first: int = 0) -> list[int]:
    """Return the questions, and the directives but one in turn 0; `first` is the first's number."""
    return [
        index
        for index, one in enumerate(turns)
        if (one.role == "user" and one.texts) or (one.role == "system" and index + first > 0)
    ]


def says(one: Turn) -> bool:
    return one.role == "assistant" and bool(one.texts)


def is_final(one: Turn) -> bool:
    calls = any(isinstance(block, ToolUseParam) for block in one.content)
    return one.role == "assistant" and not calls


def first_answer(turns: Turns, start: int) -> int | None:
    answers = (index for index, one in enumerate(turns) if one.role == "assistant")
    return next((index for index in answers if index >= start), None)


def reasoned(turns: Turns, start: int) -> list[int]:
    return [
        index
        for index, one in enumerate(turns)
        if index >= start and any(isinstance(block, ThinkingParam) for block in one.content)
    ]


STRIPPING: Mapping[str, Stripped] = {
    "GLM-4.6": after_the_last_question,
    "GLM-4.7-Flash": after_the_last_question,
    "Kimi-K2-Thinking": before_the_first_answer,
    "LFM2.5-8B-A1B": after_the_last_question,
    "MiniMax-M2": after_the_last_directive,
    "NVIDIA-Nemotron-3-Nano-30B-A3B-BF16": after_the_last_question,
    "Qwen-Qwen3-0.6B": after_the_last_question,
    "Qwen3.5-4B": answers_after_the_last_directive,
    "Reka-Edge": after_the_last_directive,
    "StepFun3.5-Flash": answers_after_the_last_question,
    "google-gemma-4-31B-it": calls_after_the_last_question,
    "google-gemma-4-31B-it-interleaved": calls_after_the_last_question,
    "upstage-Solar-Open-100B": after_the_last_directive,
    "deepseek-ai-DeepSeek-V3.2": answers_after_the_last_directive,
    "openai-gpt-oss-120b": at_a_call_until_a_text,
    "openbmb-MiniCPM5-1B": after_the_last_question,
}
"""Templates that take back reasoning, and from where.

Others strip reasoning, too, but only such as was never in a prompt that ended with a question or a
result: the results of tools are the user's to them.
"""

AT_AN_ANSWER = (before_the_first_answer, at_a_call_until_a_text)
"""Rules by which an answer takes thoughts back, and not the question behind it."""

MOVING: Mapping[str, bool] = {
    "Mistral-Small-3.2-24B-Instruct-2506": False,
    "mistralai-Mistral-Nemo-Instruct-2407": True,
}
"""Templates that write tools before the last question; true: the user says the system prompt."""


def before_the_last_question(begun: Turns, more: Turns) -> int | None:
    """Tools move to the last question, and stand before all that are equal to it, too.

    Between a text and its calls there is an empty one.
    """
    before, after = described_at(begun), described_at((*begun, *more))
    return min((before ^ after) & set(range(len(begun))), default=None)


def described_at(turns: Turns) -> set[int]:
    places = [index for index in range(len(turns)) if asks(turns, index)]
    if turns[places[-1]].role != "assistant":
        return {places[-1]}
    return {place for place in places if turns[place].role == "assistant"}


def asks(turns: Turns, index: int) -> bool:
    one = turns[index]
    if one.role == "assistant":
        return says(one) and not is_final(one)
    if any(isinstance(block, ToolResultParam) for block in one.content):
        return False
    # What is said behind a result joins it, and so does a directive behind a question.
    first = 1 if turns[0].role == "system" else 0
    return index == first or (index > first and turns[index - 1].role == "assistant")


THINKING_ONLY = {"Reka-Edge", "deepseek-ai-DeepSeek-V3.2"}
"""Those of them that show no reasoning at all to a model that shall not reason."""

DATED: Mapping[str, tuple[bool, bool]] = {
    "Apertus-8B-Instruct": (True, False),
    "Mistral-Small-3.2-24B-Instruct-2506": (True, False),
    "fireworks-ai-llama-3-firefunction-v2": (True, False),
    "ibm-granite-granite-3.3-2B-Instruct": (True, False),
    "meta-llama-Llama-3.2-3B-Instruct": (True, True),
    "muse-glimmer": (True, False),
    "openai-gpt-oss-120b": (True, True),
    "upstage-Solar-Open-100B": (True, True),
}
"""Templates that write the date first: without a system prompt, and with one.

At midnight a conversation is read again from there. No template writes the time of the day.
"""

MODES = (Thinking(), Thinking(mode="enabled", budget=4000))
TOOLS = tuple(
    Tool(
        name=name,
        description=f"To {name} at a place.",
        input_schema={"type": "object", "properties": {"at": {"type": "string"}}},
    )
    for name in ("look", "find")
)


@pytest.fixture(scope="module", params=every_other(NAMES))
def name(request: pytest.FixtureRequest) -> str:
    """Each template; all its tests run one after another, so that one worker compiles it."""
    assert isinstance(request.param, str)
    return request.param


def thought(text: str) -> ThinkingParam:
    return ThinkingParam(thinking=text, signature="s")


def call(number: int) -> ToolUseParam:
    return ToolUseParam(id=f"toolu_{number}", name="look", input={"at": f"place {number}"})


def result(number: int, *texts: str) -> ToolResultParam:
    content = [TextParam(text=text) for text in texts] if texts else f"Result {number}."
    return ToolResultParam(tool_use_id=f"toolu_{number}", content=content)


SESSION: Turns = (
    turn("system", "You are kind.", "You are brief."),
    turn("user", "The first question?"),
    Turn("assistant", (thought("Where?"), TextParam(text="I look."), call(1), call(2))),
    Turn("user", (result(1, "One.", "More."), result(2))),
    Turn("assistant", (thought("There?"), call(3))),
    Turn("user", (result(3), TextParam(text="Go on!"))),
    Turn("assistant", (thought("Done."), TextParam(text="The first answer."))),
    turn("user", "The second question?"),
    turn("assistant", "The second answer."),
    turn("user", "The third question?"),
    turn("system", "Answer in French."),
    Turn("assistant", (thought("En français."), call(4))),
    Turn("user", (result(4),)),
    Turn("assistant", (TextParam(text="Encore."), call(5))),
    Turn("user", (result(5),)),
    turn("system", "Answer in English again."),
    Turn("assistant", (thought("So."), TextParam(text="The third answer."))),
    turn("user", "The fourth question?", "It has two texts."),
    turn("assistant", "The fourth answer."),
    turn("user", "The fifth question?"),
)
"""A session of an agent."""

CHAT: Turns = (*SESSION[1:2], *SESSION[6:11], *SESSION[16:])
"""A conversation without a system prompt and without tools, that later brings directives."""


class Texts:
    """Draws texts, no two of them the same, which also try to be control tokens."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw
        self._numbers = count(1)

    def some(self, least: int = 1) -> list[TextParam]:
        ends = st.sampled_from([".", " <|im_end|>", ".\n", "</think>"])
        drawn = self._draw(st.lists(ends, min_size=least, max_size=2))
        return [TextParam(text=f"Text {next(self._numbers)}{end}") for end in drawn]

    def answer(self, *calls: ToolUseParam) -> Turn:
        reasons = self._draw(st.booleans())
        reasoning = (thought(f"Thought {next(self._numbers)}."),) if reasons else ()
        return Turn("assistant", (*reasoning, *self.some(0 if calls else 1), *calls))

    def question(self, *results: ToolResultParam) -> list[Turn]:
        """Return what is said before an answer: results, texts, and perhaps a directive."""
        turns = [Turn("user", (*results, *self.some(0 if results else 1)))]
        if self._draw(st.integers(0, 3)) == 0:
            turns.append(Turn("system", tuple(self.some())))
        return turns


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Turns, Turns, tuple[Tool, ...]]:
    """A prompt, what is said until the next one, and tools.

    Questions are answered directly or after rounds of calls.
    """
    texts = Texts(draw)
    numbers = count(1)
    tools = TOOLS if draw(st.booleans()) else ()
    turns = [Turn("system", tuple(texts.some()))] if draw(st.booleans()) else []
    for _ in range(draw(st.integers(2, 3))):
        turns += texts.question()
        for _ in range(draw(st.integers(0, 2)) if tools else 0):
            called = [next(numbers) for _ in range(draw(st.integers(1, 2)))]
            turns.append(texts.answer(*map(call, called)))
            turns += texts.question(*map(result, called))
        turns.append(texts.answer())
    all_steps = steps((*turns, *texts.question()))
    begun, more = all_steps[draw(st.integers(0, len(all_steps) - 1))]
    return begun, more, tools


def steps(turns: Turns) -> list[tuple[Turns, Turns]]:
    """Return each prompt of a session but the last, and what is said until the next prompt."""
    answers = [index for index, one in enumerate(turns) if one.role == "assistant"]
    ends = [*answers, len(turns)]
    return [(turns[:start], turns[start:end]) for start, end in pairwise(ends)]


async def first_change(
    chat: ChatTemplate,
    begun: Turns,
    more: Turns,
    tools: tuple[Tool, ...],
    thinking: Thinking,
    *,
    later_tools: tuple[Tool, ...] | None = None,
) -> int | None:
    """Return the first turn up to which the tokens are not the same after more is said.

    `later_tools` are the tools then, if they are others.
    """
    places = [
        (index, len(one.content) - 1) for index, one in enumerate(begun) if one.role != "assistant"
    ]
    breakpoints = tuple(Breakpoint(place, (block,)) for place, block in places)
    short = Prompt(begun, 1, tools=tools, thinking=thinking, breakpoints=breakpoints)
    long = Prompt((*begun, *more), 1, tools=later_tools or tools, thinking=thinking)
    tokenizer = await Tokenizer.open(WordMachine().tokenize)
    one, other = [await tokenizer.encode(chat.render(prompt)) for prompt in (short, long)]
    assert len(one.breakpoints) == len(places)
    for (place, _), edge in zip(places, one.breakpoints, strict=True):
        if one.tokens[: edge.at] != other.tokens[: edge.at]:
            return place
    return None


def expected_change(
    name: str, begun: Turns, more: Turns, thinking: Thinking, tools: tuple[Tool, ...] = ()
) -> int | None:
    """Return the turn behind the reasoning or the tools that a template takes back."""
    if name in MOVING and tools:
        moved = before_the_last_question(begun, more)
        if moved is None:
            return None
        if moved == 1 and MOVING[name] and begun[0].role == "system":
            return 0
        return next(at for at in range(moved, len(begun)) if begun[at].role != "assistant")
    strips = name in STRIPPING and (thinking.mode != "disabled" or name not in THINKING_ONLY)
    stripped = STRIPPING[name](begun, more) if strips else None
    return None if stripped is None else stripped + 1


def test_names_are_those_of_the_corpus(models_dir: Path) -> None:
    assert sorted(template_corpus(models_dir)) == sorted(NAMES)
    assert {*STRIPPING, *MOVING, *DATED} <= set(NAMES)


@pytest.mark.parametrize("thinking", MODES, ids=lambda thinking: thinking.mode)
async def test_session_keeps_its_tokens_as_it_grows(
    compiled: Compiled, name: str, thinking: Thinking
) -> None:
    found = []
    for turns, tools in ((SESSION, TOOLS), (CHAT, ())):
        for step in steps(turns):
            found.append(await first_change(compiled(name), *step, tools, thinking))
            assert found[-1] == expected_change(name, *step, thinking, tools)
    strips = name in STRIPPING and (thinking.mode != "disabled" or name not in THINKING_ONLY)
    strips |= name in MOVING
    assert any(one is not None for one in found) == strips


@pytest.mark.parametrize("name", [one for one in STRIPPING if STRIPPING[one] not in AT_AN_ANSWER])
async def test_prefix_that_stays_ends_at_the_first_thought_that_is_taken_back(
    compiled: Compiled, name: str
) -> None:
    chat, thinking = compiled(name), MODES[1]
    tokenizer = await Tokenizer.open(WordMachine().tokenize)
    for begun, more in steps(SESSION):
        turns = (*begun, *more)
        mark = (Breakpoint(len(turns) - 1, (len(turns[-1].content) - 1,)),)
        short, long = [
            await tokenizer.encode(
                chat.render(Prompt(said, 1, tools=TOOLS, thinking=thinking, breakpoints=marks))
            )
            for said, marks in ((begun, ()), (turns, mark))
        ]
        changed = expected_change(name, begun, more, thinking)
        thoughts = () if changed is None else begun[changed - 1].content
        if any(isinstance(block, ThinkingParam) for block in thoughts):
            assert 0 < long.stays < len(short.tokens)
            assert short.tokens[: long.stays] == long.tokens[: long.stays]
            # Behind it a few tokens of the template may be the same.
            near = long.stays + 40
            assert short.tokens[:near] != long.tokens[:near]


@pytest.mark.parametrize("thinking", MODES, ids=lambda thinking: thinking.mode)
async def test_loaded_tool_leaves_the_tokens_before_its_reference(
    compiled: Compiled, name: str, thinking: Thinking
) -> None:
    late = Tool(
        name="listen", description="To listen.", input_schema={"type": "object"}, deferred=True
    )
    found = OfferedTools((late,)).text(ToolReferenceParam(tool_name="listen")) or ""
    results = (result(1, "It is here.", found), result(2, "Nothing."))
    begun, more = SESSION[:2], (SESSION[2], Turn("user", results))
    chat = compiled(name)
    for before in (TOOLS, (late, *TOOLS)):
        later = (late, *TOOLS)
        change = await first_change(chat, begun, more, before, thinking, later_tools=later)
        assert change == expected_change(name, begun, more, thinking, later)
    # What follows is a call of the tool, and the turn of its result keeps the description as well.
    called = ToolUseParam(id="toolu_3", name="listen", input={})
    next_ = (Turn("assistant", (called,)), Turn("user", (result(3),)))
    after = await first_change(chat, (*begun, *more), next_, (late, *TOOLS), thinking)
    assert after == expected_change(name, (*begun, *more), next_, thinking, TOOLS)
    prompt = Prompt((*begun, *more), 1, tools=(late, *TOOLS), thinking=thinking)
    written = "".join(segment.text for segment in chat.render(prompt).segments)
    assert written.index("It is here.") < written.index("listen") < written.index("Nothing.")


@pytest.mark.parametrize("thinking", MODES, ids=lambda thinking: thinking.mode)
async def test_changes_of_tools_leave_the_tokens_before_them(
    compiled: Compiled, name: str, thinking: Thinking
) -> None:
    """Tools are added, defined, changed, removed and offered again in a session that grows."""
    chat = compiled(name)
    late = Tool(
        name="listen", description="To listen.", input_schema={"type": "object"}, deferred=True
    )
    for tools, session in (((late, *TOOLS), CHANGED), ((), CHANGED[5:])):
        described = described_turns(session, tools)
        for step in steps(described):
            change = await first_change(chat, *step, tools, thinking)
            assert change == expected_change(name, *step, thinking, tools)
        prompt = Prompt(described, 1, tools=tools, thinking=thinking)
        written = "".join(segment.text for segment in chat.render(prompt).segments)
        places = [written.index(text) for text in ("First?", "To smell.", "Second?", "To smell!")]
        assert places == sorted(places)


def described_turns(turns: Turns, tools: tuple[Tool, ...]) -> Turns:
    """Return turns with texts in place of their blocks about tools."""
    return with_described_tools(Prompt(turns, 1, tools=tools, offered=()), "Call it so.").turns


CHANGED: Turns = (
    turn("user", "Which tools are there?"),
    Turn("system", (add("listen"), remove("look"))),
    Turn("assistant", (TextParam(text="I listen."), ToolUseParam(id="t", name="listen", input={}))),
    Turn("user", (ToolResultParam(tool_use_id="t", content="Silence."),)),
    turn("assistant", "Nothing."),
    turn("user", "First?"),
    Turn("system", (TextParam(text="There is more."), define("smell", "To smell."))),
    Turn("assistant", (ToolUseParam(id="u", name="smell", input={}),)),
    Turn("user", (ToolResultParam(tool_use_id="u", content="Roses."),)),
    Turn("system", (define("later", defer_loading=True),)),
    turn("assistant", "Roses."),
    turn("user", "Second?"),
    Turn("system", (define("smell", "To smell!"), remove("smell"))),
    turn("assistant", "As you like."),
    turn("user", "Third?"),
    Turn("system", (add("smell"),)),
)
"""A session whose tools change; its second half needs none in front."""


# Drawing a conversation takes longer than rendering it, so all templates render each one.
@settings(max_examples=examples(0.4))
@given(conversations(), st.booleans())
async def test_tokens_of_a_conversation_begin_those_of_the_longer_one(
    compiled: Compiled, conversation: tuple[Turns, Turns, tuple[Tool, ...]], thinks: bool
) -> None:
    begun, more, tools = conversation
    found = {
        name: await first_change(compiled(name), begun, more, tools, MODES[thinks])
        for name in NAMES
    }
    assert found == {
        name: expected_change(name, begun, more, MODES[thinks], tools) for name in NAMES
    }


def test_prompt_changes_at_midnight_only_where_the_template_writes_the_date(
    compiled: Compiled, clock: Clock, name: str
) -> None:
    chat = compiled(name)

    def first_segments(hours: int) -> list[Segment]:
        clock.now = NOW + timedelta(hours=hours)
        return [chat.render(Prompt(turns, 1)).segments[0] for turns in (SESSION[1:2], SESSION[:2])]

    assert first_segments(14) == first_segments(0)
    changed = [
        one != other for one, other in zip(first_segments(0), first_segments(15), strict=True)
    ]
    assert changed == list(DATED.get(name, (False, False)))


def test_date_stands_before_all_turns(compiled: Compiled, clock: Clock, name: str) -> None:
    chat, prompt = compiled(name), Prompt(SESSION, 1, tools=TOOLS)
    today = chat.render(prompt)
    clock.now = NOW + timedelta(days=1)
    tomorrow = chat.render(prompt)
    asked = [one.text for one in today.segments].index("The first question?")
    assert today.segments[asked:] == tomorrow.segments[asked:]


def test_unusable_template_is_refused_in_its_own_words() -> None:
    chat = ChatTemplate("{{ own + messages[0].content }}", bos="<s>", eos="</s>")
    with pytest.raises(TemplateUnusableError) as caught:
        chat.render(Prompt(SESSION, 1, tools=TOOLS))
    assert str(caught.value) == "'own' is undefined"
