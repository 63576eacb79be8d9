from collections.abc import Sequence

import pytest

from antiphon.core.blocks import BLOCK_SEPARATOR
from antiphon.core.prompt import Breakpoint, Prompt, Tool, Turn
from antiphon.engines.token.prompt.chat_messages import chat_messages
from antiphon.engines.token.prompt.message_forms import MessageForm, expressions
from antiphon.engines.token.prompt.placeholders import Segment
from antiphon.engines.token.prompt.template import ChatTemplate
from antiphon.engines.token.prompt.template_writer import TemplateUnusableError
from antiphon.wire.content import TextParam, ThinkingParam, ToolResultParam, ToolUseParam
from support.conversation import turn
from support.templates import CALLS, CHATML, QWEN_LIKE

LOOK = Tool(name="look", description="Look at it.", input_schema={"type": "object"})
ALTERNATES = (
    "{% for m in messages if m.role != 'system' %}"
    "{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Roles must alternate') }}{% endif %}{% endfor %}"
)
ENDS_WITH_SYSTEM = (
    "{% for m in messages %}{% if m.role == 'system' and not loop.first and not loop.last %}"
    "{{ raise_exception('System prompts come first') }}{% endif %}{% endfor %}"
)
"""It takes a system turn at the end of a conversation, and refuses the same when more is said."""

DEFAULT_SYSTEM = (
    "{% if messages | selectattr('role', 'equalto', 'system') | list | length == 0 %}"
    "<|im_start|>system\nBe good.<|im_end|>\n{% endif %}"
)
NO_TEXT_BESIDE_CALLS = QWEN_LIKE.replace(
    "{{ m.content }}", "{% if not m.tool_calls %}{{ m.content }}{% endif %}"
)
ONE_CALL = (
    "{% for m in messages %}{% if m.tool_calls and m.tool_calls | length > 1 %}"
    "{{ raise_exception('One call at once') }}{% endif %}{% endfor %}"
)
TEXT_BEHIND_CALLS = QWEN_LIKE.replace("{{ m.content }}", "").replace(
    CALLS, CALLS.replace("<|im_end|>", "{{ m.content }}<|im_end|>")
)
NO_USER_BEHIND_RESULTS = (
    "{% for m in messages %}{% if m.role == 'user' and loop.previtem is defined"
    " and loop.previtem.role == 'tool' %}{{ raise_exception('Results') }}{% endif %}{% endfor %}"
)
ALTERNATES_BESIDE_CALLS = (
    "{% set n = namespace(i=0) %}{% for m in messages if m.role in ['user', 'assistant']"
    " and not m.tool_calls %}{% if (m.role == 'user') != (n.i % 2 == 0) %}"
    "{{ raise_exception('Roles must alternate') }}{% endif %}{% set n.i = n.i + 1 %}{% endfor %}"
)
NO_REASONING = (
    "{% for m in messages %}{% if '<think>' in m.content %}"
    "{{ raise_exception('No reasoning') }}{% endif %}{% endfor %}"
)

USER = turn("user", "Well?")
ANSWER = turn("assistant", "Well.")
DIRECTIVE = turn("system", "Be brief.")


def call(number: int) -> ToolUseParam:
    return ToolUseParam(id=f"toolu_{number}", name="look", input={"at": f"place {number}"})


def called(*numbers: int, text: str = "") -> tuple[Turn, Turn]:
    """Return calls, with text before them, and their results."""
    said = (TextParam(text=text),) if text else ()
    results = (ToolResultParam(tool_use_id=f"toolu_{one}", content="Seen.") for one in numbers)
    return Turn("assistant", (*said, *map(call, numbers))), Turn("user", tuple(results))


def followed(number: int) -> tuple[Turn, Turn]:
    """Return a call, and its result with more of the user behind it."""
    calls, results = called(number)
    return calls, Turn("user", (*results.content, TextParam(text="Well?")))


def segments(chat: ChatTemplate, *turns: Turn, tools: Sequence[Tool] = ()) -> list[Segment]:
    """Return the segments up to the end of the last turn."""
    last = Breakpoint(len(turns) - 1, (len(turns[-1].content) - 1,))
    rendered = chat.render(Prompt(turns, 1, tools=tuple(tools), breakpoints=(last,)))
    return rendered.segments[: rendered.edges[-1].at]


