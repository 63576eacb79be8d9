"""Answers of `/v1/models`."""

from typing import Literal

from msgspec import UNSET, UnsetType

from antiphon.wire.base import AnswerStruct


class Supported(AnswerStruct, kw_only=True, frozen=True):
    """A leaf of the capabilities."""

    supported: bool = False


class ContextManagement(AnswerStruct, kw_only=True, frozen=True):
    supported: bool = False
    clear_thinking_20251015: Supported | None = None
    clear_tool_uses_20250919: Supported | None = None
    compact_20260112: Supported | None = None


class Effort(AnswerStruct, kw_only=True, frozen=True):
    supported: bool = False
    low: Supported = Supported()
    medium: Supported = Supported()
    high: Supported = Supported()
    max: Supported = Supported()
    xhigh: Supported | None = None


class ThinkingTypes(AnswerStruct, kw_only=True, frozen=True):
    adaptive: Supported = Supported()
    between_tools: Supported = Supported()
    disabled: Supported = Supported(supported=True)
    enabled: Supported = Supported()


class ThinkingCapability(AnswerStruct, kw_only=True, frozen=True):
    supported: bool = False
    types: ThinkingTypes = ThinkingTypes()


class ServerTools(AnswerStruct, kw_only=True, frozen=True):
    supported: bool = False
    web_search: Supported = Supported()
    code_execution: Supported = Supported()


class ModelCapabilities(AnswerStruct, kw_only=True, frozen=True):
    """The capabilities of a model. All keys are always present."""

    batch: Supported = Supported()
    citations: Supported = Supported()
    code_execution: Supported = Supported()
    image_input: Supported = Supported()
    pdf_input: Supported = Supported()
    structured_outputs: Supported = Supported()
    context_management: ContextManagement = ContextManagement()
    effort: Effort = Effort()
    thinking: ThinkingCapability = ThinkingCapability()
    server_tools: ServerTools = ServerTools()


class ModelInfo(AnswerStruct, kw_only=True, frozen=True):
    """One model. `max_input_tokens` is its context window; all keys are always present.

    Fields that are unknown while the model loads are `null`. A `description` is for Claude Code.
    """

    type: Literal["model"] = "model"
    id: str
    display_name: str
    created_at: str
    max_input_tokens: int | None
    max_tokens: int | None
    lifecycle: Literal["active"] = "active"
    deprecated_at: None = None
    retires_at: None = None
    line: None = None
    capabilities: ModelCapabilities | None
    description: str | UnsetType = UNSET


class ModelPage(AnswerStruct, kw_only=True, frozen=True):
    """One page of a listing; `first_id` and `last_id` are the cursors to the pages beside it."""

    data: tuple[ModelInfo, ...]
    has_more: bool
    first_id: str | None
    last_id: str | None
