"""Content blocks: the ones callers send (`…Param`) and the ones an answer holds.

Blocks of an answer may be sent back as they came, so requests take `null` where answers say it.
"""

from typing import Annotated, Any, Literal, TypeAlias

from msgspec import UNSET, Meta, UnsetType

from antiphon.wire.base import Answer, NonEmptyStr, Param

# In Python `$` also matches before a newline at the end.
ToolId: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^[a-zA-Z0-9_-]+\Z",
        extra={"pattern": "String should match pattern '^[a-zA-Z0-9_-]+$'"},
    ),
]


class CacheControlParam(Param, kw_only=True, frozen=True):
    """Where a prompt cache entry ends. `None` and an absent key mean the same."""

    # A lone struct's tag may be absent in msgspec, so where no union asks for it `type` is a field.
    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] = "5m"


class BlockParam(Param, tag_field="type", kw_only=True, frozen=True):
    """What all content blocks of a request share."""


class CacheableParam(BlockParam, kw_only=True, frozen=True):
    """A block that may end a prompt cache entry."""

    cache_control: CacheControlParam | None = None


class TextParam(CacheableParam, tag="text", kw_only=True, frozen=True):
    """A text block of a request."""

    text: str
    citations: list[dict[str, Any]] | None = None


class Base64ImageSource(Param, tag_field="type", tag="base64", kw_only=True, frozen=True):
    """An image inside the request."""

    media_type: Literal["image/jpeg", "image/png", "image/gif", "image/webp"]
    data: str


class Base64PdfSource(Param, tag_field="type", tag="base64", kw_only=True, frozen=True):
    """A PDF inside the request."""

    media_type: Literal["application/pdf"]
    data: str


class PlainTextSource(Param, tag_field="type", tag="text", kw_only=True, frozen=True):
    """A plain text inside the request."""

    media_type: Literal["text/plain"]
    data: str


class UrlSource(Param, tag_field="type", tag="url", kw_only=True, frozen=True):
    """Bytes behind a URL."""

    url: str


class FileSource(Param, tag_field="type", tag="file", kw_only=True, frozen=True):
    """An uploaded file."""

    file_id: str


class ImageTransformations(Param, kw_only=True, frozen=True):
    """What may be done to an image before the model sees it."""

    oversized_image: Literal["downsize", "error"] | None = None


class ImageParam(CacheableParam, tag="image", kw_only=True, frozen=True):
    """An image block of a request."""

    source: Base64ImageSource | UrlSource | FileSource
    transformations: ImageTransformations | None = None


class ContentSource(Param, tag_field="type", tag="content", kw_only=True, frozen=True):
    """A document that is made of blocks."""

    content: str | list[TextParam | ImageParam]


class CitationsParam(Param, kw_only=True, frozen=True):
    """Whether the answer shall say where its claims come from."""

    enabled: bool = False


class DocumentParam(CacheableParam, tag="document", kw_only=True, frozen=True):
    """A document block of a request."""

    source: Base64PdfSource | PlainTextSource | ContentSource | UrlSource | FileSource
    title: Annotated[str, Meta(min_length=1, max_length=500)] | None = None
    context: NonEmptyStr | None = None
    citations: CitationsParam | None = None


class SearchResultParam(CacheableParam, tag="search_result", kw_only=True, frozen=True):
    """A search result that the answer may cite."""

    source: str
    title: str
    content: list[TextParam | ImageParam]
    citations: CitationsParam | None = None


class ThinkingParam(BlockParam, tag="thinking", kw_only=True, frozen=True):
    """What the model thought in an earlier turn, sent back as it came."""

    thinking: str
    signature: str


class RedactedThinkingParam(BlockParam, tag="redacted_thinking", kw_only=True, frozen=True):
    """Thinking that the caller cannot read, sent back as it came."""

    data: str


class ToolUseParam(CacheableParam, tag="tool_use", kw_only=True, frozen=True):
    """A call that the model made in an earlier turn."""

    id: ToolId
    name: Annotated[str, Meta(min_length=1, max_length=200)]
    input: dict[str, Any]
    caller: dict[str, Any] | None = None
    toolset_name: str | None = None


ToolResultContent: TypeAlias = TextParam | ImageParam | SearchResultParam | DocumentParam


class ToolResultParam(CacheableParam, tag="tool_result", kw_only=True, frozen=True):
    """What came of a call."""

    tool_use_id: ToolId
    content: str | list[ToolResultContent] | UnsetType | None = UNSET
    is_error: bool | None = None
    toolset_name: str | None = None


ContentParam: TypeAlias = (
    TextParam
    | ImageParam
    | DocumentParam
    | SearchResultParam
    | ThinkingParam
    | RedactedThinkingParam
    | ToolUseParam
    | ToolResultParam
)


class DirectCaller(Answer, kw_only=True, frozen=True):
    """Who makes a call: the model itself."""

    type: Literal["direct"] = "direct"


class TextBlock(Answer, tag_field="type", tag="text", kw_only=True, frozen=True):
    """A text block of an answer."""

    text: str
    citations: list[dict[str, Any]] | None = None


class ThinkingBlock(Answer, tag_field="type", tag="thinking", kw_only=True, frozen=True):
    """What the model thought; the signature proves that it came from here."""

    thinking: str
    signature: str


class RedactedThinkingBlock(
    Answer, tag_field="type", tag="redacted_thinking", kw_only=True, frozen=True
):
    """Thinking that the caller cannot read, to be sent back as it is."""

    data: str


class ToolUseBlock(Answer, tag_field="type", tag="tool_use", kw_only=True, frozen=True):
    """A call that the caller is asked to make."""

    id: str
    name: str
    input: dict[str, Any]
    caller: DirectCaller = DirectCaller()


ContentBlock: TypeAlias = TextBlock | ThinkingBlock | RedactedThinkingBlock | ToolUseBlock
