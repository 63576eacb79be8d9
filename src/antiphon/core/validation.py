"""What a well-formed request must also be: the rules of a conversation, in the API's words.

Shapes and types were checked when the body was decoded. Rules are checked in the order in which
the API reports them, and the first one that is broken is raised. Where the reference is silent or
guesses, the choice is stated at the rule.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby

from msgspec import UNSET

from antiphon.core.errors import InvalidRequestError
from antiphon.core.generation import Capabilities, Prompt, Turn
from antiphon.wire.content import ContentParam, ImageParam, TextParam
from antiphon.wire.messages import SHAPE, CountTokensParams, CreateMessageParams, MessageParam

SAMPLING = ("temperature", "top_k", "top_p")
SYSTEM_FIRST = (
    "messages.0: use the top-level 'system' parameter for the initial system prompt; the "
    "directive-only form (content: [] with output_config) is accepted at any position"
)
SYSTEM_PLACE = (
    "role 'system' must precede an 'assistant' message or end the array; the directive-only form "
    "(content: [] with output_config) is accepted at any position"
)


def prompt_for(params: CreateMessageParams, capabilities: Capabilities, version: str) -> Prompt:
    """Return the prompt that a valid request asks for; raise `InvalidRequestError` otherwise."""
    turns = conversation(params)
    _check_stop_sequences(params.stop_sequences or ())
    _check_sampling(params, version)
    _check_max_tokens(params, capabilities)
    return Prompt(
        turns=turns,
        max_tokens=params.max_tokens,
        temperature=1.0 if params.temperature is UNSET else params.temperature,
        top_p=None if params.top_p is UNSET else params.top_p,
        top_k=None if params.top_k is UNSET else params.top_k,
    )


def prompt_to_count(params: CountTokensParams) -> Prompt:
    """Return the prompt whose tokens are asked for; the same rules as for a message."""
    return Prompt(turns=conversation(params), max_tokens=0)


def check_fits(input_tokens: int, capabilities: Capabilities) -> None:
    """Refuse a prompt that leaves no room for an answer."""
    if input_tokens >= capabilities.context_tokens:
        raise InvalidRequestError(
            f"prompt is too long: {input_tokens} tokens > {capabilities.context_tokens} maximum"
        )


def conversation(params: CreateMessageParams | CountTokensParams) -> tuple[Turn, ...]:
    """Return the turns of a request, in its order: the system prompt, then each voice in turn.

    Messages of the same role that follow each other are one turn.
    """
    messages = params.messages
    _check_roles(messages)
    system = () if params.system is UNSET else _blocks(params.system)
    _check_text("messages", (block for message in messages for block in _blocks(message.content)))
    _check_system(system)
    _check_runs(messages)
    turns = [Turn("system", system)] if system else []
    for role, run in groupby(messages, key=lambda message: message.role):
        content = tuple(block for message in run for block in _blocks(message.content))
        # Only a last assistant message may be empty, and then it says nothing.
        if content:
            turns.append(Turn(role, content))
    _check_prefill(turns)
    return tuple(turns)


def _blocks(content: str | list[ContentParam]) -> tuple[ContentParam, ...]:
    if isinstance(content, str):
        return (TextParam(text=content),) if content else ()
    return tuple(content)


def _check_roles(messages: Sequence[MessageParam]) -> None:
    if messages[0].role == "assistant":
        raise InvalidRequestError('messages: first message must use the "user" role')
    for index, message in enumerate(messages):
        if message.role == "system":
            _check_system_message(messages, index)
        _check_images(message, index)


def _check_system_message(messages: Sequence[MessageParam], index: int) -> None:
    """Rules of sheet 01 section 2, in their order."""
    blocks = _blocks(messages[index].content)
    after = messages[index + 1].role if index + 1 < len(messages) else None
    before = messages[index - 1].role if index else None
    if not blocks:
        sentence = "system content must contain at least one block"
    elif not all(isinstance(block, TextParam) for block in blocks):
        sentence = "role 'system' supports text, tool_addition, and tool_removal blocks only"
    elif before is None:
        raise InvalidRequestError(SYSTEM_FIRST)
    elif after == "user":
        sentence = SYSTEM_PLACE
    elif any(isinstance(block, TextParam) and not block.text.strip() for block in blocks):
        sentence = "system text blocks must contain non-whitespace text"
    elif before == "assistant":
        # The wording is not on record; the rule is.
        sentence = "role 'system' must follow a 'user' message"
    else:
        return
    raise InvalidRequestError(f"messages.{index}: {sentence}")


def _check_images(message: MessageParam, index: int) -> None:
    for place, block in enumerate(_blocks(message.content)):
        if isinstance(block, ImageParam):
            raise InvalidRequestError(
                f"messages.{index}.content.{place}.image: this model does not take images"
            )


def _check_text(where: str, blocks: Iterator[ContentParam]) -> None:
    for block in blocks:
        if not isinstance(block, TextParam):
            continue
        if not block.text:
            raise InvalidRequestError(f"{where}: text content blocks must be non-empty")
        if not block.text.strip():
            raise InvalidRequestError(
                f"{where}: text content blocks must contain non-whitespace text"
            )


def _check_system(system: tuple[ContentParam, ...]) -> None:
    for index, block in enumerate(system):
        if not isinstance(block, TextParam):
            raise InvalidRequestError(f"system.{index}: {SHAPE}")
    _check_text("system", iter(system))


def _check_runs(messages: Sequence[MessageParam]) -> None:
    """Each run of one role must say something, but for an assistant that ends the array."""
    first = 0
    for role, run in groupby(messages, key=lambda message: message.role):
        items = list(run)
        last = first + len(items) == len(messages)
        if not any(message.content for message in items):
            if role == "user":
                raise InvalidRequestError(
                    f"messages.{first}: user messages must have non-empty content"
                )
            if not last:
                raise InvalidRequestError(
                    f"messages.{first}: all messages must have non-empty content except for the "
                    "optional final assistant message"
                )
        first += len(items)


def _check_prefill(turns: Sequence[Turn]) -> None:
    last = turns[-1]
    block = last.content[-1]
    if last.role == "assistant" and isinstance(block, TextParam) and block.text[-1:].isspace():
        raise InvalidRequestError(
            "messages: final assistant content cannot end with trailing whitespace"
        )


def _check_stop_sequences(sequences: Sequence[str]) -> None:
    if not all(sequence.strip() for sequence in sequences):
        raise InvalidRequestError("stop_sequences: each stop sequence must contain non-whitespace")


def _check_sampling(params: CreateMessageParams, version: str) -> None:
    """Under 2026-10-21 the sampling parameters are unknown keys, even at their defaults."""
    if version == "2023-06-01":
        return
    for name in SAMPLING:
        if getattr(params, name) is not UNSET:
            raise InvalidRequestError(f"{name}: Extra inputs are not permitted")


def _check_max_tokens(params: CreateMessageParams, capabilities: Capabilities) -> None:
    limit = capabilities.max_output_tokens
    if limit is not None and params.max_tokens > limit:
        raise InvalidRequestError(
            f"max_tokens: {params.max_tokens} > {limit}, which is the "
            f"maximum allowed number of output tokens for {params.model}"
        )
    if params.max_tokens == 0 and params.stream:
        raise InvalidRequestError("max_tokens: must be greater than 0 when `stream` is true")
