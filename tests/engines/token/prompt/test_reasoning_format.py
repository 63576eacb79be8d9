import pytest

from antiphon.core.prompt import Prompt, Thinking
from antiphon.engines.token.prompt.reasoning_format import (
    THINK,
    EffortControl,
    ReasoningFormat,
    ReasoningTags,
    Switch,
)

PLAIN = ReasoningFormat(tags=THINK)
LEVELS = ReasoningFormat(tags=THINK, effort=EffortControl("effort", ("low", "medium", "high")))
MAXIMUM = ReasoningFormat(tags=THINK, effort=EffortControl("effort", ("high", "max")))
ONE_VARIABLE = ReasoningFormat(
    tags=THINK,
    switch=Switch("effort", "high", "none"),
    effort=EffortControl("effort", ("low", "high")),
)


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
    assert PLAIN.budget(prompt("adaptive", effort)) == budget


def test_template_with_an_effort_has_only_the_callers_budget() -> None:
    assert LEVELS.budget(prompt("adaptive", "low")) is None
    assert LEVELS.budget(prompt("enabled", "low", 1500)) == 1500


def test_effort_below_all_levels_of_the_template_is_a_budget() -> None:
    assert MAXIMUM.efforts == ("low", "medium", "high", "max")
    assert MAXIMUM.budget(prompt("adaptive", "low")) == 1024
    assert MAXIMUM.budget(prompt("adaptive", "high")) is None
    told = MAXIMUM.variables(Thinking(mode="adaptive"), "low")
    assert told == {"effort": "high"}


@pytest.mark.parametrize(
    ("mode", "effort", "told"),
    [
        ("disabled", None, {"effort": "none"}),
        ("disabled", "low", {"effort": "none"}),
        ("adaptive", None, {"effort": "high"}),
        ("adaptive", "low", {"effort": "low"}),
        ("adaptive", "max", {"effort": "high"}),
    ],
)
def test_one_variable_may_be_the_switch_and_the_effort(
    mode: str, effort: str | None, told: dict[str, str]
) -> None:
    assert ONE_VARIABLE.variables(Thinking(mode=mode), effort) == told


def test_each_tag_that_may_be_one_token_is_named() -> None:
    harmony = ReasoningTags(
        "<|channel|>analysis<|message|>", "<|end|>", gap="<|start|>assistant<|channel|>final"
    )
    assert {"<|channel|>", "<|message|>", "<|end|>", "<|start|>"} < set(harmony.tokens)
    assert THINK.tokens == ("<think>", "</think>")


def test_model_that_may_call_a_tool_writes_the_mark_of_a_text_itself() -> None:
    tags = ReasoningTags("<a>", "</a>", gap="<|turn|><|text|>", none="<|text|>")
    choosing = tags.choosing()
    assert (choosing.gap, choosing.none, choosing.text_mark) == ("<|turn|>", "", "<|text|>")
    assert "<|text|>" in choosing.tokens
    empty = ReasoningTags("<a>", "</a>", gap="<|text|>", none="<a></a><|text|>").choosing()
    assert (empty.gap, empty.none) == ("", "<a></a>")
    assert THINK.choosing() == THINK
    spaced = ReasoningTags("<a>", "</a>", none="<a></a>\n", gap="\n")
    assert spaced.choosing() == spaced


def test_tags_have_space_of_their_own() -> None:
    tags = ReasoningTags("<a>", "</a>", lead="\n", margin=" ", tail="", gap="\n")
    assert (tags.begin, tags.end, tags.nothing) == ("\n<a> ", "</a>\n", "\n<a> </a>\n")
