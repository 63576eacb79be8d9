from datetime import datetime
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.prompt import Prompt, Turn
from antiphon.engines.token.prompt.placeholders import Segment
from antiphon.engines.token.prompt.template import ChatTemplate
from antiphon.engines.token.prompt.template_writer import TemplateUnusableError
from antiphon.wire.content import TextParam
from support.templates import CHATML, NO_SYSTEM, TRIMMING

ALTERNATING = (
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Roles must alternate') }}{% endif %}{% endfor %}"
)
HOISTING = (
    "{% for m in messages if m.role == 'system' %}[S]{{ m.content }}{% endfor %}"
    "{% for m in messages if m.role != 'system' %}[{{ m.role }}]{{ m.content }}{% endfor %}"
)
DROPPING = "{% for m in messages if m.role != 'system' %}[{{ m.role }}]{{ m.content }}{% endfor %}"
CONTROL = ("<|im_start|>", "<|im_end|>", "\n", "user", "assistant", "system")


def said(*turns: tuple[str, str]) -> list[Turn]:
    return [Turn(role, (TextParam(text=text),)) for role, text in turns]


def asked(turns: list[Turn]) -> Prompt:
    return Prompt(tuple(turns), 1)


@cache
def template(source: str) -> ChatTemplate:
    return ChatTemplate(source, bos="<s>", eos="</s>", now=lambda: datetime(2026, 1, 2))  # noqa: DTZ001 - a local date, as templates write it


def rendered(source: str, *turns: tuple[str, str]) -> str:
    return "".join(
        segment.text for segment in template(source).render(asked(said(*turns))).segments
    )


hostile = st.sampled_from(
    [*CONTROL, "\ue000", "\ue001", "\ue000\ue002\ue001", "\ufffd", " ", "{{", "%}"]
)
texts = st.lists(hostile | st.text(max_size=6), max_size=6).map("".join)
conversations = st.lists(
    st.tuples(st.sampled_from(["system", "user"]), texts), min_size=1, max_size=5
)


@given(conversations)
def test_segments_add_up_to_what_the_template_says(turns: list[tuple[str, str]]) -> None:
    plain = "".join(f"<|im_start|>{role}\n{text}<|im_end|>\n" for role, text in turns)
    assert rendered(CHATML, *turns) == plain + "<|im_start|>assistant\n"


@given(conversations)
def test_trimming_template_trims_the_text_and_not_the_placeholder(
    turns: list[tuple[str, str]],
) -> None:
    plain = "".join(f"<|im_start|>{role}\n{text.strip()}<|im_end|>\n" for role, text in turns)
    assert rendered(TRIMMING, *turns) == plain + "<|im_start|>assistant\n"


@given(conversations)
def test_no_word_of_a_caller_is_in_a_control_segment(turns: list[tuple[str, str]]) -> None:
    segments = template(CHATML).render(asked(said(*turns))).segments
    template_says = "".join(s.text for s in segments if s.control)
    for part in CONTROL:
        template_says = template_says.replace(part, "")
    assert not template_says.strip()
    caller_says = [s.text for s in segments if not s.control]
    assert caller_says == [text.strip() for _, text in turns if text.strip()]


@given(conversations, texts)
def test_prefill_ends_the_prompt_to_the_letter(turns: list[tuple[str, str]], prefill: str) -> None:
    for source in (CHATML, TRIMMING):
        prompt = rendered(source, *turns, ("assistant", prefill))
        assert prompt.endswith(prefill if source == CHATML else prefill.lstrip() or "\n")
        assert prompt.count("<|im_end|>") == "".join(t for _, t in [*turns, ("", prefill)]).count(
            "<|im_end|>"
        ) + len(turns)


def test_control_tokens_of_a_caller_are_in_a_plain_segment() -> None:
    assert template(CHATML).render(asked(said(("user", "a<|im_end|>b")))).segments == [
        Segment("<|im_start|>user\n", control=True),
        Segment("a<|im_end|>b", control=False),
        Segment("<|im_end|>\n<|im_start|>assistant\n", control=True),
    ]


def test_blocks_of_a_turn_are_joined_by_a_newline() -> None:
    turns = [Turn("user", (TextParam(text="one"), TextParam(text="two")))]
    texts = [segment.text for segment in template(CHATML).render(asked(turns)).segments]
    assert texts[1:4] == ["one", "\n", "two"]


def test_system_turn_in_the_middle_keeps_its_place() -> None:
    prompt = rendered(CHATML, ("user", "u1"), ("system", "s"), ("user", "u2"))
    assert prompt.index("u1") < prompt.index("system\ns<|im_end|>") < prompt.index("u2")


@pytest.mark.parametrize("refusal", [NO_SYSTEM, ALTERNATING])
def test_refused_system_turn_joins_the_user_turn(refusal: str) -> None:
    prompt = rendered(refusal + CHATML, ("system", "s"), ("user", "u"))
    assert prompt == "<|im_start|>user\ns\n\nu<|im_end|>\n<|im_start|>assistant\n"


def test_later_system_turn_joins_the_user_turn_behind_it() -> None:
    prompt = rendered(
        ALTERNATING + CHATML, ("user", "u1"), ("assistant", "a1"), ("system", "s"), ("user", "u2")
    )
    assert "<|im_start|>assistant\na1<|im_end|>\n<|im_start|>user\ns\n\nu2<|im_end|>" in prompt


def test_first_system_keeps_its_role_when_only_later_ones_are_moved() -> None:
    turns = (("system", "s1"), ("user", "u1"), ("assistant", "a"), ("system", "s2"), ("user", "u2"))
    assert rendered(HOISTING, *turns) == "[S]s1[user]u1[assistant]a[user]s2\n\nu2"


def test_dropped_system_turn_joins_the_user_turn() -> None:
    assert rendered(DROPPING, ("system", "s"), ("user", "u")) == "[user]s\n\nu"


def test_inexpressible_conversation_is_refused_in_the_templates_words() -> None:
    with pytest.raises(TemplateUnusableError, match="Roles must alternate"):
        rendered(ALTERNATING + CHATML, ("assistant", "a"), ("user", "u"))


def test_template_that_repeats_a_text_is_refused() -> None:
    with pytest.raises(TemplateUnusableError, match="drops or reorders"):
        rendered("{% for m in messages %}{{ m.content }}{{ m.content }}{% endfor %}", ("user", "u"))


def test_template_that_contains_placeholder_characters_is_safe() -> None:
    source = "\ue000\ue002\ue001\ue000\ue000\ue003\ue001" + CHATML
    assert rendered(source, ("user", "\ue000\ue002\ue001")).count("\ue000\ue002\ue001") == 2


def test_invalid_template_names_the_line() -> None:
    with pytest.raises(TemplateUnusableError, match="line 2"):
        template("\n{% for %}")


def test_template_cannot_reach_python() -> None:
    with pytest.raises(TemplateUnusableError):
        rendered("{{ messages.__class__.__mro__[1].__subclasses__() }}", ("user", "u"))


def test_template_has_the_names_that_transformers_provides() -> None:
    source = (
        "{{ bos_token }}{{ strftime_now('%Y-%m-%d') }}{{ {'ä': '<'} | tojson }}"
        "{% for m in messages %}{% if loop.index0 > 0 %}{% break %}{% endif %}"
        "{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}{{ eos_token }}"
    )
    assert rendered(source, ("user", "u")) == '<s>2026-01-02{"ä": "<"}u</s>'
