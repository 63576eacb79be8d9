"""The worker of batches: it waits until there is work, and works under one lease after the other.

When a lease is lost, or a transaction has an unknown end, everything of its tenure is dropped, and
another one is begun under a new id. It ends the lease of the old one, so that no commit of that can
come later, and then finds out which of its last results were stored. So it is after a defect too:
batches go on, if they can, and the log has its cause.
"""

import asyncio
from typing import Final

from antiphon.logs import EventLog
from antiphon.service.background import cancelled_once
from antiphon.service.batches.tenure import LOOK_EVERY_S, Tenure, WorkerParts, woken
from antiphon.store.batches.workers import has_work
from antiphon.store.database.errors import StoreError

FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 30.0
"""The pauses before another tenure, while the database is away."""


class BatchWorker:
    """Works on batches until it is cancelled."""

    def __init__(self, parts: WorkerParts) -> None:
        self._parts = parts
        self._work = asyncio.Event()
        self._tenure: Tenure | None = None
        self._log = EventLog(__name__)

    def wake(self) -> None:
        """Look for work now: a batch was created, or a limit was changed."""
        self._work.set()

    def stop(self, batch_id: str) -> None:
        """Stop what runs of a batch that was cancelled; the next claim, now, closes it."""
        if self._tenure is not None:
            self._tenure.stop(batch_id)
        self._work.set()

    async def run(self) -> None:
        """Work, under one lease after the other. Only a cancellation ends it."""
        pause_s = FIRST_PAUSE_S
        left: tuple[Tenure, ...] = ()
        while True:
            began, failed = self._parts.now(), False
            try:
                if not left:
                    await self._until_there_is_work()
                self._tenure = Tenure(self._parts, self._work, left)
                # In a task of its own: a task group counts its own abort as a cancellation.
                await _whole(asyncio.create_task(self._tenure.run(), name="antiphon-batch-tenure"))
            except* StoreError as group:
                reasons = sorted({str(error) for error in _leaves(group)})
                self._log.warning("batches.worker_begins_again", reasons=reasons)
            except* Exception as group:  # noqa: BLE001 - it ends this tenure, not the work
                failed = True
                self._log.error("batches.worker_failed", exc_info=group)
            _raise_if_cancelled()
            left = self._tenure.left if self._tenure is not None else ()
            if (self._parts.now() - began).total_seconds() > LONGEST_PAUSE_S:
                pause_s = FIRST_PAUSE_S
            if left or failed:
                await self._parts.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _until_there_is_work(self) -> None:
        """Wait without a lease: while there is no work, nothing is written."""
        while True:
            self._work.clear()
            try:
                async with self._parts.database.read() as connection:
                    if await has_work(connection, self._parts.now()):
                        return
            except StoreError as error:
                self._log.warning("batches.worker_waits", reason=str(error))
            await woken(self._work, LOOK_EVERY_S)


async def _whole(tenure: "asyncio.Task[None]") -> None:
    """Wait for a task. It is told of one cancellation: others would end its farewell."""
    try:
        await asyncio.wait([tenure])
    except asyncio.CancelledError:
        await cancelled_once(tenure)
        raise
    await tenure


def _raise_if_cancelled() -> None:
    """Raise the cancellation that came together with an error, which a task group leaves out."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
