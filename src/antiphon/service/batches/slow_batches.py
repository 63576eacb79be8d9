"""Which batches go on slowly, because their requests wait for money that others hold.

Near a spend limit only so many requests run as the rest of the money can pay in the worst case.
That is no reason to rest, but whoever watches the batch should know it.
"""

from collections import defaultdict

from antiphon.logs import EventLog
from antiphon.store.batches.claims import note_slowed
from antiphon.store.batches.sections import ClaimedRequest
from antiphon.store.database.database import Database
from antiphon.store.database.errors import StoreError


class SlowBatches:
    """The batches that one worker finds to be slow; `tell` writes what has changed.

    Others may write as well, and each clears everything now and then, so it is written again while
    it holds.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._reasons: dict[int, tuple[str, str]] = {}
        self._told: frozenset[str] = frozenset()
        self._log = EventLog(__name__)

    def waits(self, request: ClaimedRequest, reason: str) -> None:
        """Note that a request waits for money, and why."""
        self._reasons[id(request)] = request.batch_id, reason

    def goes_on(self, request: ClaimedRequest) -> None:
        """Note that a request waits no more."""
        self._reasons.pop(id(request), None)

    async def tell(self) -> None:
        """Write which batches are slow. A database that is away is told the next time."""
        by_batch = dict(self._reasons.values())
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
