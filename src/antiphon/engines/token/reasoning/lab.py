"""Renders conversations with and without reasoning, by a template and its variables."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from antiphon.engines.token.notation.lab import (
    ASKED,
    FIRST,
    SAID,
    TEXT,
    Message,
    RefusedError,
    call_of,
    common_beginning,
)
from antiphon.engines.token.prompt.reasoning_format import blocks

Variables: TypeAlias = Mapping[str, Any]
Render: TypeAlias = Callable[[Sequence[Message], Variables], str]
"""Renders messages with variables; a conversation with calls has the tool of the notation's lab.

If the last message is not an answer, the beginning of one follows. Raises `RefusedError`.
"""

THOUGHT: Final = "Glumph wizzent."
MORE: Final[Message] = {"role": "user", "content": "More."}
NONE: Final[Variables] = {}


class Place(msgspec.Struct, frozen=True):
    """Where a message has its reasoning: a field of its own, a typed block, or the content."""

    field: str | None = None
    as_block: bool = False
    as_parts: bool = False

    def message(self, thought: str, text: str) -> Message:
        """Return an answer with reasoning."""
        if self.field is not None:
            return {"role": "assistant", self.field: thought, "content": text}
        if self.as_parts:  # only to look at
            parts = [{"type": "thoughts", "text": thought}, {"type": "response", "text": text}]
            return {"role": "assistant", "content": {"blocks": parts}}
        if self.as_block:
            return {"role": "assistant", "content": blocks(thought, text)}
        return {"role": "assistant", "content": thought + text}


MOST_RENDERINGS: Final = 400
"""Twice as many as any known template needs; the file of a template may be made to waste time."""


class Lab:
    """Renders conversations; each is rendered once.

    Those that come after very many others count as refused.
    """

    def __init__(self, render: Render) -> None:
        self._render = render
        self._known: dict[str, str | None] = {}
        self.left = MOST_RENDERINGS

    def given(self, variables: Variables) -> "Lab":
        """Return a lab whose template is always given these variables."""
        lab = Lab(lambda messages, more: self._render(messages, {**variables, **more}))
        lab.left = self.left
        return lab

    def text(self, messages: Sequence[Message], variables: Variables = NONE) -> str | None:
        """Return a conversation, or `None` if the template refuses it."""
        key = json.dumps([messages, variables], default=repr)
        if key not in self._known and self.left == 0:
            return None
        if key not in self._known:
            self.left -= 1
            try:
                self._known[key] = self._render(messages, variables)
            except RefusedError:
                self._known[key] = None
        return self._known[key]

    def tail(self, messages: Sequence[Message], variables: Variables = NONE) -> str | None:
        """Return what stands behind the question of a conversation."""
        text = self.text([ASKED, *messages], variables)
        if text is None or ASKED["content"] not in text:
            return None
        return text.rpartition(ASKED["content"])[2]

    def prompt(self, variables: Variables = NONE, *, system: str = "") -> str | None:
        """Return how a prompt ends behind its question; it may have a system prompt."""
        if not system:
            return self.tail([], variables)
        text = self.text([{"role": "system", "content": system}, ASKED], variables)
        return None if text is None else text.rpartition(ASKED["content"])[2]

    def header(self, variables: Variables) -> str:
        """Return what begins every answer: that to a prompt, one of text, an earlier one.

        It ends with the opening tag if all of them have one.
        """
        said: Message = {"role": "assistant", "content": SAID}
        texts = [
            self.prompt(variables), self.tail([said], variables), self.tail([said, MORE], variables)
        ]  # fmt: skip
        known = [text for text in texts if text is not None]
        header = known[0] if known else ""
        for text in known[1:]:
            header = common_beginning(header, text)
        return header.partition(SAID)[0]

    def loop(self, message: Message, variables: Variables) -> str | None:
        """Return how a call with its result goes on behind the message before it."""
        for as_text in (False, True):
            call = call_of({FIRST: TEXT}, 0, as_text=as_text)
            result = {"role": "tool", "tool_call_id": call["id"], "content": "It did."}
            result["name"] = call["function"]["name"]
            found = self.tail([{**message, "tool_calls": [call]}, result], variables)
            if found is not None and TEXT in found:
                return found
        return None
