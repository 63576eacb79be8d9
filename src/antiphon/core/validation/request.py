"""Turns a decoded request into the prompt that an engine gets, rule by rule."""

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import UNSET
from msgspec.structs import replace

from antiphon.core.breakpoints import without_marks
from antiphon.core.errors import InvalidRequestError
from antiphon.core.prompt import Capabilities, Prompt
from antiphon.core.server_tools.history import with_calls
from antiphon.core.validation.breakpoints import breakpoints_of
from antiphon.core.validation.capabilities import check_blocks, check_capabilities
from antiphon.core.validation.citations import check_citations
from antiphon.core.validation.conversation import blocks_of, conversation
from antiphon.core.validation.images import check_images
from antiphon.core.validation.output import check_format, with_format
from antiphon.core.validation.spots import Spot, spots_of
from antiphon.core.validation.thinking import check_thinking, thinking_of
from antiphon.core.validation.tool_changes import (
    NO_TOOLS,
    ToolSettings,
    check_changes,
    has_changes,
    moved_to,
)
from antiphon.core.validation.tools import (
    check_choice,
    check_tools,
    declared_tools,
    tool_choice_of,
)
from antiphon.core.validation.versions import check_version
from antiphon.schemas.steps import Steps
from antiphon.wire.content import Base64PdfSource, DocumentParam
from antiphon.wire.messages import CountTokensParams, CreateMessageParams, EnabledThinking
from antiphon.wire.tools import AnyChoice, NamedChoice

# More than any vocabulary or answer has, and no more than an engine's integers hold.
LARGEST_TOP_K = 2**31 - 1
LARGEST_MAX_TOKENS = 2**31 - 1


def prompt_for(
    params: CreateMessageParams,
    capabilities: Capabilities,
    version: str,
    steps: Steps | None = None,
) -> Prompt:
    """Return the prompt that a valid request asks for; raise `InvalidRequestError` otherwise."""
    if params.thread is not None:
        raise InvalidRequestError(
            "thread: this server keeps no threads",
            error_code="thread_unsupported_request",
            details={"unsupported": ["thread"]},
        )
    return _prompt(
        params,
        capabilities,
        version,
        steps,
        max_tokens=min(params.max_tokens, LARGEST_MAX_TOKENS),
        temperature=1.0 if params.temperature is UNSET else params.temperature,
        any_temperature=params.temperature is UNSET,
        top_p=None if params.top_p is UNSET else params.top_p,
        top_k=None if params.top_k is UNSET else min(params.top_k, LARGEST_TOP_K),
    )


def prompt_to_count(
    params: CountTokensParams,
    capabilities: Capabilities,
    version: str,
    steps: Steps | None = None,
) -> Prompt:
    """Return the prompt whose tokens are asked for; the same rules as for a message."""
    return _prompt(params, capabilities, version, steps, max_tokens=0)


def _prompt(
    params: CreateMessageParams | CountTokensParams,
    capabilities: Capabilities,
    version: str,
    steps: Steps | None,
    **sampling: Any,
) -> Prompt:
    """Apply all rules: of the version, of the request as such, of this model."""
    params = with_format(params)
    check_version(params.messages, version)
    steps = steps or Steps()
    check_tools(params, steps)
    if params.tool_choice is not UNSET and not has_changes(params.messages):
        check_choice(params.tool_choice, params.tools or (), params.tools or ())
    system = () if params.system is UNSET else blocks_of(params.system)
    turns = conversation(params.messages, system)
    spots = tuple(spots_of(params.messages))
    tools = NO_TOOLS
    # Messages that are strings have no spots.
    if spots or params.tools:
        tools = check_changes(params, spots, steps, loads_tools=capabilities.loads_tools)
    if spots:
        check_citations(spots)
    check_thinking(params)
    if params.output_config is not UNSET:
        check_format(params, turns, spots, tools.strict, steps)
    # Strings have no breakpoints either.
    marked = spots or system or params.tools or params.cache_control is not None
    breakpoints = breakpoints_of(params, turns) if marked else ()
    if tools.changed and tools.offered is None:
        breakpoints = moved_to(breakpoints, declared_tools(params), tools.tools)
    if isinstance(params, CreateMessageParams) and not params.max_tokens:
        check_pre_warm(params)
    check_capabilities(params, capabilities)
    if spots:
        _check_spots(spots, capabilities)
    if isinstance(params, CreateMessageParams):
        check_max_tokens(params, capabilities)
    prompt = Prompt(turns=turns, **sampling, **_settings(params, spots, tools, capabilities))
    if breakpoints:
        prompt = without_marks(replace(prompt, breakpoints=breakpoints))
    return with_calls(prompt) if spots else prompt


