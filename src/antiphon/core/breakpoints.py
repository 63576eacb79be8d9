"""Breakpoints of the prompt cache, between blocks of the wire and `Prompt.breakpoints`.

On the wire a block carries its breakpoint (`cache_control`). In a prompt the breakpoints stand
apart, so that blocks with and without one are the same content: they count, render and hash alike.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from msgspec.structs import replace

from antiphon.core.blocks import Path, inner_blocks, with_inner_blocks
from antiphon.core.late_tools import definition_in
from antiphon.core.prompt import Breakpoint, Prompt, Turn
from antiphon.wire.base import CacheControlParam
from antiphon.wire.content import (
    BlockParam,
    CacheableParam,
    ToolAdditionParam,
    ToolDefinitionParam,
)

Mark: TypeAlias = CacheControlParam | None


def marks_in(blocks: Sequence[BlockParam]) -> Iterator[tuple[Path, CacheControlParam]]:
    """Yield the breakpoints that blocks carry, in the order of the prompt.

    A block ends behind the blocks inside of it, so their breakpoints come first.
    """
    for index, block in enumerate(blocks):
        if inside := inner_blocks(block):
            for path, mark in marks_in(inside):
                yield (index, *path), mark
        if (own := mark_of(block)) is not None:
            yield (index,), own


def mark_of(block: BlockParam) -> Mark:
    """Return the breakpoint of a block, which a tool that the block defines may have instead."""
    if not isinstance(block, CacheableParam):
        return None
    definition = definition_in(block)
    if block.cache_control is None and definition is not None:
        return definition.cache_control
    return block.cache_control


def without_marks(prompt: Prompt) -> Prompt:
    """Take its breakpoints off the blocks of a prompt; `Prompt.breakpoints` stay."""
    return replace(prompt, turns=_turns(prompt, lambda _: None))


def turns_with_marks(prompt: Prompt) -> tuple[Turn, ...]:
    """Return the turns of a prompt with its breakpoints on their blocks, as on the wire.

    A block that cannot carry one has none.
    """
    return _turns(prompt, lambda one: CacheControlParam(type="ephemeral", ttl=one.ttl))


def _turns(prompt: Prompt, mark: Callable[[Breakpoint], Mark]) -> tuple[Turn, ...]:
    """Return the turns of a prompt with these marks on the blocks of its breakpoints."""
    turns = list(prompt.turns)
    for index, turn in enumerate(turns):
        marks = {one.path: mark(one) for one in prompt.breakpoints if one.turn == index}
        if marks:
            content: Any = tuple(_marked(turn.content, marks))
            turns[index] = Turn(turn.role, content)
    return tuple(turns)


def _marked(blocks: Sequence[BlockParam], marks: Mapping[Path, Mark]) -> Iterator[BlockParam]:
    for index, block in enumerate(blocks):
        here = {path[1:]: mark for path, mark in marks.items() if path[0] == index}
        own = () in here
        mark = here.pop((), None)
        if here:
            inner = tuple(_marked(inner_blocks(block), here))
            block = with_inner_blocks(block, inner)  # noqa: PLW2901 - the same, marked inside
        yield _with_mark(block, mark) if own else block


def _with_mark(block: BlockParam, mark: Mark) -> BlockParam:
    if not isinstance(block, CacheableParam) or mark_of(block) == mark:
        return block
    if isinstance(block, ToolAdditionParam) and (definition := definition_in(block)):
        tool = ToolDefinitionParam(definition=replace(definition, cache_control=None))
        block = replace(block, tool=tool)
    return replace(block, cache_control=mark)
