"""Rules of `thinking` and the parameters beside it, and the thinking of a prompt."""

from collections.abc import Sequence

from msgspec import UNSET

from antiphon.core.errors import InvalidRequestError
from antiphon.core.prompt import Capabilities, Thinking
from antiphon.wire.content import THINKING_PARAMS, ContentParam, ToolResultParam
from antiphon.wire.messages import (
    AdaptiveThinking,
    CountTokensParams,
    CreateMessageParams,
    EnabledThinking,
    MessageParam,
    ThinkingConfigParam,
)
from antiphon.wire.tools import AnyChoice, NamedChoice

PAGE = (
    "Please consult our documentation at "
    "https://docs.claude.com/en/docs/build-with-claude/extended-thinking"
)
MUST_START = (
    "When `thinking` is enabled, a final `assistant` message must start with a thinking block "
    "(preceeding the lastmost set of `tool_use` and `tool_result` blocks). We recommend you "
    "include thinking blocks from previous turns. To avoid this requirement, disable `thinking`. "
    f"{PAGE}"
)
LOWEST_TOP_P = 0.95
LARGEST_BUDGET = 2**31 - 1
"""More than any thought has, and no more than an engine's integers hold."""


def check_thinking(params: CreateMessageParams | CountTokensParams) -> None:
    """Check the rules that hold for every model, whether it thinks or not."""
    thinking = params.thinking
    if not isinstance(thinking, EnabledThinking | AdaptiveThinking):
        return
    if isinstance(thinking, EnabledThinking):
        _check_budget(params, thinking.budget_tokens)
        # Only a budget excludes forced calls; in adaptive mode a model may do both.
        if isinstance(params.tool_choice, AnyChoice | NamedChoice):
            raise InvalidRequestError(
                "Thinking may not be enabled when tool_choice forces tool use."
            )
    if isinstance(params, CreateMessageParams):
        _check_sampling(params)
    if isinstance(thinking, EnabledThinking):
        _check_first_blocks(params.messages)
        _check_start(params.messages)


def _check_budget(params: CreateMessageParams | CountTokensParams, budget: int) -> None:
    # An answer of no tokens is refused for another reason.
    if isinstance(params, CreateMessageParams) and 0 < params.max_tokens <= budget:
        raise InvalidRequestError(
            "`max_tokens` must be greater than `thinking.budget_tokens`. "
            f"{PAGE}#max-tokens-and-context-window-size"
        )


def _check_sampling(params: CreateMessageParams) -> None:
    if params.temperature is not UNSET and params.temperature != 1:
        said = "`temperature` may only be set to 1"
    elif params.top_k is not UNSET:
        said = "`top_k` must be unset"
    elif params.top_p is not UNSET and params.top_p < LOWEST_TOP_P:
        said = f"`top_p` must be greater than or equal to {LOWEST_TOP_P} or unset"
    else:
        return
    raise InvalidRequestError(
        f"{said} when thinking is enabled or in adaptive mode. {PAGE}"
        "#important-considerations-when-using-extended-thinking"
    )


def _check_first_blocks(messages: Sequence[MessageParam]) -> None:
    """Refuse thinking that does not begin its message."""
    for index, message in enumerate(messages):
        content = [] if isinstance(message.content, str) else message.content
        if (
            message.role == "assistant"
            and any(isinstance(block, THINKING_PARAMS) for block in content)
            and not isinstance(content[0], THINKING_PARAMS)
        ):
            raise InvalidRequestError(
                f"messages.{index}.content.0: If an assistant message contains any thinking "
                "blocks, the first block must be `thinking` or `redacted_thinking`. "
                f"Found `{_kind(content[0])}`."
            )


def _kind(block: ContentParam) -> object:
    return block.__struct_config__.tag


def _check_start(messages: Sequence[MessageParam]) -> None:
    """Refuse a loop of tools, or a prefill, that does not begin with thinking."""
    said = [(i, message) for i, message in enumerate(messages) if message.role != "system"]
    start = len(said)
    while start and (said[start - 1][1].role == "assistant" or _has_result(said[start - 1][1])):
        start -= 1
    first = next((indexed for indexed in said[start:] if indexed[1].role == "assistant"), None)
    if first is None or not first[1].content:
        return
    index, message = first
    block = None if isinstance(message.content, str) else message.content[0]
    if not isinstance(block, THINKING_PARAMS):
        kind = "text" if block is None else _kind(block)
        raise InvalidRequestError(
            f"messages.{index}.content.0.type: Expected `thinking` or `redacted_thinking`, but "
            f"found `{kind}`. {MUST_START}"
        )


def _has_result(message: MessageParam) -> bool:
    content = () if isinstance(message.content, str) else message.content
    return any(isinstance(block, ToolResultParam) for block in content)


def thinking_of(thinking: ThinkingConfigParam, capabilities: Capabilities) -> Thinking:
    """Return the thinking of a prompt; disabled for a model that cannot think."""
    match thinking:
        case EnabledThinking(budget_tokens=budget) if capabilities.thinking:
            return Thinking(mode="enabled", budget=min(budget, LARGEST_BUDGET))
        case AdaptiveThinking() if capabilities.thinking:
            return Thinking(mode="adaptive")
    return Thinking()
