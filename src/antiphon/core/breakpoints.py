"""Breakpoints of the prompt cache, between blocks of the wire and `Prompt.breakpoints`.

On the wire a block carries its breakpoint (`cache_control`). In a prompt the breakpoints stand
apart, so that blocks with and without one are the same content: they count, render and hash alike.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from antiphon.core.blocks import Path, inner_blocks, rewrite, with_inner_blocks
from antiphon.core.prompt import Prompt, Turn
from antiphon.wire.content import BlockParam, CacheableParam, CacheControlParam


def marks_in(blocks: Sequence[BlockParam]) -> Iterator[tuple[Path, CacheControlParam]]:
    """Yield the breakpoints that blocks carry, in the order of the prompt.

    A block ends behind the blocks inside of it, so their breakpoints come first.
    """
    for index, block in enumerate(blocks):
        for path, mark in marks_in(inner_blocks(block)):
            yield (index, *path), mark
        if isinstance(block, CacheableParam) and block.cache_control is not None:
            yield (index,), block.cache_control


def without_marks(prompt: Prompt) -> Prompt:
    """Take the breakpoints off the blocks of a prompt; `Prompt.breakpoints` stay."""
    return rewrite(prompt, lambda block: (_with_mark(block, None),))


def turns_with_marks(prompt: Prompt) -> tuple[Turn, ...]:
    """Return the turns of a prompt with its breakpoints on their blocks, as on the wire.

    A block that cannot carry one has none.
    """
    turns = list(prompt.turns)
    for index, turn in enumerate(turns):
        marks = {
            one.path: CacheControlParam(type="ephemeral", ttl=one.ttl)
            for one in prompt.breakpoints
            if one.turn == index
        }
        if marks:
            content: Any = tuple(_marked(turn.content, marks))
            turns[index] = Turn(turn.role, content)
    return tuple(turns)


def _marked(
    blocks: Sequence[BlockParam], marks: Mapping[Path, CacheControlParam]
) -> Iterator[BlockParam]:
    for index, block in enumerate(blocks):
        inside = {path[1:]: mark for path, mark in marks.items() if path[0] == index}
        mark = inside.pop((), None)
        if inside:
            block = with_inner_blocks(block, tuple(_marked(inner_blocks(block), inside)))  # noqa: PLW2901
        yield block if mark is None else _with_mark(block, mark)


def _with_mark(block: BlockParam, mark: CacheControlParam | None) -> BlockParam:
    if not isinstance(block, CacheableParam) or block.cache_control == mark:
        return block
    return replace(block, cache_control=mark)
