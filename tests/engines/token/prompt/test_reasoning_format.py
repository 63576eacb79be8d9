import jinja2
import pytest

from antiphon.core.prompt import Prompt, Thinking
from antiphon.engines.token.prompt.reasoning_format import (
    KNOWN_TAGS,
    ReasoningFormat,
    reasoning_format_of,
)


def read(source: str) -> ReasoningFormat:
    return reasoning_format_of(source, jinja2.Environment(autoescape=True).parse(source))


def prompt(mode: str, effort: str | None = None, budget: int | None = None) -> Prompt:
    thinking = Thinking(mode=mode, budget=budget)
    return Prompt((), 8000, thinking=thinking, effort=effort)


@pytest.mark.parametrize(
    ("effort", "budget"),
    [("low", 1024), ("medium", 4096), ("high", 6000), (None, 6000), ("xhigh", 6000), ("max", None)],
)
def test_effort_is_a_budget_where_the_model_has_no_control(
    effort: str | None, budget: int | None
) -> None:
    assert read("<think>").budget(prompt("adaptive", effort)) == budget


def test_template_with_an_effort_has_only_the_callers_budget() -> None:
    controlled = read("<think>{{ reasoning_effort }}")
    assert controlled.budget(prompt("adaptive", "low")) is None
    assert controlled.budget(prompt("enabled", "low", 1500)) == 1500


@pytest.mark.parametrize(
    ("source", "switch"),
    [
        ("{{ enable_thinking }}", "enable_thinking"),
        ("{% if thinking is not defined %}{% set thinking = true %}{% endif %}", "thinking"),
        ("{% set thinking = true %}{{ thinking }}", None),
        ("{# enable_thinking #}", None),
    ],
)
def test_reasoning_switch_is_a_variable_that_the_template_reads(source: str, switch: str) -> None:
    found = read(source).switch
    assert (found and found.variable) == switch


@pytest.mark.parametrize(
    ("source", "field"),
    [
        ("{{ m.reasoning_content }}", "reasoning_content"),
        ("{% if 'thinking' in m %}{{ m['thinking'] }}{% endif %}", "thinking"),
        ("reasoning_content", None),
    ],
)
def test_reasoning_field_is_one_that_the_template_reads(source: str, field: str | None) -> None:
    assert read("{% set m = {} %}" + source).field == field


def test_each_tag_that_may_be_one_token_is_named() -> None:
    harmony = KNOWN_TAGS["<|channel|>analysis"].tokens
    assert {"<|channel|>", "<|message|>", "<|end|>", "<|start|>"} < set(harmony)
    assert KNOWN_TAGS["<think>"].tokens == ("<think>", "</think>")


def test_template_of_phi_has_no_reasoning_tags() -> None:
    assert read("<|user|>\n{{ m }}<|end|>").tags is None
