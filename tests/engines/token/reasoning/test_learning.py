"""What is learned of small templates, each of which has one trait of a real one."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from antiphon.core.prompt import Prompt, Thinking, Turn
from antiphon.engines.token.notation.lab import Message
from antiphon.engines.token.prompt.reasoning_format import (
    THINK,
    EffortControl,
    ReasoningFormat,
    ReasoningTags,
    Switch,
)
from antiphon.engines.token.prompt.template import ChatTemplate
from antiphon.engines.token.reasoning.lab import MOST_RENDERINGS, Variables
from antiphon.engines.token.reasoning.learning import learn_reasoning
from antiphon.engines.token.reasoning.trials import reads_of
from antiphon.wire.content import TextParam, ThinkingParam
from support.reference_jinja import reference_jinja

TURNS = (
    "{% for m in messages %}<|{{ m.role }}|>"
    "{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}"
    "{{ m.content }}<|end|>{% endfor %}"
)
PROMPT = "{% if add_generation_prompt %}<|assistant|>%s{% endif %}"
PLAIN = TURNS + PROMPT.replace("%s", "")
WORDS = "{{ 'Think.' if effort == 'high' }}{{ 'No.' if effort == 'none' }}"
DEFAULTING = (
    "{% set level = level | default('high') %}"
    "{{ raise_exception('no') if level not in ['low', 'high'] }}[{{ level }}]"
)
ECHO = "[{{ level | default('medium') }}]"

ASK = Turn("user", (TextParam(text="Why?"),))
ON = Thinking(mode="enabled", budget=2000)


def chat(source: str, **more: Any) -> ChatTemplate:
    return ChatTemplate(source, bos="", eos="", **more)


def learned(source: str, **more: Any) -> ReasoningFormat:
    return chat(source, **more).reasoning


def switch_of(found: ReasoningFormat) -> Switch | None:
    """Return a switch without the value that is taken for granted."""
    return None if found.switch is None else replace(found.switch, usual=None)


def with_prompt(end: str, before: str = "") -> str:
    """Return a template whose prompts have a beginning and an end of their own."""
    return before + TURNS + PROMPT.replace("%s", end)


def written(source: str, *turns: Turn, **more: Any) -> str:
    prompt = Prompt(turns, 1, **more)
    return "".join(segment.text for segment in chat(source).render(prompt).segments)


@pytest.mark.parametrize(
    ("opening", "closing", "gap"),
    [
        ("<think>", "</think>", ""),
        ("\n<think>\n", "\n</think>\n", "\n"),
        ("<|channel|>analysis<|message|>", "<|end|>", "<|start|>answer<|message|>"),
        ("<|open|>think<|sep|>", "<|close|>think<|sep|>", "<|open|>answer<|sep|>"),
        (" to=self<|message|>", "<|eom|>", "<|start|>assistant"),
        ("◁think▷", "◁/think▷", ""),
    ],
)
def test_tags_are_what_stands_around_a_thought(opening: str, closing: str, gap: str) -> None:
    between = f"{{{{ {opening!r} + m.reasoning_content + {closing + gap!r} }}}}"
    source = PLAIN.replace("<think>{{ m.reasoning_content }}</think>", between)
    found = learned(source)
    assert found.tags is not None
    assert found.tags.begin == opening
    assert found.tags.end == closing + gap
    assert found.tags.opening == opening.strip()
    assert found.tags.closing == closing.strip()
    assert (found.field, found.kept, found.opened) == ("reasoning_content", "always", "free")


spaces = st.sampled_from(["", " ", "\n", "\n\n"])
marks = st.sampled_from(
    [
        ("<think>", "</think>"),
        ("[THINK]", "[/THINK]"),
        ("<|channel>thought", "<channel|>"),
        ("<|open|>think<|sep|>", "<|close|>think<|sep|>"),
        ("to=self<|message|>", "<|eom|>"),
        ("<seed:think>", "</seed:think>"),
    ]
)


@given(marks, st.tuples(*[spaces] * 4), st.sampled_from(["", "<|text|>"]), st.booleans())
def test_tags_are_learned_with_their_spaces_wherever_the_prompt_ends(
    tags: tuple[str, str], around: tuple[str, str, str, str], mark: str, opens: bool
) -> None:
    lead, margin, tail, behind = around
    opening, closing = lead + tags[0] + margin, tail + tags[1] + behind + mark
    thought = f"{opening!r} + m.reasoning_content + {closing!r} if m.reasoning_content"
    source = (
        "{% for m in messages %}<|{{ m.role }}|>"
        f"{{{{ {thought} else {mark!r} if m.role == 'assistant' }}}}"
        "{{ m.content }}<|end|>{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>"
        f"{{{{ {opening if opens else ''!r} }}}}{{% endif %}}"
    )
    found = learned(source)
    assert found.tags is not None
    assert (found.tags.begin, found.tags.end) == (opening, closing)
    assert (found.opened, found.field, found.kept) == (
        "open" if opens else "free", "reasoning_content", "always"
    )  # fmt: skip


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning", "thinking"])
def test_field_is_the_one_whose_thought_is_written(field: str) -> None:
    assert learned(PLAIN.replace("reasoning_content", field)).field == field


def test_word_in_the_source_is_no_field() -> None:
    parts = (
        "{% if m.content is string %}{{ m.content }}{% else %}{% for b in m.content %}"
        "{% if b.type == 'thinking' %}[THINK]{{ b.thinking }}[/THINK]{% else %}{{ b.text }}"
        "{% endif %}{% endfor %}{% endif %}"
    )
    source = PLAIN.replace("{{ m.content }}", parts)
    source = source.replace("m.reasoning_content", "m.none")
    found = learned(source)
    assert (found.field, found.as_block) == (None, True)
    blocks = (ThinkingParam(thinking="Hm.", signature=""), TextParam(text="So."))
    text = written(source, ASK, Turn("assistant", blocks), ASK, thinking=ON)
    assert "<|assistant|>[THINK]Hm.[/THINK]So.<|end|>" in text


@pytest.mark.parametrize("spelling", ["{{ m.content }}", "{{ m.content | tojson }}"])
def test_content_that_is_written_as_it_is_has_no_place_for_a_thought(spelling: str) -> None:
    source = PLAIN.replace("m.reasoning_content", "m.none").replace("{{ m.content }}", spelling)
    assert learned(source) == ReasoningFormat(missing="it shows no reasoning")


def test_template_that_only_takes_thoughts_back_shows_none() -> None:
    stripping = "{{ m.content.split('</think>')[-1] }}"
    source = PLAIN.replace("m.reasoning_content", "m.none").replace("{{ m.content }}", stripping)
    assert learned(source).tags is None
    opening = source.replace("<|assistant|>{% endif %}", "<|assistant|><think>\n{% endif %}")
    found = learned(opening)
    assert found.tags == ReasoningTags("<think>", "</think>", tail="\n")
    assert (found.opened, found.shut, found.kept) == ("open", "open", "never")


def test_thought_behind_an_empty_one_is_not_shown() -> None:
    source = PLAIN.replace("m.reasoning_content", "m.none").replace(
        "{{ m.content }}", "{{ '<think></think>' if m.role == 'assistant' }}{{ m.content }}"
    )
    source = source.replace(
        "<|assistant|>{% endif %}", "<|assistant|><think>{{ '</think>' if not go }}{% endif %}"
    )
    found = learned(source)
    assert found.tags is not None
    assert (found.tags.opening, found.tags.closing) == ("<think>", "</think>")
    assert (switch_of(found), found.kept) == (Switch("go"), "never")


def test_thought_that_is_changed_is_not_shown_and_the_reason_is_known() -> None:
    source = PLAIN.replace("m.reasoning_content }}", "m.reasoning_content | indent }}")
    found = learned(source)
    assert (found.tags is None, found.kept) == (False, "never")
    assert found.flaw.startswith("it writes the thought 'Two\\nlines")
    blocks = (ThinkingParam(thinking="Hm.", signature=""), TextParam(text="So."))
    assert "Hm." not in written(source, ASK, Turn("assistant", blocks), ASK, thinking=ON)


CLOSING = "{{ '<think></think>' if %s }}"


@pytest.mark.parametrize(
    ("end", "switch"),
    [
        (CLOSING % "enable_thinking is false", Switch("enable_thinking")),
        (CLOSING % "skip", Switch("skip", on=False, off=True)),
        (CLOSING % "mode == 'quick'", Switch("mode", "high", "quick")),
        (CLOSING % "mode | default('none') == 'none'", Switch("mode", "high", "none")),
        ("{{ '<think>' if mode == 'deep' }}", Switch("mode", "deep", "none")),
    ],
)
def test_switch_is_the_variable_whose_value_closes_the_thought(end: str, switch: Switch) -> None:
    assert switch_of(learned(with_prompt(end))) == switch


@pytest.mark.parametrize(
    ("before", "switch"),
    [
        ("{{ 'Think.' if enable_thinking }}", Switch("enable_thinking")),
        ("{{ 'Think.' if shouting }}", None),
        (WORDS, Switch("effort", "high", "none")),
        ("{{ model_identity }}", None),
    ],
)  # fmt: skip
def test_switch_of_instructions_has_a_usual_name_or_usual_words(
    before: str, switch: Switch | None
) -> None:
    assert switch_of(learned(with_prompt("", before))) == switch


@pytest.mark.parametrize(
    ("end", "usual"),
    [
        (CLOSING % "enable_thinking is false", True),
        (CLOSING % "not enable_thinking", False),
        ("{{ '<think>' if mode == 'high' else '<think></think>' if mode == 'none' }}", None),
    ],
)
def test_switch_says_what_is_taken_for_granted(end: str, usual: object) -> None:
    found = learned(with_prompt(end)).switch
    assert found is not None
    assert found.usual is usual


def test_variable_for_earlier_turns_is_no_switch() -> None:
    assert (
        learned(PLAIN.replace("if m.reasoning", "if not thinking and m.reasoning")).switch is None
    )


@pytest.mark.parametrize(
    ("before", "levels"),
    [
        (ECHO, ("low", "medium", "high")),
        (ECHO + "{{ 'All.' if level == 'max' }}", ("low", "medium", "high", "max")),
        ("{{ 'All.' if level == 'max' }}", ("high", "max")),
        ("[{{ level }}]", ()),
        ("{{ raise_exception('no') if level not in ['low', 'high'] }}[{{ level }}]",
         ("low", "high")),
        (DEFAULTING, ("low", "high")),
    ],
)  # fmt: skip
def test_levels_are_those_between_which_there_is_a_difference(
    before: str, levels: tuple[str, ...]
) -> None:
    found = learned(with_prompt("", before)).effort
    assert found == (EffortControl("level", levels) if levels else None)


def test_levels_may_count_only_if_the_model_shall_reason() -> None:
    before = "{{ 'All.' if thinking and level == 'max' }}"
    found = learned(with_prompt("<think>{{ '</think>' if not thinking }}", before))
    assert switch_of(found) == Switch("thinking")
    assert found.effort == EffortControl("level", ("high", "max"))


def test_level_that_closes_the_thought_is_none() -> None:
    found = learned(with_prompt(CLOSING % "effort in ['low', 'minimal']", ECHO))
    assert switch_of(found) == Switch("effort", "high", "minimal")
    assert found.effort == EffortControl("level", ("low", "medium", "high"))


@pytest.mark.parametrize(
    ("before", "budget"),
    [
        ("{{ thinking_budget }}", "thinking_budget"),
        ("{{ date_string }}", None),
    ],
)
def test_budget_is_a_number_of_which_none_closes_the_thought(
    before: str, budget: str | None
) -> None:
    end = CLOSING % "thinking_budget == 0"
    assert learned(with_prompt(end, before)).budget_variable == budget


def test_tags_may_stand_in_the_instructions_alone() -> None:
    words = "{{ 'Think between <think></think>, answer in <response></response>.' if thinking }}"
    found = learned(with_prompt("", words).replace("m.reasoning_content", "m.none"))
    assert found.tags == THINK
    assert switch_of(found) == Switch("thinking")


def test_tags_may_show_only_for_a_word_in_the_system_prompt() -> None:
    end = CLOSING % "messages[0].content == '/no_think'"
    found = learned(with_prompt(end).replace("m.reasoning_content", "m.none"))
    assert found.tags == ReasoningTags("<think>", "</think>", margin="", tail="", gap="")
    # The word is the caller's: no variable switches anything.
    assert (found.switch, found.opened, found.shut) == (None, "free", "free")


@pytest.mark.parametrize(
    ("words", "tags"),
    [
        ("Use the format <think> {thought} </think> {solution}.", THINK),
        ("Call them in <tool_call></tool_call>.", None),
    ],
)
def test_tags_that_are_always_described_are_named_as_thoughts(
    words: str, tags: ReasoningTags | None
) -> None:
    assert learned(with_prompt("", words).replace("m.reasoning_content", "m.none")).tags == tags


def test_template_that_reads_many_variables_is_rendered_a_limited_number_of_times() -> None:
    reads = "".join(f"{{{{ variable_{number} }}}}" for number in range(100))
    source = reference_jinja(datetime.now).from_string(with_prompt("", reads))
    count = 0

    def render(messages: Sequence[Message], variables: Variables) -> str:
        nonlocal count
        count += 1
        asks = messages[-1]["role"] != "assistant"
        return source.render(messages=messages, add_generation_prompt=asks, **variables)

    tree = reference_jinja(datetime.now).parse(with_prompt("", reads))
    found = learn_reasoning(render, reads_of(tree))
    assert found.tags == ReasoningTags("<think>", "</think>", margin="", tail="", gap="")
    assert (found.effort, found.switch, found.budget_variable) == (None, None, None)
    # And once more to see whether it takes a question at all.
    assert count <= 1 + MOST_RENDERINGS


def test_value_with_which_a_template_does_not_end_is_refused() -> None:
    endless = "{% macro again() %}{{ again() }}{% endmacro %}{{ again() if deep }}"
    found = learned(with_prompt(CLOSING % "not thinking", endless))
    assert found.switch == Switch("thinking", usual=False)


def test_operators_tags_take_the_place_of_the_templates() -> None:
    tags = ReasoningTags("<ponder>", "</ponder>")
    found = learned(PLAIN, tags=tags)
    assert (found.tags, found.field) == (tags, None)
    same = learned(PLAIN, tags=ReasoningTags("<think>", "</think>"))
    assert same.field == "reasoning_content"
    assert learned(PLAIN, tags=False).missing == "it is switched off"


GAP = TURNS.replace("{{ m.content }}", "<|text|>{{ m.content }}")


def test_closed_prompt_gets_the_mark_of_a_text() -> None:
    source = GAP + PROMPT.replace("%s", CLOSING % "not thinking")
    assert written(source, ASK).endswith("<|assistant|><think></think><|text|>")
    assert written(source, ASK, thinking=ON).endswith("<|assistant|><think>")


def test_prompt_that_ends_within_the_gap_gets_its_rest() -> None:
    gap = "</think><|assistant|><|text|>"
    source = GAP.replace("</think>{% endif %}<|text|>", gap + "{% else %}<|text|>{% endif %}")
    source += PROMPT.replace("%s", "{{ '<think></think><|assistant|>' if quick }}")
    found = learned(source)
    assert switch_of(found) == Switch("quick", on=False, off=True)
    assert written(source, ASK).endswith("<|assistant|><think></think><|assistant|><|text|>")


def test_thought_that_a_template_leaves_open_before_a_prefill_is_closed() -> None:
    source = with_prompt("<think>\n").replace(
        "{{ m.content }}",
        "{{ '<think>\\n' if loop.last and m.role == 'assistant' }}{{ m.content }}",
    )
    source = source.replace("m.reasoning_content", "m.none")
    prefill = Turn("assistant", (TextParam(text="Because"),))
    for thinking in (ON, Thinking()):
        text = written(source, ASK, prefill, thinking=thinking)
        assert text.endswith("<|assistant|><think>\n\n</think>\n\nBecause")


def test_variable_that_a_template_cannot_do_without_is_always_given() -> None:
    before = "{{ raise_exception('no') if level not in ['low', 'high'] }}[{{ level }}]"
    source = with_prompt("", before)
    assert learned(source).always == {"level": "high"}
    assert written(source, ASK).startswith("[high]")
    assert written(source, ASK, effort="low").startswith("[low]")
