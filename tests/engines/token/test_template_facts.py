"""What is learned of a template: its calls, thoughts, roles, and where a prompt stays as it is."""

from pathlib import Path

import pytest

from antiphon.engines.token.prompt.template_writer import TemplateUnusableError
from antiphon.engines.token.template_facts import (
    Guarantees,
    PrefixFacts,
    RoleFacts,
    TemplateFacts,
    template_facts,
)
from support.template_corpus import template_corpus
from support.templates import CHATML, NO_SYSTEM, QWEN_LIKE
from support.word_machine import THINKING

DROPPING = (
    "{% set last = namespace(at=-1) %}{% for m in messages %}{% if m.role == 'user' %}"
    "{% set last.at = loop.index0 %}{% endif %}{% endfor %}{% for m in messages %}"
    "<|im_start|>{{ m.role }}\n{% if m.reasoning_content and loop.index0 > last.at %}<think>\n"
    "{{ m.reasoning_content }}\n</think>\n\n{% endif %}{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% if enable_thinking is defined and "
    "not enable_thinking %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
"""Keeps the thoughts behind the last message of the user."""


@pytest.fixture(scope="module")
def corpus(models_dir: Path) -> dict[str, str]:
    return dict(template_corpus(models_dir))


def test_template_without_calls_is_asked_in_the_general_format() -> None:
    calls = template_facts(CHATML).calls
    assert (calls.native, calls.reason, calls.has_tools) == (
        False, "it has no calls", False,
    )  # fmt: skip
    assert (calls.described_by, calls.results_role) == ("antiphon", "user")
    assert calls.example == (
        '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris", "days": 3}}\n'
        "</tool_call>"
    )
    assert calls.result_example == (
        "<|im_end|>\n<|im_start|>user\n<tool_response>\n18 degrees 1\n</tool_response>"
    )


def test_template_with_calls_writes_them_and_results_itself() -> None:
    calls = template_facts(QWEN_LIKE).calls
    assert (calls.native, calls.reason, calls.has_tools) == (True, None, True)
    assert (calls.described_by, calls.results_role) == ("template", "tool")
    assert calls.result_example == "<|im_end|>\n<|im_start|>tool\n18 degrees 1"


def test_learned_notation_is_shown_by_an_example(corpus: dict[str, str]) -> None:
    calls = template_facts(corpus["LFM2.5-8B-A1B"]).calls
    assert calls.example == (
        "<|tool_call_start|>[get_weather(city='Paris', days=3)]<|tool_call_end|>"
    )
    assert calls.parallel
    assert not template_facts(corpus["GigaChat3.1-10B-A1.8B"]).calls.parallel


def test_name_with_which_texts_begin_is_told(corpus: dict[str, str]) -> None:
    assert template_facts(corpus["meetkai-functionary-medium-v3.2"]).calls.name_of_texts == "all"
    assert template_facts(corpus["openai-gpt-oss-120b"]).calls.name_of_texts is None
    assert template_facts(QWEN_LIKE).calls.name_of_texts is None


def test_template_without_thoughts_has_none() -> None:
    assert template_facts(CHATML).thoughts is None


def test_thoughts_that_are_dropped_at_a_question_end_the_prefix_there(
    corpus: dict[str, str],
) -> None:
    found = template_facts(corpus["GLM-4.6"])
    assert found.thoughts is not None
    assert (found.thoughts.kept_in_loop, found.thoughts.kept_later) == (True, False)
    assert found.prefix == PrefixFacts(in_chat=True, in_loop=True, at_question=False, dated=False)


def test_thoughts_that_no_prompt_had_leave_the_prefix() -> None:
    found = template_facts(DROPPING)
    thoughts = found.thoughts
    assert thoughts is not None
    assert (thoughts.opening, thoughts.closing, thoughts.opened_by) == (
        "<think>", "</think>", "antiphon",
    )  # fmt: skip
    # Its results are the user's, so a loop is to it as many questions.
    assert (thoughts.kept_in_loop, thoughts.kept_later) == (False, False)
    assert (thoughts.switch, thoughts.takes_budget) == ("enable_thinking", False)
    assert found.prefix == PrefixFacts(in_chat=True, in_loop=True, at_question=True, dated=False)


def test_thoughts_that_stay_leave_the_prefix() -> None:
    found = template_facts(THINKING)
    assert found.thoughts is not None
    assert found.thoughts.kept_in_loop
    assert found.thoughts.kept_later
    assert found.prefix == PrefixFacts(in_chat=True, in_loop=True, at_question=True, dated=False)


def test_efforts_and_opened_thoughts_are_those_of_the_template(corpus: dict[str, str]) -> None:
    harmony = template_facts(corpus["openai-gpt-oss-120b"]).thoughts
    assert harmony is not None
    assert harmony.efforts == ("low", "medium", "high")
    qwen = template_facts(corpus["Qwen3.5-4B"]).thoughts
    assert qwen is not None
    assert (qwen.opened_by, qwen.kept_in_loop, qwen.kept_later) == ("template", True, False)


def test_date_before_all_turns_is_found() -> None:
    assert template_facts("{{ strftime_now('%d %B') }}\n" + CHATML).prefix.dated
    assert not template_facts("{{ strftime_now('%Y') }}\n" + CHATML).prefix.dated


def test_template_that_counts_its_messages_changes_whatever_follows() -> None:
    assert not template_facts("{{ messages | length }}\n" + CHATML).prefix.in_chat


def test_roles_are_those_that_the_template_takes() -> None:
    assert template_facts(CHATML).roles == RoleFacts(
        system=True, later_system=True, tool=False, consecutive_users=True
    )
    assert not template_facts(NO_SYSTEM + CHATML).roles.system
    strict = (
        "{% for m in messages %}{% if m.role == 'system' and not loop.first %}"
        "{{ raise_exception('No') }}{% endif %}{% if loop.previtem and loop.previtem.role == m.role"
        " %}{{ raise_exception('No') }}{% endif %}{% endfor %}"
    )
    assert template_facts(strict + CHATML).roles == RoleFacts(
        system=True, later_system=False, tool=False, consecutive_users=False
    )


def test_guarantees_do_not_depend_on_the_template() -> None:
    for source in (CHATML, QWEN_LIKE):
        assert template_facts(source).guarantees == Guarantees(
            forced_tools=True, structured_outputs=True, counts_exactly=True
        )


def test_template_that_cannot_be_used_is_refused() -> None:
    with pytest.raises(TemplateUnusableError, match="line 1"):
        template_facts("{% if %}")
    with pytest.raises(TemplateUnusableError, match="'functionality' is undefined"):
        template_facts("{{ functionality.all }}" + CHATML)


def test_same_template_has_the_same_facts(corpus: dict[str, str]) -> None:
    def facts() -> TemplateFacts:
        return template_facts(corpus["openai-gpt-oss-120b"])

    assert facts() == facts()
