"""Rules of a conversation: the order of roles, and that every turn has content."""

from collections.abc import Iterable, Sequence
from itertools import chain, groupby

from antiphon.core.errors import InvalidRequestError
from antiphon.core.prompt import Role, Turn
from antiphon.core.validation.pairing import IndexedMessage, check_pairing
from antiphon.wire.content import (
    SERVER_RESULTS,
    TOOL_CHANGES,
    ContentParam,
    TextParam,
    ThinkingParam,
)
from antiphon.wire.decoding import EXTRA
from antiphon.wire.messages import SHAPE, MessageParam

SYSTEM_FIRST = (
    "messages.0: use the top-level 'system' parameter for the initial system prompt; the "
    "directive-only form (content: [] with output_config) is accepted at any position"
)
NEXT_USER_MESSAGE = "next_user_message"
SYSTEM_BEFORE = (
    "role 'system' must follow a 'user' message or an 'assistant' message ending in a server tool "
    "result; the directive-only form (content: [] with output_config) is accepted at any position"
)
SYSTEM_PLACE = (
    "role 'system' must precede an 'assistant' message or end the array; the directive-only form "
    "(content: [] with output_config) is accepted at any position"
)


def conversation(
    params: Sequence[MessageParam], system: tuple[ContentParam, ...]
) -> tuple[Turn, ...]:
    """Return the turns of a request, in its order, the system prompt first.

    Messages of the same role that follow each other are one turn.
    """
    messages = [
        (index, Turn(message.role, blocks_of(message.content)))
        for index, message in enumerate(params)
        if not _is_directive(message, index)
    ]
    if not messages:
        raise InvalidRequestError("messages: at least one message is required")
    _check_roles(messages)
    turns = _merged(_shown(params, messages))
    for index, message in messages:
        _check_content(f"messages.{index}", message.content)
    _check_prefill(turns[-1])
    if any([not isinstance(message.content, str) for message in params]):  # noqa: C419 - twice as fast
        check_pairing(messages)
    if not system:
        return tuple(turns)
    _check_system(system)
    return (Turn("system", system), *turns)


def blocks_of(content: str | list[ContentParam]) -> tuple[ContentParam, ...]:
    """Return content as blocks: a string is one, and an empty string is none."""
    if isinstance(content, str):
        return (TextParam(text=content),) if content else ()
    return tuple(content)


def scoped_blocks(params: Iterable[MessageParam]) -> list[bool]:
    """Return which blocks behind the last user message, before an answer, are of a turn-scoped one.

    A turn-scoped message is shown only until the next user message, so no prefix ends there.
    """
    scoped: list[bool] = []
    for message in params:
        if message.role == "user":
            scoped = []
        elif message.role == "system":
            scoped += [message.clear_at == NEXT_USER_MESSAGE] * len(blocks_of(message.content))
    return scoped


def _shown(
    params: Sequence[MessageParam], messages: Sequence[IndexedMessage]
) -> Sequence[IndexedMessage]:
    """Return the messages that the model reads: no turn-scoped one before a user message."""
    if not any([message.clear_at == NEXT_USER_MESSAGE for message in params]):  # noqa: C419 - twice as fast
        return messages
    last = max(index for index, message in messages if message.role == "user")
    return [
        (index, message)
        for index, message in messages
        if index > last or params[index].clear_at != NEXT_USER_MESSAGE
    ]


def _is_directive(message: MessageParam, index: int) -> bool:
    """Return whether a message has directions for the model and no content. It is ignored."""
    if message.output_config is None and message.clear_at is None:
        return False
    if message.role != "system":
        if message.clear_at is not None:
            sentence = "clear_at: clear_at is only permitted on role 'system' messages"
            raise InvalidRequestError(f"messages.{index}.{sentence}")
        raise InvalidRequestError(f"messages.{index}.output_config: {EXTRA}")
    if message.clear_at == NEXT_USER_MESSAGE:
        _check_scoped(message, index)
    return message.output_config is not None and not message.content


