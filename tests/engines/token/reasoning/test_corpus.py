"""What is learned about the reasoning of llama.cpp's templates is what the table says."""

import pytest

from antiphon.core.prompt import Prompt, Thinking, Tool, Turn
from antiphon.engines.token.prompt.reasoning_format import ReasoningFormat
from antiphon.engines.token.prompt.template import ChatTemplate
from antiphon.wire.content import TextParam
from engines.token.conftest import Compiled
from support.reasoning_of_templates import REASONING, WITHOUT, Learned
from support.template_corpus import NAMES

ASKED = Turn("user", (TextParam(text="Why?"),))
PREFILL = Turn("assistant", (TextParam(text="Because"),))
ON = Thinking(mode="enabled", budget=4000)
OFF = Thinking()
MODES = (ON, OFF)


@pytest.fixture
def chat(compiled: Compiled, name: str) -> ChatTemplate:
    return compiled(name)


def learned(found: ReasoningFormat) -> Learned:
    assert found.tags is not None
    switch = found.switch
    return Learned(
        f"{found.tags.begin}…{found.tags.end}",
        "block" if found.as_block else found.field or "content",
        f"{switch.variable}={switch.on}/{switch.off}, usually {switch.usual}" if switch else "",
        " ".join((found.effort.variable, *found.levels)) if found.effort else "",
        found.opened,
        found.shut,
        f"{found.kept}, at calls" if found.at_calls else found.kept,
    )


@pytest.mark.parametrize("name", NAMES)
def test_reasoning_is_learned_or_there_is_none(chat: ChatTemplate, name: str) -> None:
    if name in WITHOUT:
        assert chat.reasoning.tags is None
        assert chat.reasoning.missing == "it shows no reasoning"
        assert chat.reasoning.efforts == ()
    else:
        assert learned(chat.reasoning) == REASONING[name]
        assert chat.reasoning.flaw == ""


def test_each_template_is_in_one_table() -> None:
    assert {*REASONING, *WITHOUT} == set(NAMES)
    assert not {*REASONING} & {*WITHOUT}


def written(chat: ChatTemplate, thinking: Thinking, *turns: Turn) -> str:
    prompt = Prompt(turns, 1, thinking=thinking)
    return "".join(segment.text for segment in chat.render(prompt).segments)


@pytest.mark.parametrize("name", REASONING)
def test_prompt_ends_in_a_thought_only_if_the_model_shall_reason(chat: ChatTemplate) -> None:
    opening = opening_of(chat)
    assert written(chat, ON, ASKED).rstrip().endswith(opening)
    assert not written(chat, OFF, ASKED).rstrip().endswith(opening)


@pytest.mark.parametrize("name", REASONING)
def test_prefill_stands_behind_no_open_thought(chat: ChatTemplate) -> None:
    opening = opening_of(chat)
    for thinking in (ON, OFF):
        begun = written(chat, thinking, ASKED, PREFILL).rpartition("Why?")[2]
        assert begun.endswith("Because")
        closing = chat.reasoning.tags and chat.reasoning.tags.closing
        assert begun.rfind(closing or "") >= begun.rfind(opening)


@pytest.mark.parametrize(
    ("name", "mark"),
    [
        ("Cohere2MoE", "<|START_TEXT|>"),
        ("CohereForAI-c4ai-command-r7b-12-2024-tool_use", "<|START_RESPONSE|>"),
        ("openai-gpt-oss-120b", "<|channel|>final<|message|>"),
        ("upstage-Solar-Open-100B", "<|content|>"),
    ],
)
def test_text_is_marked_only_where_no_call_is_possible(chat: ChatTemplate, mark: str) -> None:
    tool = Tool(name="look", description="Looks.", input_schema={"type": "object"})
    for thinking in (ON, OFF):
        for tools in ((), (tool,)):
            prompt = Prompt((ASKED,), 1, thinking=thinking, tools=tools)
            tags = chat.tags(prompt)
            assert tags is not None
            assert tags.gap.endswith(mark) is not bool(tools)
            end = "".join(segment.text for segment in chat.render(prompt).segments)
            assert end.endswith(mark) is (thinking is OFF and not tools)


def opening_of(chat: ChatTemplate) -> str:
    assert chat.reasoning.tags is not None
    return chat.reasoning.tags.opening