def _check_spots(spots: Sequence[Spot], capabilities: Capabilities) -> None:
    check_blocks(spots, capabilities)
    if capabilities.images:
        check_images(spots, capabilities)


def _settings(
    params: CreateMessageParams | CountTokensParams,
    spots: Sequence[Spot],
    tools: ToolSettings,
    capabilities: Capabilities,
) -> dict[str, Any]:
    """Return the other fields of a prompt than its turns; most requests have none."""
    settings: dict[str, Any] = {}
    if tools.tools:
        settings["tools"] = tools.tools
    if tools.offered is not None:
        settings["offered"] = tools.offered
    if tools.searchable:
        settings["searchable"] = tools.searchable
    if params.tool_choice is not UNSET:
        settings["tool_choice"] = tool_choice_of(params.tool_choice)
    if paths := pdf_paths(spots):
        settings["pdf_paths"] = paths
    if params.thinking is not UNSET:
        settings["thinking"] = thinking_of(params.thinking, capabilities)
    if params.output_config is not UNSET:
        settings["effort"] = params.output_config.effort
        if params.output_config.format is not None:
            settings["output_schema"] = params.output_config.format.schema
    return settings


def check_fits(input_tokens: int, capabilities: Capabilities) -> None:
    """Refuse a prompt that leaves no room for an answer."""
    if input_tokens >= capabilities.context_tokens:
        # A prompt that just fills the window is one token too long: an answer needs one.
        maximum = min(capabilities.context_tokens, input_tokens - 1)
        raise InvalidRequestError(f"prompt is too long: {input_tokens} tokens > {maximum} maximum")


def check_max_tokens(params: CreateMessageParams, capabilities: Capabilities) -> None:
    """Refuse a longer answer than the model can give. Claude Code reads this sentence."""
    limit = capabilities.max_output_tokens
    if limit is not None and params.max_tokens > limit:
        raise InvalidRequestError(
            f"max_tokens: {params.max_tokens} > {limit}, which is the "
            f"maximum allowed number of output tokens for {params.model}"
        )


def check_pre_warm(params: CreateMessageParams) -> None:
    """Refuse parameters of an answer that has no tokens and only fills the prompt cache."""
    output = params.output_config
    if params.stream:
        reason = "`stream` is true"
    elif isinstance(params.thinking, EnabledThinking):
        reason = "`thinking` is enabled"
    elif output is not UNSET and output.format is not None:
        reason = "`output_config.format` is set"
    elif isinstance(params.tool_choice, AnyChoice | NamedChoice):
        reason = "`tool_choice` forces tool use"
    else:
        return
    raise InvalidRequestError(f"max_tokens: must be greater than 0 when {reason}")


def pdf_paths(spots: Iterable[Spot]) -> tuple[str, ...]:
    """Return the paths of all PDFs that were sent, in their order.

    The API calls their blocks `pdf` here, not `document`.
    """
    return tuple(
        f"{spot.list_path}.{spot.index}.pdf.source.base64.data"
        for spot in spots
        if isinstance(spot.block, DocumentParam) and isinstance(spot.block.source, Base64PdfSource)
    )
