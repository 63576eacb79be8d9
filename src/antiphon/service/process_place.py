"""Which of several processes of one server this is."""

from typing import Final

import msgspec


class ProcessPlace(msgspec.Struct, frozen=True):
    """A process among the `of` that answer at one address: its `number`, from 1 on.

    The engine host, which answers none, has the number 0.
    """

    number: int
    of: int


ALONE: Final = ProcessPlace(1, 1)
"""The process of a server that has no other."""
