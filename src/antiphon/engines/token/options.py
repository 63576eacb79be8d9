"""The options of every engine on a token machine: how its model is talked to."""

from typing import Annotated

import msgspec
from msgspec import Meta

from antiphon.engines.token.prompt.reasoning_format import ReasoningTags


class ReasoningTagOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a model tags its reasoning, if its template does not show it."""

    open: Annotated[str, Meta(min_length=1)]
    close: Annotated[str, Meta(min_length=1)]


class TemplateOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which chat template is rendered, and how the model reasons.

    - `chat_template`: a file with a Jinja template to use instead of the model's own.
    - `thinking`: how the model tags its reasoning; `true` takes what its template writes, and
      `false` keeps a model from reasoning whose template would have it.
    """

    chat_template: Annotated[str, Meta(min_length=1)] | None = None
    thinking: ReasoningTagOptions | bool = True

    @property
    def tags(self) -> ReasoningTags | bool:
        if isinstance(self.thinking, bool):
            return self.thinking
        return ReasoningTags(self.thinking.open, self.thinking.close)
