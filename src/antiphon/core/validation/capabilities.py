"""Rules of one model and this server: parameters and blocks that they do not support.

They come after the rules that hold for every model. A parameter is ignored instead of refused
where the caller can see no difference: `thinking` adaptive or disabled and `effort` on a model
that does not think, `speed` standard, `diagnostics`.
"""

from collections.abc import Iterable
from typing import cast

from msgspec import UNSET

from antiphon.core.defined_tools import RUN_HERE
from antiphon.core.errors import InvalidRequestError
from antiphon.core.prompt import Capabilities
from antiphon.core.validation.spots import Spot
from antiphon.wire.content import (
    DocumentParam,
    FileSource,
    ImageParam,
    RefusedBlockParam,
    RefusedChangeParam,
    ServerToolUseParam,
    TextParam,
    ToolAdditionParam,
    ToolChangeParam,
    ToolDefinitionParam,
    ToolRemovalParam,
    ToolResultParam,
    ToolSearchToolResultParam,
    ToolUseParam,
    UrlSource,
    WebFetchToolResultParam,
    WebSearchToolResultParam,
)
from antiphon.wire.messages import (
    BetweenToolsThinking,
    CountTokensParams,
    CreateMessageParams,
    EnabledThinking,
)
from antiphon.wire.tools import (
    REFUSED_TOOLS,
    AnyChoice,
    CustomToolParam,
    NamedChoice,
    NamedToolParam,
    RefusedToolParam,
    ToolParam,
)


def check_capabilities(
    params: CreateMessageParams | CountTokensParams, capabilities: Capabilities
) -> None:
    """Refuse the parameters that this model or server does not support."""
    if isinstance(params, CreateMessageParams):
        if params.container is not None:
            raise InvalidRequestError(
                "container: Container identifier can only be provided when using the code "
                "execution tool"
            )
        if params.inference_geo is not None:
            raise InvalidRequestError("inference_geo: not supported for this model.")
    if params.tools is not UNSET:
        for index, tool in enumerate(params.tools):
            _check_tool(tool, f"tools.{index}", capabilities)
    _check_choice(params, capabilities)
    _check_thinking(params, capabilities)
    output = params.output_config
    if output is not UNSET and output.format is not None and not capabilities.structured_outputs:
        raise InvalidRequestError(
            "output_config.format: this model does not support structured outputs"
        )
    if params.speed == "fast":
        raise InvalidRequestError("speed: 'fast' is not supported for this model.")


def _check_tool(tool: ToolParam, where: str, capabilities: Capabilities) -> None:
    if not isinstance(tool, CustomToolParam | NamedToolParam):
        kind = cast("RefusedToolParam", tool).type
        raise InvalidRequestError(f"{where}.{kind}: {REFUSED_TOOLS[kind]}")
    if not capabilities.tools:
        raise InvalidRequestError("tools: this model does not support tools")
    where = f"{where}.{tool.type or 'custom'}"
    if tool.strict and not capabilities.forced_tools:
        raise InvalidRequestError(f"{where}.strict: this model does not support strict tools")
    if tool.allowed_callers and "direct" not in tool.allowed_callers:
        raise InvalidRequestError(
            f"{where}.allowed_callers: this server runs no code that could call tools; 'direct' "
            "must be allowed"
        )


def _check_choice(
    params: CreateMessageParams | CountTokensParams, capabilities: Capabilities
) -> None:
    forced = isinstance(params.tool_choice, AnyChoice | NamedChoice)
    if forced and not capabilities.forced_tools:
        raise InvalidRequestError(
            'tool_choice: type "tool" and "any" are not supported for this model.'
        )


def _check_thinking(
    params: CreateMessageParams | CountTokensParams, capabilities: Capabilities
) -> None:
    if isinstance(params.thinking, BetweenToolsThinking):
        raise InvalidRequestError('"thinking.type.between_tools" is not supported for this model.')
    if isinstance(params.thinking, EnabledThinking) and not capabilities.thinking:
        raise InvalidRequestError(
            '"thinking.type.enabled" is not supported for this model. Use '
            '"thinking.type.adaptive" and "output_config.effort" to control thinking behavior.'
        )


def check_blocks(spots: Iterable[Spot], capabilities: Capabilities) -> None:
    """Refuse the blocks that this model cannot read. Every model takes thinking sent back."""
    for spot in spots:
        block = spot.block
        match block:
            case TextParam():
                pass
            case RefusedBlockParam():
                raise InvalidRequestError(f"{spot.path}: {block.why}")
            case ServerToolUseParam(name=name) if name not in RUN_HERE:
                raise InvalidRequestError(f"{spot.path}: this server does not run '{name}'")
            case (
                ToolUseParam()
                | ToolResultParam()
                | ServerToolUseParam()
                | ToolSearchToolResultParam()
                | WebSearchToolResultParam()
                | WebFetchToolResultParam()
            ) if not capabilities.tools:
                raise InvalidRequestError(f"{spot.path}: this model does not support tools")
            case ImageParam() if not capabilities.images:
                raise InvalidRequestError(f"{spot.path}: this model does not take image blocks")
            case ImageParam() | DocumentParam():
                _check_source(block, spot.path, capabilities)
            case ToolAdditionParam() | ToolRemovalParam():
                _check_change(block, spot.path, capabilities)


def _check_change(block: ToolChangeParam, where: str, capabilities: Capabilities) -> None:
    tool = block.tool
    if isinstance(tool, RefusedChangeParam):
        kind = tool.__struct_config__.tag
        raise InvalidRequestError(f"{where}.tool.{kind}: {tool.why}")
    if not capabilities.tools:
        raise InvalidRequestError(f"{where}: this model does not support tools")
    if isinstance(tool, ToolDefinitionParam):
        _check_tool(tool.definition, f"{where}.tool.tool_definition.definition", capabilities)


def _check_source(
    block: ImageParam | DocumentParam, where: str, capabilities: Capabilities
) -> None:
    """Refuse sources that this server does not fetch."""
    ways = "'base64'" if isinstance(block, ImageParam) else "'base64', 'text' or 'content'"
    kinds = "images" if isinstance(block, ImageParam) else "documents"
    match block.source:
        case UrlSource() if not capabilities.url_sources:
            reason = f"this server fetches no {kinds}; send them as {ways}, not 'url'"
        case FileSource() if not capabilities.file_sources:
            reason = f"this server keeps no files; send {kinds} as {ways}, not 'file'"
        case _:
            return
    raise InvalidRequestError(f"{where}.source: {reason}")
