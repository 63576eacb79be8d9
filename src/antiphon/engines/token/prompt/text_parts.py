"""The parts of a message that are tokenized separately: one or more for each block.

So the tokens of a block are the same in every conversation, and a prefix of a prompt can end at the
end of any block.
"""

from typing import Final, TypeAlias

import msgspec

from antiphon.core.blocks import BLOCK_SEPARATOR, Path

TURN_SEPARATOR: Final = "\n\n"
"""Separates turns that share one message, because a template cannot express them separately."""

BlockPosition: TypeAlias = tuple[int | None, Path]
"""Of a block: its turn and its path in it. Of a tool: no turn, and its index. As `Breakpoint`."""


class TextPart(msgspec.Struct, frozen=True):
    """A text, and the blocks that end with it.

    `separator` separates it from the part before it in the same message.
    """

    text: str
    ends: tuple[BlockPosition, ...] = ()
    separator: str = BLOCK_SEPARATOR


def appended(parts: tuple[TextPart, ...], more: tuple[TextPart, ...]) -> tuple[TextPart, ...]:
    """Return the parts of a message that joins two turns."""
    first = msgspec.structs.replace(more[0], separator=TURN_SEPARATOR)
    return (*parts, first, *more[1:])
