"""A message as the server answers it, and what it cost."""

from typing import Any

from antiphon.sdk.types.base import Answered
from antiphon.sdk.types.blocks import ContentBlock, TextBlock, ToolUseBlock


class CacheCreation(Answered, kw_only=True, frozen=True):
    """Tokens written to the prompt cache, by lifetime."""

    ephemeral_5m_input_tokens: int = 0
    ephemeral_1h_input_tokens: int = 0


class OutputTokensDetails(Answered, kw_only=True, frozen=True):
    """The part of `output_tokens` that was thinking."""

    thinking_tokens: int = 0


class ServerToolUsage(Answered, kw_only=True, frozen=True):
    """How often tools of the server ran."""

    web_search_requests: int = 0
    web_fetch_requests: int = 0


class Usage(Answered, kw_only=True, frozen=True):
    """The tokens of a request.

    The prompt is `input_tokens + cache_creation_input_tokens + cache_read_input_tokens`.
    """

    nested = ("cache_creation", "output_tokens_details", "server_tool_use")
    relied = (
        "input_tokens",
        "cache_creation_input_tokens",
        "cache_read_input_tokens",
        "output_tokens",
    )

    input_tokens: int = 0
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation: CacheCreation | None = None
    output_tokens: int = 0
    output_tokens_details: OutputTokensDetails | None = None
    server_tool_use: ServerToolUsage | None = None
    service_tier: str | None = None
    inference_geo: str | None = None
    speed: str | None = None


class RefusalStopDetails(Answered, kw_only=True, frozen=True):
    """Why the model refused, as far as the server says it."""

    type: str = "refusal"
    category: str | None = None
    explanation: str | None = None


class CacheMissReason(Answered, kw_only=True, frozen=True):
    """Why a prompt was not read from the cache as far as an earlier one reached."""

    type: str
    cache_missed_input_tokens: int | None = None


class Diagnostics(Answered, kw_only=True, frozen=True):
    """What `diagnostics` of the request asked for. A reason of `None` says: not known yet."""

    nested = ("cache_miss_reason",)

    cache_miss_reason: CacheMissReason | None = None


class Container(Answered, kw_only=True, frozen=True):
    """The container in which code ran. Only the hosted API has any."""

    id: str
    expires_at: str | None = None


class Message(Answered, kw_only=True, frozen=True):
    """An answer of the model."""

    nested = ("content", "stop_details", "usage", "container", "diagnostics")
    relied = ("role", "content", "usage")

    id: str
    type: str = "message"
    role: str = "assistant"
    model: str
    content: list[ContentBlock]
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: RefusalStopDetails | None = None
    usage: Usage = Usage()
    container: Container | None = None
    diagnostics: Diagnostics | None = None

    @property
    def text(self) -> str:
        """The text of all text blocks, joined."""
        return "".join([block.text for block in self.content if isinstance(block, TextBlock)])

    @property
    def tool_calls(self) -> list[ToolUseBlock]:
        """The calls that are to be run, in their order."""
        return [block for block in self.content if isinstance(block, ToolUseBlock)]

    def to_param(self) -> dict[str, Any]:
        """Return the message as one of the next request: all of its blocks, as they came."""
        return {"role": self.role, "content": [block.to_dict() for block in self.content]}


class MessageTokensCount(Answered, kw_only=True, frozen=True):
    """The number of tokens of a prompt."""

    input_tokens: int
