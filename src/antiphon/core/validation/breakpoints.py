"""Breakpoints of the prompt cache: how many, and in which order.

A breakpoint stands on a tool, a block of the system prompt, a block of a message or a block inside
of one; the automatic one of the whole request stands on its last block.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from msgspec import UNSET

from antiphon.core.errors import InvalidRequestError
from antiphon.wire.content import (
    BlockParam,
    CacheableParam,
    CacheControlParam,
    ContentSource,
    DocumentParam,
    SearchResultParam,
    TextParam,
    ToolResultParam,
)
from antiphon.wire.messages import CountTokensParams, CreateMessageParams
from antiphon.wire.tools import CustomToolParam, DefinedToolParam

MOST_BREAKPOINTS = 4
LONG_AFTER_SHORT = (
    "a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block. Note that "
    "blocks are processed in the following order: `tools`, `system`, `messages`."
)


def check_breakpoints(params: CreateMessageParams | CountTokensParams) -> None:
    """At most four breakpoints, the automatic one included, and no long one after a short one."""
    marks = [*_marks_of(params)]
    automatic = params.cache_control
    if not marks and automatic is None:
        return
    if automatic is not None and not _is_there(params, automatic):
        marks.append(("cache_control", automatic))
    if len(marks) > MOST_BREAKPOINTS:
        raise InvalidRequestError(
            f"A maximum of {MOST_BREAKPOINTS} blocks with cache_control may be provided. "
            f"Found {len(marks)}."
        )
    for (_, before), (path, mark) in pairwise(marks):
        if before.ttl == "5m" and mark.ttl == "1h":
            raise InvalidRequestError(f"{path}.ttl: {LONG_AFTER_SHORT}")


def _is_there(
    params: CreateMessageParams | CountTokensParams, automatic: CacheControlParam
) -> bool:
    """Whether the last block has the automatic breakpoint already; another is refused."""
    content = params.messages[-1].content
    last = content[-1] if content and not isinstance(content, str) else None
    if not isinstance(last, CacheableParam) or last.cache_control is None:
        return False
    if last.cache_control.ttl != automatic.ttl:
        raise InvalidRequestError(
            f"cache_control: the last block has a breakpoint with ttl='{last.cache_control.ttl}', "
            f"so the automatic one cannot have ttl='{automatic.ttl}'"
        )
    return True


def _marks_of(
    params: CreateMessageParams | CountTokensParams,
) -> Iterator[tuple[str, CacheControlParam]]:
    if params.tools is not UNSET:
        for index, tool in enumerate(params.tools):
            # Tools that only Anthropic can run are refused, whatever they say.
            if isinstance(tool, CustomToolParam | DefinedToolParam) and tool.cache_control:
                yield f"tools.{index}.cache_control", tool.cache_control
    if params.system is not UNSET and not isinstance(params.system, str):
        yield from _marks("system", params.system)
    for index, message in enumerate(params.messages):
        if not isinstance(message.content, str):
            yield from _marks(f"messages.{index}.content", message.content)


def _marks(where: str, blocks: Sequence[BlockParam]) -> Iterator[tuple[str, CacheControlParam]]:
    for place, block in enumerate(blocks):
        if isinstance(block, TextParam):
            if block.cache_control is not None:
                yield f"{where}.{place}.cache_control", block.cache_control
        elif isinstance(block, CacheableParam):
            yield from _marks(f"{where}.{place}.content", _inner(block))
            if block.cache_control is not None:
                yield f"{where}.{place}.cache_control", block.cache_control


def _inner(block: CacheableParam) -> Sequence[BlockParam]:
    match block:
        case ToolResultParam(content=list(content)) | SearchResultParam(content=content):
            return content
        case DocumentParam(source=ContentSource(content=list(content))):
            return content
    return ()
