"""Which batches go on slowly, and why: others hold the money, or interactive requests go first.

Near a spend limit only so many requests run as the rest of the money can pay in the worst case, and
beside interactive requests those for which there is room. Neither is a reason to rest, but whoever
watches the batch should know it.
"""

from collections import defaultdict
from typing import Final

from antiphon.logs import EventLog
from antiphon.service.limits.batch_lane import BatchTicket
from antiphon.store.batches.claims import note_slowed
from antiphon.store.batches.sections import ClaimedRequest
from antiphon.store.database.database import Database
from antiphon.store.database.errors import StoreError

MAKES_WAY: Final = "Interactive requests are using the model, and go first."


class SlowBatches:
    """The batches that one worker finds to be slow; `tell` writes what has changed.

    Others may write as well, and each clears everything now and then, so it is written again while
    it holds.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        # Both by the identity of the request: where it waits, and for which money.
        self._tickets: dict[int, tuple[str, BatchTicket]] = {}
        self._reasons: dict[int, tuple[str, str]] = {}
        self._told: frozenset[str] = frozenset()
        self._log = EventLog(__name__)

    def queued(self, request: ClaimedRequest, ticket: BatchTicket) -> None:
        """Note the ticket with which a request waits for its model, and runs."""
        self._tickets[id(request)] = request.batch_id, ticket

    def waits(self, request: ClaimedRequest, reason: str) -> None:
        """Note that a request waits for money, and why."""
        self._reasons[id(request)] = request.batch_id, reason

    def goes_on(self, request: ClaimedRequest) -> None:
        """Note that a request waits for no money any more."""
        self._reasons.pop(id(request), None)

    def ended(self, request: ClaimedRequest) -> None:
        """Note that a request waits for nothing any more."""
        self._reasons.pop(id(request), None)
        self._tickets.pop(id(request), None)

    async def tell(self) -> None:
        """Write which batches are slow. A database that is away is told the next time."""
        by_batch = {
            batch_id: MAKES_WAY for batch_id, ticket in self._tickets.values() if ticket.makes_way
        }
        # Money comes first: something can be done about it.
        by_batch |= dict(self._reasons.values())
        slow: defaultdict[str | None, set[str]] = defaultdict(set)
        slow[None] |= self._told - by_batch.keys()
        for batch_id, why in by_batch.items():
            slow[why].add(batch_id)
        try:
            for reason, batch_ids in slow.items():
                if not batch_ids:
                    continue
                # Each alone, so that no two workers lock batches in different orders.
                async with self._database.write() as connection:
                    await note_slowed(connection, batch_ids, reason)
        except StoreError as error:
            self._log.warning("batches.slowness_not_noted", reason=str(error))
        else:
            self._told = frozenset(by_batch)
