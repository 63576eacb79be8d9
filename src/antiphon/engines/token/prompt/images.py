"""The images of a prompt during rendering: each is a mark among the caller's texts."""

import re
from itertools import count
from typing import Final, TypeAlias

import msgspec
from msgspec.structs import replace

from antiphon.core.blocks import images_of, replace_images
from antiphon.core.prompt import Prompt
from antiphon.engines.token.prompt.edges import Edge
from antiphon.engines.token.prompt.placeholders import Rendered, Segment
from antiphon.wire.content import ImageParam, TextParam

RenderedPart: TypeAlias = Segment | ImageParam
"""A part of a rendered prompt: text, or an image between texts."""

_OPEN: Final = "\ue010"
_CLOSE: Final = "\ue011"


class ImageMarks:
    """The images of a prompt, and the `prompt` with a mark instead of each image.

    No text of the caller contains a mark: a mark opens with a longer run of its sign than any text
    has.
    """

    def __init__(self, prompt: Prompt) -> None:
        self.images = tuple(images_of(prompt))
        texts = (replace_images(prompt.turns, lambda _: []), prompt.tools, prompt.output_schema)
        joined = msgspec.json.encode(texts).decode()
        longest = max(map(len, re.findall(f"{_OPEN}+", joined)), default=0)
        self._open = _OPEN * (1 + longest)
        numbers = count()
        turns = replace_images(
            prompt.turns, lambda _: [TextParam(text=f"{self._open}{next(numbers)}{_CLOSE}")]
        )
        self.prompt = replace(prompt, turns=turns)

    def split_at_marks(
        self, rendered: Rendered
    ) -> tuple[list[RenderedPart], tuple[Edge, ...]] | None:
        """Cut a rendered prompt at the marks; `None` unless each is there once and in order.

        Returns the parts, and the edges counted in parts.
        """
        parts: list[RenderedPart] = []
        ends = [0]
        for segment in rendered.segments:
            texts = re.split(f"{self._open}([0-9]+){_CLOSE}", segment.text)
            for index, text in enumerate(texts):
                if index % 2:
                    parts.append(self.images[int(text)])
                elif text:
                    parts.append(Segment(text, segment.control))
            ends.append(len(parts))
        shown = [part for part in parts if isinstance(part, ImageParam)]
        in_order = all(a is b for a, b in zip(shown, self.images, strict=False))
        if not in_order or len(shown) != len(self.images):
            return None
        return parts, tuple(edge.moved(ends[edge.at]) for edge in rendered.edges)
