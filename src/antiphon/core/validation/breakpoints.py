"""Rules of breakpoints of the prompt cache: their number and their order.

A breakpoint stands on a tool, a block of the system prompt, a block of a message or a block inside
of one; the automatic one of the whole request stands on the last block that may have one.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from msgspec import UNSET
from msgspec.structs import replace

from antiphon.core.breakpoints import marks_in
from antiphon.core.errors import InvalidRequestError
from antiphon.core.prompt import Breakpoint, Turn
from antiphon.core.validation.conversation import scoped_blocks
from antiphon.wire.base import CacheControlParam
from antiphon.wire.content import BlockParam, CacheableParam, TextParam
from antiphon.wire.messages import CountTokensParams, CreateMessageParams
from antiphon.wire.tools import CustomToolParam, NamedToolParam

MOST_BREAKPOINTS = 4
LONG_AFTER_SHORT = (
    "a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block. Note that "
    "blocks are processed in the following order: `tools`, `system`, `messages`."
)


def breakpoints_of(
    params: CreateMessageParams | CountTokensParams, turns: Sequence[Turn]
) -> tuple[Breakpoint, ...]:
    """Return the breakpoints of a request, whose messages are `turns`, in their order.

    Refuses more than four, the automatic one included, and a long one after a short one.
    """
    breakpoints = [*_of_tools(params), *_of_turns(turns)]
    automatic = params.cache_control
    if automatic is not None:
        breakpoints += _automatic(automatic, turns, params, breakpoints)
    if not breakpoints:
        return ()
    if len(breakpoints) > MOST_BREAKPOINTS:
        raise InvalidRequestError(
            f"A maximum of {MOST_BREAKPOINTS} blocks with cache_control may be provided. "
            f"Found {len(breakpoints)}."
        )
    for index, (before, after) in enumerate(pairwise(breakpoints)):
        if before.ttl == "5m" and after.ttl == "1h":
            path = [*_paths(params), "cache_control"][index + 1]
            raise InvalidRequestError(f"{path}.ttl: {LONG_AFTER_SHORT}")
    return tuple([replace(one, number=number) for number, one in enumerate(breakpoints)])


def _of_tools(params: CreateMessageParams | CountTokensParams) -> Iterator[Breakpoint]:
    for index, tool in enumerate(params.tools or ()):
        # Tools that only Anthropic can run are refused, with or without a breakpoint.
        if isinstance(tool, CustomToolParam | NamedToolParam) and tool.cache_control:
            yield Breakpoint(None, (index,), tool.cache_control.ttl)


def _of_turns(turns: Sequence[Turn]) -> Iterator[Breakpoint]:
    for index, turn in enumerate(turns):
        for path, mark in marks_in(turn.content):
            yield Breakpoint(index, path, mark.ttl)


def _automatic(
    mark: CacheControlParam,
    turns: Sequence[Turn],
    params: CreateMessageParams | CountTokensParams,
    breakpoints: Sequence[Breakpoint],
) -> Iterator[Breakpoint]:
    """Yield the automatic breakpoint, unless its block has one already or there is no block."""
    turn, path = _last_position(turns, params)
    if not path:
        return
    there = next((one for one in breakpoints if (one.turn, one.path) == (turn, path)), None)
    if there is None:
        yield Breakpoint(turn, path, mark.ttl)
    elif there.ttl != mark.ttl:
        raise InvalidRequestError(
            f"cache_control: the last block has a breakpoint with ttl='{there.ttl}', "
            f"so the automatic one cannot have ttl='{mark.ttl}'"
        )


def _last_position(
    turns: Sequence[Turn], params: CreateMessageParams | CountTokensParams
) -> tuple[int | None, tuple[int, ...]]:
    """Find the last block of the prompt that may have a breakpoint."""
    scoped = scoped_blocks(params.messages)
    for turn in reversed(range(len(turns))):
        content = turns[turn].content
        for index in reversed(range(len(content))):
            if turns[turn].role == "system" and index < len(scoped) and scoped[index]:
                continue
            if _may_be_marked(content[index]):
                return turn, (index,)
        # Only the last system turn of the messages is not cleared.
        scoped = [] if turns[turn].role != "assistant" else scoped
    return None, (len(params.tools) - 1,) if params.tools else ()


def _may_be_marked(block: BlockParam) -> bool:
    return isinstance(block, CacheableParam) and not (
        isinstance(block, TextParam) and not block.text
    )


def _paths(params: CreateMessageParams | CountTokensParams) -> Iterator[str]:
    """Yield the paths of the breakpoints in the request, in their order."""
    for mark in _of_tools(params):
        yield f"tools.{mark.path[0]}.cache_control"
    if params.system is not UNSET and not isinstance(params.system, str):
        yield from _paths_in("system", params.system)
    for index, message in enumerate(params.messages):
        if not isinstance(message.content, str):
            yield from _paths_in(f"messages.{index}.content", message.content)


def _paths_in(where: str, blocks: Sequence[BlockParam]) -> Iterator[str]:
    for path, _ in marks_in(blocks):
        yield f"{where}.{'.content.'.join(map(str, path))}.cache_control"
