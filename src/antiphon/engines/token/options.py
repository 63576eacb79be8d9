"""The options of every engine on a token machine: its chat template and its reasoning."""

from typing import Annotated

import msgspec
from msgspec import Meta

from antiphon.engines.token.prompt.reasoning_format import ReasoningTags


class ReasoningTagOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The tags of a model's reasoning, for a template that does not show them."""

    open: Annotated[str, Meta(min_length=1)]
    close: Annotated[str, Meta(min_length=1)]


class TemplateOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The chat template, and the tags of reasoning.

    - `chat_template`: a file with a Jinja template to use instead of the model's own.
    - `thinking`: the tags of the model's reasoning; `true` takes those of its template, `false`
      switches reasoning off even if the template supports it.
    """

    chat_template: Annotated[str, Meta(min_length=1)] | None = None
    thinking: ReasoningTagOptions | bool = True

    @property
    def tags(self) -> ReasoningTags | bool:
        if isinstance(self.thinking, bool):
            return self.thinking
        return ReasoningTags(self.thinking.open, self.thinking.close)
