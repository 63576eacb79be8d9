"""How many tokens: of the prompt, of the answer, and of an answer of none."""

from msgspec import UNSET

from antiphon.core.errors import InvalidRequestError
from antiphon.core.generation import Capabilities
from antiphon.wire.messages import CreateMessageParams, EnabledThinking
from antiphon.wire.tools import AnyChoice, NamedChoice


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
    """Refuse to ask anything of an answer of no tokens: it only fills the prompt cache."""
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
