"""Proves where earlier reasoning stands: other thoughts have to be written in the same way."""

from collections.abc import Callable
from typing import Final

from antiphon.engines.token.reasoning.lab import THOUGHT

SAMPLES: Final = (
    "Two\nlines, one of them\n\nbehind an empty one.",
    'It\'s "quoted" & <b>marked</b> {as} [such] \\n.',
    "\ue000\ue002\ue001",
)
"""Thoughts of lines, of quotes and brackets, and one that stands for a hidden text."""


def flaw(write: Callable[[str], str | None]) -> str | None:
    """Return what is wrong with how a template writes thoughts, or `None`.

    `write` renders a conversation with a thought in it.
    """
    plain = write(THOUGHT)
    if plain is None or THOUGHT not in plain:
        return None
    for sample in SAMPLES:
        if write(sample) != plain.replace(THOUGHT, sample):
            return f"it writes the thought {sample!r} in another way"
    return None