def _check_scoped(message: MessageParam, index: int) -> None:
    """Check a turn-scoped message: text alone, without options and without breakpoints."""
    blocks = blocks_of(message.content)
    marked = (
        position for position, block in enumerate(blocks) if getattr(block, "cache_control", None)
    )
    if not all(isinstance(block, TextParam) for block in blocks):
        sentence = ": a turn-scoped system message supports text blocks only"
    elif message.output_config is not None:
        sentence = ": output_config is not permitted on a turn-scoped system message"
    elif (position := next(marked, None)) is not None:
        sentence = (
            f".content.{position}: cache_control is not permitted on a turn-scoped system message"
        )
    else:
        return
    raise InvalidRequestError(f"messages.{index}{sentence} (clear_at: '{NEXT_USER_MESSAGE}')")


def _check_roles(messages: Sequence[IndexedMessage]) -> None:
    if messages[0][1].role == "assistant":
        raise InvalidRequestError('messages: first message must use the "user" role')
    for number, (_, message) in enumerate(messages):
        if message.role == "system":
            _check_system_message(messages, number)


def _check_system_message(messages: Sequence[IndexedMessage], number: int) -> None:
    index, message = messages[number]
    after = messages[number + 1][1].role if number + 1 < len(messages) else None
    before = messages[number - 1][1].role if number else None
    if not message.content:
        sentence = "system content must contain at least one block"
    elif not all(isinstance(block, (TextParam, *TOOL_CHANGES)) for block in message.content):
        sentence = "role 'system' supports text, tool_addition, and tool_removal blocks only"
    elif before is None:
        raise InvalidRequestError(SYSTEM_FIRST)
    elif after == "user":
        sentence = SYSTEM_PLACE
    elif any(isinstance(block, TextParam) and not block.text.strip() for block in message.content):
        sentence = "system text blocks must contain non-whitespace text"
    elif before == "assistant" and not _ends_in_result(messages[number - 1][1]):
        sentence = SYSTEM_BEFORE
    else:
        return
    raise InvalidRequestError(f"messages.{index}: {sentence}")


def _ends_in_result(turn: Turn) -> bool:
    return bool(turn.content) and isinstance(turn.content[-1], SERVER_RESULTS)


def _merged(messages: Sequence[IndexedMessage]) -> list[Turn]:
    """Join the messages of one role in a row. Only the last, of an assistant, may be empty."""
    turns = []
    done = 0
    for role, grouped in groupby(messages, key=_role):
        run = list(grouped)
        done += len(run)
        turn = run[0][1]
        if len(run) > 1:
            turn = Turn(role, tuple(chain.from_iterable(message.content for _, message in run)))
        if turn.content:
            turns.append(turn)
        elif role == "user":
            raise InvalidRequestError(
                f"messages.{run[0][0]}: user messages must have non-empty content"
            )
        elif done < len(messages):
            raise InvalidRequestError(
                f"messages.{run[0][0]}: all messages must have non-empty content except for the "
                "optional final assistant message"
            )
    return turns


def _check_content(where: str, blocks: Iterable[ContentParam]) -> None:
    for position, block in enumerate(blocks):
        if isinstance(block, TextParam):
            if not block.text or block.text.isspace():
                raise InvalidRequestError(_blank_text(block, where, position))
        elif isinstance(block, ThinkingParam) and not (block.thinking or block.signature):
            # Thinking that was omitted from the answer comes back empty, but signed.
            raise InvalidRequestError(
                f"{where}.content.{position}.thinking: each thinking block must contain thinking"
            )


def _blank_text(block: TextParam, where: str, position: int) -> str:
    content = where if where == "system" else f"{where}.content"
    if block.text:
        sentence = "text content blocks must contain non-whitespace text"
    elif block.cache_control is not None:
        return f"{content}.{position}.text: cache_control cannot be set for empty text blocks"
    else:
        sentence = "text content blocks must be non-empty"
    return f"{where.partition('.')[0]}: {sentence}"


def _check_system(system: Sequence[ContentParam]) -> None:
    for index, block in enumerate(system):
        if not isinstance(block, TextParam):
            raise InvalidRequestError(f"system.{index}: {SHAPE}")
    _check_content("system", system)


def _check_prefill(last: Turn) -> None:
    block = last.content[-1]
    if last.role == "assistant" and isinstance(block, TextParam) and block.text[-1:].isspace():
        raise InvalidRequestError(
            "messages: final assistant content cannot end with trailing whitespace"
        )


def _role(indexed: IndexedMessage) -> Role:
    return indexed[1].role
