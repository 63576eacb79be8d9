"""How long the overseer waits before it starts again what has ended."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 30.0
STABLE_S: Final = 60.0
"""A process that ran for so long has not failed at its start."""


class Clockwork(msgspec.Struct, frozen=True):
    """The clock of the overseer, which tests replace."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


def pause_after(crashes: int) -> float:
    """Return the seconds before the next start: twice as many after each crash in a row."""
    return float(min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(crashes - 1, 16)))