def text(chat: ChatTemplate, *turns: Turn, tools: Sequence[Tool] = ()) -> str:
    return "".join(segment.text for segment in segments(chat, *turns, tools=tools))


def template(source: str) -> ChatTemplate:
    return ChatTemplate(source, bos="", eos="")


@pytest.mark.parametrize(
    ("source", "begun", "more"),
    [
        (ENDS_WITH_SYSTEM + CHATML, (USER, DIRECTIVE), (ANSWER, USER)),
        (ENDS_WITH_SYSTEM + CHATML, (DIRECTIVE, USER, ANSWER, USER, DIRECTIVE), (ANSWER, USER)),
        (DEFAULT_SYSTEM + CHATML, (USER,), (DIRECTIVE, ANSWER, USER)),
        (NO_TEXT_BESIDE_CALLS, (USER, *called(1, 2)), called(3, text="Again.")),
        (NO_TEXT_BESIDE_CALLS, (USER, *called(1, text="I do.")), called(2, 3)),
        (ONE_CALL + QWEN_LIKE, (USER, *called(1, text="I do.")), called(2, 3)),
        (ONE_CALL + NO_TEXT_BESIDE_CALLS, (USER, *called(1)), called(2, 3, text="Again.")),
        (
            ALTERNATES_BESIDE_CALLS + NO_TEXT_BESIDE_CALLS,
            (USER, *called(1, text="I do.")),
            (ANSWER, USER, *followed(2)),
        ),
        (NO_USER_BEHIND_RESULTS + QWEN_LIKE, (USER, *called(1, 2)), (ANSWER, *followed(3))),
    ],
)
def test_later_turn_leaves_the_form_of_earlier_ones(
    source: str, begun: tuple[Turn, ...], more: tuple[Turn, ...]
) -> None:
    chat = template(source)
    tools = (LOOK,) if chat.native else ()
    beginning = segments(chat, *begun, tools=tools)
    assert segments(chat, *begun, *more, tools=tools)[: len(beginning)] == beginning


def test_system_turn_keeps_its_role_beside_a_system_prompt() -> None:
    chat = template(DEFAULT_SYSTEM + CHATML)
    assert "system\nBe brief." in text(chat, DIRECTIVE, USER, DIRECTIVE)
    assert text(chat, USER, DIRECTIVE).endswith("user\nWell?\n\nBe brief.")


def test_calls_stay_together_where_only_text_is_refused() -> None:
    written = text(template(NO_TEXT_BESIDE_CALLS), USER, *called(1, 2, text="I do."), tools=(LOOK,))
    _, after = written.split("I do.")
    assert after.index("<|im_end|>") < after.index("place 1")
    assert "<|im_start|>" not in after[after.index("place 1") : after.index("place 2")]


def test_text_stays_with_the_first_call_where_only_several_calls_are_refused() -> None:
    written = text(template(ONE_CALL + QWEN_LIKE), USER, *called(1, 2, text="I do."), tools=(LOOK,))
    assert "<|im_start|>" not in written[written.index("I do.") : written.index("place 1")]
    assert "<|im_start|>" in written[written.index("place 1") : written.index("place 2")]


def test_text_stands_before_its_calls_where_a_template_writes_it_behind_them() -> None:
    chat = template(TEXT_BEHIND_CALLS)
    written = text(chat, USER, *called(1, 2, text="I do."), tools=(LOOK,))
    assert written.index("I do.") < written.index("place 1") < written.index("place 2")


def test_calls_have_an_empty_question_where_a_text_before_them_is_an_answer() -> None:
    chat = template(ALTERNATES_BESIDE_CALLS + NO_TEXT_BESIDE_CALLS)
    written = text(chat, USER, *called(1, text="I do."), ANSWER, USER, tools=(LOOK,))
    assert "I do.<|im_end|>\n<|im_start|>user\n<|im_end|>\n<|im_start|>assistant\n" in written
    assert written.index("I do.") < written.index("place 1") < written.index("Seen.")
    written = text(chat, USER, *called(1), ANSWER, USER, tools=(LOOK,))
    assert "user\n<|im_end|>" not in written


