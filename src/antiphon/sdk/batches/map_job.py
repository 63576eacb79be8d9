"""What one run of a map is asked to do."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from antiphon.sdk.batches.map_file import MapFile
from antiphon.sdk.batches.rows import MOST_BYTES, MOST_REQUESTS, MapProgress, RowFunction
from antiphon.sdk.batches.waiting import Waiting
from antiphon.sdk.call import CallOptions


class MapOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a map works.

    A part has at most `part_requests` and `part_bytes`; `open_parts` batches may be open at once.
    A row that expires, or ends with an error that may pass, goes into `retries` more batches.
    """

    ordered: bool = True
    retries: int = 0
    part_requests: int = MOST_REQUESTS
    part_bytes: int = MOST_BYTES
    open_parts: int = 100
    cancel_on_interrupt: bool = False
    waiting: Waiting = Waiting()

    def __post_init__(self) -> None:
        if not 0 < self.part_requests <= MOST_REQUESTS:
            raise ValueError(f"`part_requests` is 1 to {MOST_REQUESTS}")
        if not 0 < self.part_bytes <= MOST_BYTES:
            raise ValueError(f"`part_bytes` is 1 to {MOST_BYTES}")
        if self.open_parts < 1 or self.retries < 0:
            raise ValueError("`open_parts` is 1 or more, and `retries` 0 or more")


class MapJob(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a map. `keeps_keys`: the server knows `idempotency-key`.

    `now` counts seconds from anywhere, and `wall` from the epoch.
    """

    function: RowFunction
    file: MapFile
    options: MapOptions
    call_options: CallOptions
    keeps_keys: bool
    progress: Callable[[MapProgress], object] | None
    now: Callable[[], float]
    wall: Callable[[], float]
