"""Measures how fast this machine reads its memory, which bounds how fast models generate on it.

Each token of an answer reads all weights that take part in it once, so a processor that computes
fast enough generates as fast as the weights come from memory.
"""

import ctypes
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

SIZE: Final = 256 << 20
"""Bytes that are read: more than the caches of most processors hold."""
ROUNDS: Final = 3
_FILLED, _ABSENT = 1, 2


def memory_bandwidth(
    threads: int,
    size: int = SIZE,
    rounds: int = ROUNDS,
    clock: Callable[[], float] = time.perf_counter,
) -> float | None:
    """Return the bytes that so many threads read in a second: the best of a few rounds.

    `None` if the C library cannot be called. It takes `size` bytes of memory and some 0.3 s.
    """
    try:
        search = ctypes.CDLL(None).memchr  # it reads every byte, and lets other threads run
    except (AttributeError, OSError):  # pragma: no cover - there is one on Linux and macOS
        return None
    search.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t)
    search.restype = ctypes.c_void_p
    block = (ctypes.c_char * size)()
    # Pages that were never written are one page of zeros, which stays in the cache.
    ctypes.memset(block, _FILLED, size)
    share, start = size // threads, ctypes.addressof(block)

    def read(number: int) -> None:
        search(start + number * share, _ABSENT, share)

    took = list[float]()
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(rounds):
            began = clock()
            list(pool.map(read, range(threads)))
            took.append(clock() - began)
    fastest = min(took)
    return share * threads / fastest if fastest > 0 else None
