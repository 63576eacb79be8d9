"""The images of a prompt while it is rendered: each a mark among the caller's texts."""

import re
from collections.abc import Sequence
from itertools import count
from typing import Final

import msgspec

from antiphon.core.prompt import Prompt, Turn
from antiphon.engines.images import images_of, placed
from antiphon.engines.token.prompt.placeholders import Segment
from antiphon.wire.content import ImageParam, TextParam

_OPEN: Final = "\ue010"
_CLOSE: Final = "\ue011"


class ImageMarks:
    """A prompt's images. `turns` say the same as the prompt's, with marks where images are.

    No text of the caller has a mark in it: a mark opens with more of its signs in a row than any
    of them has.
    """

    def __init__(self, prompt: Prompt) -> None:
        self.images = tuple(images_of(prompt))
        texts = (placed(prompt.turns, lambda _: []), prompt.tools, prompt.output_schema)
        said = msgspec.json.encode(texts).decode()
        longest = max(map(len, re.findall(f"{_OPEN}+", said)), default=0)
        self._open = _OPEN * (1 + longest)
        numbers = count()
        self.turns: tuple[Turn, ...] = placed(
            prompt.turns, lambda _: [TextParam(text=f"{self._open}{next(numbers)}{_CLOSE}")]
        )

    def hang(self, segments: Sequence[Segment]) -> list[Segment | ImageParam] | None:
        """Cut a rendered prompt at the marks, unless they are not all there, once and in order."""
        parts: list[Segment | ImageParam] = []
        for segment in segments:
            texts = re.split(f"{self._open}([0-9]+){_CLOSE}", segment.text)
            for place, text in enumerate(texts):
                if place % 2:
                    parts.append(self.images[int(text)])
                elif text:
                    parts.append(Segment(text, segment.control))
        shown = [part for part in parts if isinstance(part, ImageParam)]
        in_place = all(a is b for a, b in zip(shown, self.images, strict=False))
        return parts if in_place and len(shown) == len(self.images) else None
