"""What is told of the runs of one request of a batch, before it has an ending."""

from collections.abc import Callable
from typing import Final

import msgspec

from antiphon.service.limits.batch_lane import BatchTicket


class RunWatch(msgspec.Struct, frozen=True):
    """Is told of the runs of a request before its ending.

    `queued` is called with the ticket of each run, before it waits for its model; `begun` whenever
    a run is admitted; `held_up` with the reason whenever one is refused because the money for it is
    held for others.
    """

    queued: Callable[[BatchTicket], None] = lambda _: None
    begun: Callable[[], None] = lambda: None
    held_up: Callable[[str], None] = lambda _: None


UNWATCHED: Final = RunWatch()
