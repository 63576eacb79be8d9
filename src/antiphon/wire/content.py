"""Content blocks: the ones callers send (`…Param`) and the ones an answer holds."""

from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta

from antiphon.wire.base import Answer, Param

NoCitations: TypeAlias = Annotated[
    list[Any], Meta(max_length=0, extra={"many": "Extra inputs are not permitted"})
]


class CacheControlParam(Param, kw_only=True, frozen=True):
    """Where a prompt cache entry ends. `None` and an absent key mean the same."""

    # A lone struct's tag may be absent in msgspec, so where no union asks for it `type` is a field.
    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] = "5m"


class BlockParam(Param, tag_field="type", kw_only=True, frozen=True):
    """What all content blocks of a request share."""


class TextParam(BlockParam, tag="text", kw_only=True, frozen=True):
    """A text block of a request."""

    text: str
    # An answer's block may be sent back as it came, with its nulls.
    citations: NoCitations | None = None
    cache_control: CacheControlParam | None = None


class Base64Source(Param, tag_field="type", tag="base64", kw_only=True, frozen=True):
    """Bytes inside the request."""

    media_type: Literal["image/jpeg", "image/png", "image/gif", "image/webp"]
    data: str


class UrlSource(Param, tag_field="type", tag="url", kw_only=True, frozen=True):
    """Bytes behind a URL."""

    url: str


class ImageParam(BlockParam, tag="image", kw_only=True, frozen=True):
    """An image block of a request."""

    source: Base64Source | UrlSource
    cache_control: CacheControlParam | None = None


ContentParam: TypeAlias = TextParam | ImageParam


class TextBlock(Answer, tag_field="type", tag="text", kw_only=True, frozen=True):
    """A text block of an answer."""

    text: str
    citations: None = None


ContentBlock: TypeAlias = TextBlock
