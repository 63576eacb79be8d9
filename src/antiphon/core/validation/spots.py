"""The blocks of a request's messages, each with its paths as errors name them."""

from collections.abc import Iterator, Sequence

import msgspec

from antiphon.core.blocks import inner_blocks
from antiphon.wire.content import BlockParam, DocumentParam, ToolSearchToolResultParam
from antiphon.wire.messages import MessageParam


class Spot(msgspec.Struct, frozen=True):
    """A block of a message, or inside of one: `index` is its index in a list of blocks.

    The list has a path that names the types of the blocks on the way, as error sentences do, and
    one that names fields alone, as `error.details` does.
    """

    block: BlockParam
    index: int
    list_path: str
    list_fields: str

    @property
    def path(self) -> str:
        """The path with types: `messages.0.content.1.tool_result.content.0.image`."""
        return f"{self.list_path}.{self.index}.{self.block.__struct_config__.tag}"

    @property
    def fields(self) -> str:
        """The path without types: `messages.0.content.1.content.0`."""
        return f"{self.list_fields}.{self.index}"


def spots_of(messages: Sequence[MessageParam]) -> Iterator[Spot]:
    """Yield the blocks of a request in its order, each before the blocks inside of it.

    A message that is a string has none: nothing can be wrong with its only block.
    """
    for index, message in enumerate(messages):
        if not isinstance(message.content, str):
            path = f"messages.{index}.content"
            yield from _spots(message.content, path, path)


def _spots(blocks: Sequence[BlockParam], path: str, fields: str) -> Iterator[Spot]:
    for index, block in enumerate(blocks):
        spot = Spot(block, index, path, fields)
        yield spot
        if inner := inner_blocks(block):
            if isinstance(block, DocumentParam):
                inside, inside_fields = "source.content.content", "source.content"
            elif isinstance(block, ToolSearchToolResultParam):
                inside_fields = "content.tool_references"
                inside = "content.tool_search_tool_search_result.tool_references"
            else:
                inside = inside_fields = "content"
            yield from _spots(inner, f"{spot.path}.{inside}", f"{spot.fields}.{inside_fields}")
