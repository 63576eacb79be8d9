"""What a well-formed request must also be: the rules of a conversation, in the API's words.

Shapes and types were checked when the body was decoded. Rules are checked in the order in which
the API reports them, and the first one that is broken is raised. Where the reference is silent or
guesses, the choice is stated at the rule.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, groupby, pairwise
from operator import attrgetter

from msgspec import UNSET

from antiphon.core.errors import InvalidRequestError
from antiphon.core.generation import Capabilities, Prompt, Turn
from antiphon.wire.content import CacheableParam, CacheControlParam, ContentParam, TextParam
from antiphon.wire.messages import SHAPE, CountTokensParams, CreateMessageParams

SAMPLING = ("temperature", "top_k", "top_p")
MOST_BREAKPOINTS = 4
# More than any vocabulary has, and no more than an engine's integers hold.
LARGEST_TOP_K = 2**31 - 1
LONG_AFTER_SHORT = (
    "a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block. Note that "
    "blocks are processed in the following order: `tools`, `system`, `messages`."
)
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
    _check_sampling(params, version)
    turns = conversation(params)
    _check_max_tokens(params, capabilities)
    return Prompt(
        turns=turns,
        max_tokens=params.max_tokens,
        temperature=1.0 if params.temperature is UNSET else params.temperature,
        top_p=None if params.top_p is UNSET else params.top_p,
        top_k=None if params.top_k is UNSET else min(params.top_k, LARGEST_TOP_K),
    )


def prompt_to_count(params: CountTokensParams) -> Prompt:
    """Return the prompt whose tokens are asked for; the same rules as for a message."""
    return Prompt(turns=conversation(params), max_tokens=0)


def check_fits(input_tokens: int, capabilities: Capabilities) -> None:
    """Refuse a prompt that leaves no room for an answer."""
    if input_tokens >= capabilities.context_tokens:
        # A prompt that just fills the window is one token too long: an answer needs one.
        maximum = min(capabilities.context_tokens, input_tokens - 1)
        raise InvalidRequestError(f"prompt is too long: {input_tokens} tokens > {maximum} maximum")


def conversation(params: CreateMessageParams | CountTokensParams) -> tuple[Turn, ...]:
    """Return the turns of a request, in its order: the system prompt, then each voice in turn.

    Messages of the same role that follow each other are one turn.
    """
    messages = [Turn(message.role, _blocks(message.content)) for message in params.messages]
    system = () if params.system is UNSET else _blocks(params.system)
    _check_roles(messages)
    turns = _merged(messages)
    for turn in turns:
        _check_text("messages", turn.content)
    _check_system(system)
    _check_prefill(turns[-1])
    _check_breakpoints(params.cache_control, system, messages)
    _check_blocks(messages)
    return (Turn("system", system), *turns) if system else tuple(turns)


def _blocks(content: str | list[ContentParam]) -> tuple[ContentParam, ...]:
    if isinstance(content, str):
        return (TextParam(text=content),) if content else ()
    return tuple(content)


def _check_roles(messages: Sequence[Turn]) -> None:
    if messages[0].role == "assistant":
        raise InvalidRequestError('messages: first message must use the "user" role')
    for index, message in enumerate(messages):
        if message.role == "system":
            _check_system_message(messages, index)


def _check_system_message(messages: Sequence[Turn], index: int) -> None:
    """Rules of sheet 01 section 2, in their order."""
    blocks = messages[index].content
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


def _merged(messages: Sequence[Turn]) -> list[Turn]:
    """Join what one voice says in a row; each must say something, but for a last assistant."""
    turns = []
    first = 0
    for role, run in groupby(messages, key=attrgetter("role")):
        said = [message.content for message in run]
        content = tuple(chain.from_iterable(said))
        if content:
            turns.append(Turn(role, content))
        elif role == "user":
            raise InvalidRequestError(
                f"messages.{first}: user messages must have non-empty content"
            )
        elif first + len(said) < len(messages):
            raise InvalidRequestError(
                f"messages.{first}: all messages must have non-empty content except for the "
                "optional final assistant message"
            )
        first += len(said)
    return turns


def _check_text(where: str, blocks: Iterable[ContentParam]) -> None:
    for block in blocks:
        if not isinstance(block, TextParam):
            continue
        if not block.text:
            raise InvalidRequestError(f"{where}: text content blocks must be non-empty")
        if block.text.isspace():
            raise InvalidRequestError(
                f"{where}: text content blocks must contain non-whitespace text"
            )


def _check_system(system: Sequence[ContentParam]) -> None:
    for index, block in enumerate(system):
        if not isinstance(block, TextParam):
            raise InvalidRequestError(f"system.{index}: {SHAPE}")
    _check_text("system", system)


def _check_prefill(last: Turn) -> None:
    block = last.content[-1]
    if last.role == "assistant" and isinstance(block, TextParam) and block.text[-1:].isspace():
        raise InvalidRequestError(
            "messages: final assistant content cannot end with trailing whitespace"
        )


def _check_breakpoints(
    automatic: CacheControlParam | None, system: Sequence[ContentParam], messages: Sequence[Turn]
) -> None:
    """At most four breakpoints, the automatic one included, and no long one after a short one."""
    marks = [
        *_marks("system", system),
        *chain.from_iterable(
            _marks(f"messages.{index}.content", message.content)
            for index, message in enumerate(messages)
        ),
    ]
    found = len(marks) + (automatic is not None)
    if found > MOST_BREAKPOINTS:
        raise InvalidRequestError(
            f"A maximum of {MOST_BREAKPOINTS} blocks with cache_control may be provided. "
            f"Found {found}."
        )
    for (_, before), (path, mark) in pairwise(marks):
        if before.ttl == "5m" and mark.ttl == "1h":
            raise InvalidRequestError(f"{path}.cache_control.ttl: {LONG_AFTER_SHORT}")


def _marks(where: str, blocks: Iterable[ContentParam]) -> Iterator[tuple[str, CacheControlParam]]:
    for place, block in enumerate(blocks):
        if isinstance(block, CacheableParam) and block.cache_control is not None:
            yield f"{where}.{place}", block.cache_control


def _check_blocks(messages: Sequence[Turn]) -> None:
    """Refuse what this model cannot read, after what no model could take."""
    for index, message in enumerate(messages):
        for place, block in enumerate(message.content):
            if not isinstance(block, TextParam):
                kind = type(block).__struct_config__.tag
                raise InvalidRequestError(
                    f"messages.{index}.content.{place}.{kind}: this model does not take {kind} "
                    "blocks"
                )


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
