"""From a decoded request to the prompt that an engine gets, rule by rule."""

from typing import Any

from msgspec import UNSET

from antiphon.core.errors import InvalidRequestError
from antiphon.core.generation import Capabilities, Prompt, Turn
from antiphon.core.validation.breakpoints import check_breakpoints
from antiphon.core.validation.capabilities import check_blocks, check_capabilities
from antiphon.core.validation.citations import check_citations
from antiphon.core.validation.conversation import blocks_of, conversation
from antiphon.core.validation.documents import pdf_paths
from antiphon.core.validation.images import check_images
from antiphon.core.validation.limits import check_max_tokens, check_pre_warm
from antiphon.core.validation.output import check_format
from antiphon.core.validation.thinking import check_thinking, thinking_of
from antiphon.core.validation.tools import check_references, check_tools, tool_choice_of, tools_of
from antiphon.core.validation.versions import check_version
from antiphon.wire.messages import CountTokensParams, CreateMessageParams

# More than any vocabulary has, and no more than an engine's integers hold.
LARGEST_TOP_K = 2**31 - 1


def prompt_for(params: CreateMessageParams, capabilities: Capabilities, version: str) -> Prompt:
    """Return the prompt that a valid request asks for; raise `InvalidRequestError` otherwise."""
    if params.thread is not None:
        raise InvalidRequestError(
            "thread: this server keeps no threads",
            error_code="thread_unsupported_request",
            details={"unsupported": ["thread"]},
        )
    turns = _checked(params, capabilities, version)
    return Prompt(
        turns=turns,
        max_tokens=params.max_tokens,
        temperature=1.0 if params.temperature is UNSET else params.temperature,
        top_p=None if params.top_p is UNSET else params.top_p,
        top_k=None if params.top_k is UNSET else min(params.top_k, LARGEST_TOP_K),
        **_settings(params, capabilities),
    )


def prompt_to_count(params: CountTokensParams, capabilities: Capabilities, version: str) -> Prompt:
    """Return the prompt whose tokens are asked for; the same rules as for a message."""
    turns = _checked(params, capabilities, version)
    return Prompt(turns=turns, max_tokens=0, **_settings(params, capabilities))


def _checked(
    params: CreateMessageParams | CountTokensParams, capabilities: Capabilities, version: str
) -> tuple[Turn, ...]:
    """Apply all rules: of the version, of the request as such, of this model."""
    check_version(params.messages, version)
    check_tools(params)
    system = () if params.system is UNSET else blocks_of(params.system)
    turns = conversation(params.messages, system)
    check_references(params)
    check_citations(params.messages)
    check_thinking(params)
    if params.output_config is not UNSET:
        check_format(params, turns)
    check_breakpoints(params)
    if isinstance(params, CreateMessageParams) and not params.max_tokens:
        check_pre_warm(params)
    check_capabilities(params, capabilities)
    check_blocks(params.messages, capabilities)
    if capabilities.images:
        check_images(params.messages, capabilities)
    if isinstance(params, CreateMessageParams):
        check_max_tokens(params, capabilities)
    return turns


def _settings(
    params: CreateMessageParams | CountTokensParams, capabilities: Capabilities
) -> dict[str, Any]:
    """Return what a prompt says besides its turns; most requests say nothing."""
    settings: dict[str, Any] = {}
    if paths := pdf_paths(params.messages):
        settings["pdf_paths"] = paths
    if params.tools is not UNSET and params.tools:
        settings["tools"] = tools_of(params.tools)
    if params.tool_choice is not UNSET:
        settings["tool_choice"] = tool_choice_of(params.tool_choice)
    if params.thinking is not UNSET:
        settings["thinking"] = thinking_of(params.thinking, capabilities)
    if params.output_config is not UNSET:
        settings["effort"] = params.output_config.effort
        if params.output_config.format is not None:
            settings["output_schema"] = params.output_config.format.schema
    return settings
