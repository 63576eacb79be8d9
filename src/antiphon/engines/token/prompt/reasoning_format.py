"""The reasoning of a model: its tags, and the variables by which its template controls it.

No model is known by name: tags and variables are read from its template, see
docs/decisions/0013-thinking.md.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

import jinja2.nodes
import msgspec
from jinja2.meta import find_undeclared_variables

from antiphon.core.prompt import Prompt, Thinking
from antiphon.engines.base import EFFORTS, nearest

SWITCHES: Final = ("enable_thinking", "thinking")
"""Variables by which templates switch reasoning on or off."""

FIELDS: Final = ("reasoning_content", "reasoning", "thinking")
"""Fields of a message in which templates read earlier reasoning."""

BUDGETS: Final = {"low": 1024, "medium": 4096, "high": 16_384, "xhigh": 32_768}
"""Tokens of adaptive thinking, for models without a control of their own; `max` has no limit."""

DEFAULT_EFFORT: Final = "high"
THINKING_SHARE: Final = 0.75
"""The share of `max_tokens` for adaptive thinking; the rest is left for the answer."""


class ReasoningTags(msgspec.Struct, frozen=True):
    """The tags around reasoning: `<think>` and `</think>`, in many spellings.

    `margin` separates the tags from the reasoning, `gap` the closing tag from the answer. `none`
    is written instead of reasoning; by default it is the tags with nothing between them.
    """

    opening: str
    closing: str
    margin: str = "\n"
    gap: str = "\n\n"
    none: str | None = None

    @property
    def tokens(self) -> tuple[str, ...]:
        """The tags; each may be a control token, which the machine must show."""
        parts = re.findall(r"<\|[^<>|]*\|>", self.opening + self.closing + self.gap)
        return tuple(dict.fromkeys((self.opening, self.closing, *parts)))

    @property
    def begin(self) -> str:
        return self.opening + self.margin

    @property
    def end(self) -> str:
        return self.margin + self.closing + self.gap

    @property
    def nothing(self) -> str:
        return self.begin + self.end if self.none is None else self.none


THINK: Final = ReasoningTags("<think>", "</think>")
KNOWN_TAGS: Final = {
    "<|channel|>analysis": ReasoningTags(
        "<|channel|>analysis<|message|>",
        "<|end|>",
        margin="",
        gap="<|start|>assistant<|channel|>final<|message|>",
        none="<|channel|>final<|message|>",
    ),
    "[THINK]": ReasoningTags("[THINK]", "[/THINK]", margin="", gap=""),
    "<seed:think>": ReasoningTags("<seed:think>", "</seed:think>", gap=""),
    "◁think▷": ReasoningTags("◁think▷", "◁/think▷"),
    "<|inner_prefix|>": ReasoningTags("<|inner_prefix|>", "<|inner_suffix|>", margin="", gap=""),
    "<think>": THINK,
    "</think>": THINK,
}
"""Tags by a text that occurs in a template, in the order in which templates are searched."""


class ReasoningFormat(msgspec.Struct, frozen=True):
    """The reasoning of a template.

    `tags` is `None` if the model does not reason. `field` is the field of earlier reasoning, if the
    template has one. `levels` are the values of its variable `reasoning_effort`, with `takes_none`
    also "none"; `takes_budget` is true if it has a variable `thinking_budget`.
    """

    tags: ReasoningTags | None
    field: str | None = None
    switch: str | None = None
    levels: tuple[str, ...] = ()
    takes_none: bool = False
    takes_budget: bool = False

    @property
    def efforts(self) -> tuple[str, ...]:
        """The levels that make a difference: those of the template, or those with a budget."""
        return self.levels or (EFFORTS if self.tags is not None else ())

    def variables(self, thinking: Thinking, effort: str | None) -> dict[str, Any]:
        """Return the template variables that control reasoning; others keep their defaults."""
        reasons = thinking.mode != "disabled"
        variables: dict[str, Any] = {}
        if self.switch is not None:
            variables[self.switch] = reasons
        if self.takes_none and not reasons:
            variables["reasoning_effort"] = "none"
        elif self.levels and (self.takes_none or effort is not None):
            variables["reasoning_effort"] = nearest(effort or DEFAULT_EFFORT, self.levels)
        if self.takes_budget:
            allowance = self._allowance(thinking, effort) if reasons else 0
            variables |= {} if allowance is None else {"thinking_budget": allowance}
        return variables

    def budget(self, prompt: Prompt) -> int | None:
        """Return the most tokens of reasoning; `None` if only `max_tokens` limits it."""
        allowance = self._allowance(prompt.thinking, prompt.effort)
        if allowance is None or prompt.thinking.mode == "enabled":
            return allowance
        return min(allowance, int(prompt.max_tokens * THINKING_SHARE))

    def _allowance(self, thinking: Thinking, effort: str | None) -> int | None:
        if thinking.mode == "enabled":
            return thinking.budget
        return None if self.levels else BUDGETS.get(effort or DEFAULT_EFFORT)


def reasoning_format_of(
    source: str, tree: jinja2.nodes.Template, *, tags: ReasoningTags | bool = True
) -> ReasoningFormat:
    """Read a template: its `source` for tags, its `tree` for variables and fields.

    `tags` are the operator's: tags, `False` for none, or `True` to read them from the template.
    """
    words = set(_words(tree))  # first: looking for variables folds what is constant
    variables = find_undeclared_variables(tree)
    takes_none = "reasoning_effort" in variables and "none" in words
    # Templates seldom name the first three levels; those with "none" refuse levels they do not
    # name.
    spelled = words if takes_none else {*EFFORTS[:3], *words}
    levels = tuple(level for level in EFFORTS if level in spelled)
    return ReasoningFormat(
        tags=_tags_in(source) if tags is True else tags or None,
        field=next((field for field in FIELDS if field in words), None),
        switch=next((switch for switch in SWITCHES if switch in variables), None),
        levels=levels if "reasoning_effort" in variables else (),
        takes_none=takes_none,
        takes_budget="thinking_budget" in variables,
    )


def _tags_in(source: str) -> ReasoningTags | None:
    return next((tags for sign, tags in KNOWN_TAGS.items() if sign in source), None)


def _words(tree: jinja2.nodes.Template) -> Iterator[str]:
    """Yield the names of attributes and the texts that a template's code compares with."""
    for node in tree.find_all((jinja2.nodes.Getattr, jinja2.nodes.Const)):
        if isinstance(node, jinja2.nodes.Getattr):
            yield node.attr
        elif isinstance(node, jinja2.nodes.Const) and isinstance(node.value, str):
            yield node.value
