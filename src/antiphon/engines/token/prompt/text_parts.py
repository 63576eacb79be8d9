"""The stretches of a message that are tokenized each by itself: one for each block, or more.

A prompt is tokenized in stretches, so that a block's tokens are the same in whatever conversation
it stands, and a prefix of a prompt ends at the end of any block.
"""

from typing import Final, TypeAlias

import msgspec

from antiphon.core.blocks import BLOCK_SEPARATOR, Path

TURN_SEPARATOR: Final = "\n\n"
"""Between turns that a template cannot tell apart and that share one of its messages."""

BlockPosition: TypeAlias = tuple[int | None, Path]
"""Of a block: its turn and the path in it. Of a tool: no turn, and its index. As `Breakpoint`."""


class TextPart(msgspec.Struct, frozen=True):
    """A stretch of text, and the blocks that end with it.

    `separator` stands before it where something of the same message does.
    """

    text: str
    ends: tuple[BlockPosition, ...] = ()
    separator: str = BLOCK_SEPARATOR


def appended(parts: tuple[TextPart, ...], more: tuple[TextPart, ...]) -> tuple[TextPart, ...]:
    """Return the parts of a message that says what two turns say."""
    first = msgspec.structs.replace(more[0], separator=TURN_SEPARATOR)
    return (*parts, first, *more[1:])
