"""Content blocks: the ones callers send (`…Param`) and the ones an answer holds."""

from typing import TypeAlias

from antiphon.wire.base import Answer, Param


class TextParam(Param, tag_field="type", tag="text", kw_only=True, frozen=True):
    """A text block of a request."""

    text: str


ContentParam: TypeAlias = TextParam


class TextBlock(Answer, tag_field="type", tag="text", kw_only=True, frozen=True):
    """A text block of an answer."""

    text: str
    citations: None = None


ContentBlock: TypeAlias = TextBlock
