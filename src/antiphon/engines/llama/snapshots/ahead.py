"""Checks snapshots before they are needed, while llama.cpp has nothing to do.

After a start of the system no file is known. The first request that restores one would wait for its
check, and for the disk; both are over by then, if there was time before it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from antiphon.engines.llama.snapshots.store import SnapshotStore

MOST_BYTES: Final = 1 << 30
"""What is read ahead of need: some 0.4 s of one core, and 3 to 10 s of a disk."""
LOOK_EVERY_S: Final = 0.2


async def check_ahead(
    store: SnapshotStore,
    busy: Callable[[], bool],
    *,
    most_bytes: int = MOST_BYTES,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Check the most useful snapshots, of `most_bytes` together, while llama.cpp is not `busy`.

    One at a time, in a thread. When a request comes, a check is given up within a megabyte, and is
    begun again after it; all attempts count among the bytes. A file that is known is not read.
    """
    left = most_bytes
    for snapshot in store.snapshots():
        ended = False
        while not ended and snapshot.size <= left:
            while busy():
                await sleep(LOOK_EVERY_S)
            left -= snapshot.size
            ended = await store.check_ahead(snapshot, busy)