def test_user_joins_a_result_where_nobody_may_speak_behind_it() -> None:
    chat = template(NO_USER_BEHIND_RESULTS + QWEN_LIKE)
    written = text(chat, USER, *followed(1), ANSWER, USER, tools=(LOOK,))
    assert "<|im_start|>tool\nSeen.\n\nWell?<|im_end|>" in written
    free = text(template(QWEN_LIKE), USER, *followed(1), ANSWER, USER, tools=(LOOK,))
    assert "<|im_start|>tool\nSeen.<|im_end|>\n<|im_start|>user\nWell?<|im_end|>" in free


def test_result_has_the_name_of_its_tool_and_the_identifier_of_its_call() -> None:
    named = QWEN_LIKE.replace("{{ m.role }}", "{{ m.role }} {{ m.name }} {{ m.tool_call_id }}", 1)
    written = text(template(named), USER, *called(1, 2), tools=(LOOK,))
    assert "tool look toolu_1\nSeen." in written
    assert "tool look toolu_2\nSeen." in written


def test_turn_without_its_reasoning_is_one_message() -> None:
    thoughts = [ThinkingParam(thinking=f"thought {number}", signature="s") for number in (1, 2)]
    blocks = (thoughts[0], TextParam(text="One."), thoughts[1], TextParam(text="Two."))
    turns = (USER, Turn("assistant", blocks), USER)
    plain = "Well?", "One.\n\nTwo.", "Well?"
    for source in (CHATML, ALTERNATES + NO_REASONING + CHATML):
        written = text(template(source), *turns)
        assert [one.partition("\n")[2] for one in written.split("<|im_start|>")[1:]] == [
            *(f"{one}<|im_end|>\n" for one in plain[:-1]),
            plain[-1],
        ]


def test_message_with_reasoning_stays_apart_where_it_is_shown() -> None:
    thought = ThinkingParam(thinking="Hm.", signature="s")
    blocks = (TextParam(text="One."), thought, TextParam(text="Two."))
    written = text(
        template(CHATML + "{% if add_generation_prompt %}<think>\n{% endif %}"),
        USER,
        Turn("assistant", blocks),
        USER,
    )
    assert "One.<|im_end|>\n<|im_start|>assistant\n<think>\nHm.\n</think>\n\nTwo." in written


def test_conversation_that_the_form_does_not_fit_is_said_in_another_one() -> None:
    """This template refuses one text only, which no trial has."""
    refusing = NO_REASONING.replace("'<think>' in m.content", "m.role == 'system'")
    source = f"{{% if messages | length > 7 %}}{refusing}{{% endif %}}{CHATML}"
    turns = [turn(("user", "assistant")[index % 2], f"say {index}") for index in range(9)]
    assert "user\nBe brief.\n\nsay 0" in text(template(source), DIRECTIVE, *turns)


def test_template_without_any_form_is_refused_in_its_own_words() -> None:
    chat = template("{{ raise_exception('Never') }}")
    with pytest.raises(TemplateUnusableError, match="Never"):
        chat.render(Prompt((USER,), 1))


def test_expressions_begin_with_the_form_and_repeat_nothing() -> None:
    form = MessageForm(system="none", calls_together=False, text_beside_calls=True)
    turns = (DIRECTIVE, USER, *called(1, 2, text="I do."), DIRECTIVE)
    messages = chat_messages(turns, native=True)
    written = list(expressions(messages, form))
    assert written[0] == form.of(messages)
    assert all(one not in written[:index] for index, one in enumerate(written))
    assert {message.role for message in written[0]} == {"user", "assistant", "tool"}


def test_form_that_changes_nothing_leaves_messages_alone() -> None:
    turns = (DIRECTIVE, USER, USER, *called(1, 2, text="I do."), ANSWER, ANSWER)
    messages = chat_messages(turns, native=True)
    assert MessageForm().of(messages) == messages
    assert BLOCK_SEPARATOR not in "".join(part.text for one in messages for part in one.parts)
