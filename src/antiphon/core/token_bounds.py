"""An upper bound on the tokens of a prompt, computed without a vocabulary."""

from typing import Final

import msgspec

from antiphon.core.blocks import walk
from antiphon.core.prompt import Prompt
from antiphon.wire.content import TOOL_CHANGES, ImageParam, TextParam

MARGIN: Final = 1024
"""Tokens that a server may add: a system prompt, instructions for tools and thinking."""
TURN_MARGIN: Final = 64
TOOL_FACTOR: Final = 2
"""Templates write a tool's schema with more white space than it came with."""


def tokens_at_most(prompt: Prompt) -> int | None:
    """Return the most tokens that a prompt can have, `None` if its text does not bound them.

    A token of any vocabulary stands for one byte of text or more.
    """
    sizes = [MARGIN, TURN_MARGIN * len(prompt.turns)]
    for turn in prompt.turns:
        for block in turn.content:
            if isinstance(block, TextParam):
                sizes.append(_bytes_in(block.text))
            elif any(isinstance(inner, ImageParam) for _, inner in walk((block,))):
                return None
            else:
                factor = TOOL_FACTOR if isinstance(block, TOOL_CHANGES) else 1
                sizes.append(factor * len(msgspec.json.encode(block)))
    sizes += [TOOL_FACTOR * len(msgspec.json.encode(tool)) for tool in prompt.tools]
    if prompt.output_schema is not None:
        sizes.append(TOOL_FACTOR * len(msgspec.json.encode(prompt.output_schema)))
    return sum(sizes)


def _bytes_in(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
