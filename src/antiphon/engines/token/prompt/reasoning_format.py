"""The reasoning of a model: its tags, and the variables by which its template controls it.

No model is known by name: all of this is learned from its template, see
docs/decisions/0043-reasoning-learned-from-templates.md.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias

import msgspec

from antiphon.core.prompt import Prompt, Thinking
from antiphon.engines.base import EFFORTS, nearest

FIELDS: Final = ("reasoning_content", "reasoning", "thinking", "tool_plan")
"""Fields of a message in which templates read earlier reasoning."""

BUDGETS: Final = {"low": 1024, "medium": 4096, "high": 16_384, "xhigh": 32_768}
"""Tokens of adaptive thinking, for models without a control of their own; `max` has no limit."""

DEFAULT_EFFORT: Final = "high"
THINKING_SHARE: Final = 0.75
"""The share of `max_tokens` for adaptive thinking; the rest is left for the answer."""

Opening: TypeAlias = Literal["open", "closed", "free"]
"""How a prompt ends: in an open thought, behind an empty one, or before what the model chooses."""

Kept: TypeAlias = Literal["always", "loop", "never"]
"""Which earlier reasoning a template shows: all, that behind the last question, or none."""


class ReasoningTags(msgspec.Struct, frozen=True):
    """The tags around reasoning: `<think>` and `</think>`, in many spellings.

    `margin` separates the opening tag from the reasoning, `tail` the reasoning from the closing tag
    (by default the same), `gap` the closing tag from the answer, and `lead` is the space before the
    opening tag. `none` is written instead of reasoning; by default it is the tags with nothing
    between them. `text_mark` is what the model writes itself before a text, if it may call a tool
    instead.
    """

    opening: str
    closing: str
    margin: str = "\n"
    gap: str = "\n\n"
    none: str | None = None
    tail: str | None = None
    lead: str = ""
    text_mark: str = ""

    @property
    def tokens(self) -> tuple[str, ...]:
        """The tags; each may be a control token, which the machine must show."""
        texts = self.opening + self.closing + self.gap + self.text_mark
        parts = re.findall(r"<[^<>\s]*>|\[[A-Z_/]+\]", texts)
        return tuple(dict.fromkeys((self.opening, self.closing, *parts)))

    @property
    def begin(self) -> str:
        return self.lead + self.opening + self.margin

    @property
    def end(self) -> str:
        return (self.margin if self.tail is None else self.tail) + self.closing + self.gap

    @property
    def nothing(self) -> str:
        return self.begin + self.end if self.none is None else self.none

    def choosing(self) -> "ReasoningTags":
        """Return the tags for an answer that is either a text or a call.

        What the template writes before a text only, the model writes then, or begins a call.
        """
        mark = (self.none or "").rpartition(self.closing)[2]
        if not mark.strip() or not self.gap.endswith(mark):
            return self
        gap, none = (text.removesuffix(mark) for text in (self.gap, self.none or ""))
        return msgspec.structs.replace(self, gap=gap, none=none, text_mark=mark.strip())


THINK: Final = ReasoningTags("<think>", "</think>")


class Switch(msgspec.Struct, frozen=True):
    """A template variable by which reasoning is switched `on` and `off`: its values.

    `usual` is the value that the template takes for granted, if it is one of them.
    """

    variable: str
    on: Any = True
    off: Any = False
    usual: Any = None


class EffortControl(msgspec.Struct, frozen=True):
    """A template variable for the effort, and those of its values that make a difference.

    They are named as the efforts of the API, in their order.
    """

    variable: str
    levels: tuple[str, ...]


class ReasoningFormat(msgspec.Struct, frozen=True, kw_only=True):
    """The reasoning of a template.

    - `tags`: `None` if the model does not reason; `missing` says why then. `flaw` says why earlier
      reasoning is not shown, if the template would write it in a way that could not be proven.
    - `field`: the field of a message for earlier reasoning; else it is a part of the content: a
      typed block of its own (`as_block`), or the text between the tags.
    - `always`: variables without which the template refuses every conversation.
    - `switch`: the variable that switches it on and off, if there is one.
    - `effort`: the variable for the effort, if there is one.
    - `budget_variable`: the variable for the most tokens, if there is one; 0 is for none.
    - `opened`: how the prompt ends if the model shall reason. Only a prompt that is `open` begins
      the reasoning itself; for the others, Antiphon adds the opening tag.
    - `shut`: how it ends if the model shall not reason.
    - `kept`: which earlier reasoning the template shows to a model that shall reason; `at_calls`:
      only reasoning before calls.
    """

    tags: ReasoningTags | None = None
    missing: str = ""
    flaw: str = ""
    field: str | None = None
    as_block: bool = False
    always: Mapping[str, Any] = {}
    switch: Switch | None = None
    effort: EffortControl | None = None
    budget_variable: str | None = None
    opened: Opening = "free"
    shut: Opening = "free"
    kept: Kept = "never"
    at_calls: bool = False

    @property
    def levels(self) -> tuple[str, ...]:
        """The efforts between which the template makes a difference."""
        return () if self.effort is None else self.effort.levels

    @property
    def efforts(self) -> tuple[str, ...]:
        """The efforts that make a difference: by the template, or by a budget."""
        if self.tags is None:
            return self.levels
        told = self.levels
        return tuple(one for one in EFFORTS if one in told or self._has_budget(one))

    def variables(self, thinking: Thinking, effort: str | None) -> Mapping[str, Any]:
        """Return the template variables that control reasoning; others keep their defaults."""
        reasons = thinking.mode != "disabled"
        variables: dict[str, Any] = dict(self.always)
        if self.effort is not None and effort is not None:
            variables[self.effort.variable] = nearest(effort, self.levels)
        if self.switch is not None:
            value = self.switch.on if reasons else self.switch.off
            if not reasons or effort is None or self.switch.variable not in variables:
                variables[self.switch.variable] = value
        if self.budget_variable is not None:
            allowance = self._allowance(thinking, effort) if reasons else 0
            variables |= {} if allowance is None else {self.budget_variable: allowance}
        return variables

    def placed(self, thought: str, content: str, tags: ReasoningTags) -> dict[str, Any]:
        """Return the fields of a message with reasoning."""
        if self.field is not None:
            return {self.field: thought, "content": content}
        if self.as_block:
            return {"content": blocks(thought, content)}
        return {"content": tags.begin + thought + tags.end + content}

    def budget(self, prompt: Prompt) -> int | None:
        """Return the most tokens of reasoning; `None` if only `max_tokens` limits it."""
        allowance = self._allowance(prompt.thinking, prompt.effort)
        if allowance is None or prompt.thinking.mode == "enabled":
            return allowance
        return min(allowance, int(prompt.max_tokens * THINKING_SHARE))

    def _allowance(self, thinking: Thinking, effort: str | None) -> int | None:
        if thinking.mode == "enabled":
            return thinking.budget
        wanted = effort or DEFAULT_EFFORT
        return BUDGETS.get(wanted) if self._has_budget(wanted) else None

    def _has_budget(self, effort: str) -> bool:
        """Whether an effort is a budget: there is no level, or none as low as this one."""
        return not self.levels or EFFORTS.index(effort) < EFFORTS.index(self.levels[0])


def blocks(thought: str, text: str) -> list[dict[str, str]]:
    """Return a content of typed blocks; a template may refuse an empty one."""
    said = [{"type": "text", "text": text}] if text else []
    return [{"type": "thinking", "thinking": thought}, *said]
