"""Builds the parts of Message Batches, and runs their workers, their pace and their upkeep."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from functools import partial
from typing import Any, TypeAlias

from antiphon.core.batches import check_batch_params
from antiphon.core.billing.ledger import LedgerEntry
from antiphon.core.request_records import RunNote
from antiphon.service.accounts import Accounts
from antiphon.service.background import background
from antiphon.service.batches.batches import Batches
from antiphon.service.batches.file_budget import FileBudget
from antiphon.service.batches.group_commit import GroupCommit
from antiphon.service.batches.idle_use import IdleUseRecord
from antiphon.service.batches.pace import CEILING, ModelPace
from antiphon.service.batches.runs import BatchRunner
from antiphon.service.batches.tenure import WorkerParts
from antiphon.service.batches.tracing import BatchTraces, BatchTracing
from antiphon.service.batches.upkeep import BatchUpkeep
from antiphon.service.batches.worker import BatchWorker
from antiphon.service.ledger import Ledger
from antiphon.service.limits.batch_lane import BatchQueue
from antiphon.service.messages import Messages
from antiphon.service.models import Models
from antiphon.settings import Settings
from antiphon.store.database.database import Database

# `open_batches`, or what a test puts in its place.
OpenBatches: TypeAlias = Callable[..., AbstractAsyncContextManager[Batches]]


@asynccontextmanager
async def open_batches(  # noqa: PLR0913 - the parts of the platform that they need
    settings: Settings,
    database: Database,
    *,
    accounts: Accounts,
    ledger: Ledger,
    record: Callable[[LedgerEntry, RunNote], None],
    traces: BatchTraces | None = None,
    messages: Messages,
    models: Models,
    now: Callable[[], datetime],
    entropy: Callable[[int], bytes],
    stopping: asyncio.Event,
    commits: type[GroupCommit] = GroupCommit,
) -> AsyncGenerator[Batches]:
    """Yield the use cases, and work on batches until `stopping` is set, or the block ends.

    What is not finished then is given back, while interactive requests may still run.
    """
    runner = BatchRunner(
        messages,
        accounts,
        ledger,
        entropy,
        check_batch_params,
        file_budget=FileBudget(settings.body_budget),
    )
    parts = WorkerParts(
        database=database,
        accounts=accounts,
        runner=runner,
        ledger=ledger,
        record=record,
        trace=(lambda _: None) if traces is None else traces.request_ended,
        now=now,
        entropy=entropy,
        counters_are_shared=settings.counters_url is not None,
        commits=commits,
    )
    workers = [BatchWorker(parts) for _ in range(settings.workers)]

    def wake() -> None:
        for worker in workers:
            worker.wake()

    def stop(batch_id: str) -> None:
        for worker in workers:
            worker.stop(batch_id)

    batches = Batches(
        database,
        entropy,
        now,
        largest_request=settings.max_body_bytes,
        queued_requests=settings.limits.queued_batch_requests,
        added=wake,
        cancelled=stop,
    )
    paces = _paced(models, settings) if workers else []
    upkeep = BatchUpkeep(database, now, drop_left=batches.drop_left)
    idle_use = IdleUseRecord(models.take_idle_uses, database, now)
    tracing = () if traces is None else (BatchTracing(database, traces).run,)
    async with (
        idle_use.writing(),
        background(
            "antiphon-batches",
            upkeep.run,
            *(partial(_until, stopping, one.run) for one in workers),
            *paces,
            *tracing,
        ),
    ):
        yield batches


async def _until(stopping: asyncio.Event, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Work until `stopping` is set; then cancel the work, and wait for its end."""
    async with asyncio.TaskGroup() as group:
        working = group.create_task(work())
        await stopping.wait()
        working.cancel()


def _paced(models: Models, settings: Settings) -> list[Callable[[], Coroutine[Any, Any, None]]]:
    """Give each model a pace; return what runs it."""
    runs: list[Callable[[], Coroutine[Any, Any, None]]] = []
    for model in models.known:
        queue = model.gate.batches
        queue.pacing = pace = ModelPace(min(settings.limits.concurrent_requests, CEILING))
        runs.append(partial(pace.run, partial(_let_in, queue)))
    return runs


def _let_in(queue: BatchQueue) -> None:
    queue.lane.let_in()
