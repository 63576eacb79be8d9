"""A model with a template for tools beside its default one."""

import pytest
from msgspec.structs import replace

from antiphon.core.prompt import Breakpoint, Prompt, Tool, ToolChoice, Turn
from antiphon.engines.token.engine import TokenEngine, with_tool_template
from antiphon.engines.token.options import TemplateOptions
from antiphon.engines.token.prompt.call_syntax import TAGGED
from antiphon.engines.token.prompt.named_templates import NamedTemplates, named_templates
from antiphon.engines.token.prompt.template import ChatTemplate
from antiphon.engines.token.prompt.tokens import Tokenizer
from antiphon.wire.content import TextParam, ThinkingParam
from support.conversation import answer, calls_in, text_of, turn
from support.logs import capture_logs
from support.templates import CHATML, LLAMA_LIKE, QWEN_LIKE, TOOLS
from support.word_machine import THINKING, WordMachine, word_engine

LOOK = Tool(name="look", description="Look at it.", input_schema={"type": "object"})
LATE = replace(LOOK, name="listen", deferred=True)
ASKED = (turn("system", "Be kind."), turn("user", "Well?"))
PREFACE = "{% if not tools %}No tools.{% endif %}" + QWEN_LIKE


def template(source: str) -> ChatTemplate:
    return ChatTemplate(source, bos="", eos="")


def opened(default: str, for_tools: str, options: TemplateOptions | None = None) -> object:
    given = TemplateOptions() if options is None else options
    return with_tool_template("m", given, template(default), for_tools, bos="", eos="")


def test_prompt_with_tools_has_the_template_for_tools() -> None:
    templates = opened(CHATML, PREFACE)
    assert isinstance(templates, NamedTemplates)
    assert templates.of(Prompt(ASKED, 1, tools=(LOOK,))) is templates.with_tools
    assert templates.of(Prompt(ASKED, 1)) is templates.default
    assert templates.default.syntax is TAGGED
    assert templates.with_tools.native
    assert not templates.default.native


@pytest.mark.parametrize("default", [CHATML, PREFACE])
def test_tools_that_are_loaded_later_leave_the_prompt_as_it_was(default: str) -> None:
    templates = named_templates(template(default), template(QWEN_LIKE))
    last = (Breakpoint(1, (0,)),)
    begun = Prompt(ASKED, 1, breakpoints=last)
    rendered = templates.of(begun).render(begun)
    later = Prompt((*ASKED, turn("assistant", "Yes."), turn("user", "So?")), 1, tools=(LATE,))
    longer = templates.of(later).render(later)
    at = rendered.edges[0].at
    assert longer.segments[:at] == rendered.segments[:at]


def test_one_template_is_for_all_prompts_if_both_say_the_same_without_tools() -> None:
    templates = named_templates(template(CHATML), template(QWEN_LIKE))
    assert templates.of(Prompt(ASKED, 1)) is templates.with_tools
    assert templates.default.native


@pytest.mark.parametrize(
    "other",
    [PREFACE, QWEN_LIKE + " ", QWEN_LIKE.replace("{{ m.role }}", "{{ m.role | upper }}")],
)
def test_default_template_stays_if_another_says_something_else(other: str) -> None:
    default = template(CHATML)
    assert named_templates(default, template(other)).of(Prompt(ASKED, 1)) is default


def test_template_that_says_nothing_of_reasoning_marks_it_like_the_default_one() -> None:
    templates = opened(THINKING, PREFACE)
    prompt = Prompt(
        (ASKED[1], Turn("assistant", (ThinkingParam(thinking="Hm.", signature=""),
                                      TextParam(text="Yes."))), ASKED[1]), 1, tools=(LOOK,)
    )  # fmt: skip
    assert isinstance(templates, NamedTemplates)
    chosen = templates.of(prompt)
    assert chosen.tags(prompt) == templates.default.reasoning.tags
    assert "<think>\nHm.\n</think>" in "".join(part.text for part in chosen.render(prompt).segments)


def test_unusable_template_for_tools_is_left_out() -> None:
    with capture_logs() as lines:
        assert isinstance(opened(CHATML, TOOLS + "{% for %}"), ChatTemplate)
    assert "the chat template for tools is not used" in str(lines)


def test_template_of_the_operator_is_for_all_prompts() -> None:
    options = TemplateOptions(chat_template="./mine.jinja")
    assert isinstance(opened(CHATML, QWEN_LIKE, options), ChatTemplate)


def test_model_without_a_template_for_tools_has_one() -> None:
    templates = opened(CHATML, "")
    assert isinstance(templates, ChatTemplate)
    assert templates.of(Prompt(ASKED, 1, tools=(LOOK,))) is templates


@pytest.mark.anyio
async def test_answer_is_read_as_the_template_of_its_prompt_writes_calls() -> None:
    machine = WordMachine('{"name": "look", "parameters": {}}', "Two.")
    templates = NamedTemplates(template(CHATML), template(LLAMA_LIKE))
    plain = await word_engine(machine)
    engine = TokenEngine(
        machine, templates, await Tokenizer.open(machine.tokenize), plain.capabilities
    )
    prompt = Prompt((ASKED[1],), 16, tools=(LOOK,), tool_choice=ToolChoice(mode="any"))
    assert calls_in(await answer(engine, prompt)) == [("look", "{}")]
    assert text_of(await answer(engine, Prompt((ASKED[1],), 16))) == "Two."
    first, second = (machine.text_of(request.tokens) for request in machine.asked)
    assert "[user]Well?" in first
    assert "<|im_start|>user\nWell?" in second
