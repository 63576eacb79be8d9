"""Parking: work on a prompt stops for others, keeps what it has done, and goes on later."""

from collections.abc import Callable
from typing import Protocol


class Parking(Protocol):
    """What decides when the work on one prompt stops, and when it goes on."""

    def watch(self, stop: Callable[[], None] | None) -> None:
        """Say how to stop the work: `stop` is called at most once, and `park` has to follow.

        Without it the work cannot be parked: if others go first, it is cancelled.
        """
        ...

    async def park(self) -> None:
        """Wait until the work may go on; until then nothing may be computed for the prompt."""
        ...
