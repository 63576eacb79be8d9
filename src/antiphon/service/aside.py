"""Work on a body so large that the other callers would wait for it: done in a thread."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")

# Bytes of a body from which it is worth a thread: what is smaller takes a few milliseconds.
LARGE_BODY = 256 * 1024


async def aside(size: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what `work` returns; it runs beside the event loop if the body has that size.

    The interpreter lets the loop in between every few milliseconds.
    """
    if size < LARGE_BODY:
        return work(*args, **kwargs)
    return await asyncio.to_thread(work, *args, **kwargs)
