"""All metrics of a server, read when they are asked for.

Sums of requests are in memory, and so is what models, ledger and counters tell. The batches are in
the database, which is given a moment to answer.
"""

from collections.abc import Iterable
from typing import Final

from antiphon.core.metrics.families import Reading
from antiphon.service.caching import HAD_LESS, KEPT_LESS
from antiphon.service.metrics.catalogue import (
    BATCH_REQUESTS_LEFT,
    BATCHES,
    CLAIM_MISMATCHES,
    COUNTERS_PENDING,
    COUNTERS_UP,
    DATABASE_UP,
    FAMILIES,
    LEDGER_DAMAGED,
    LEDGER_LAG,
    LEDGER_PENDING,
    READY,
    RECORDS_DROPPED,
    RECORDS_PENDING,
)
from antiphon.service.metrics.models import read_models
from antiphon.service.metrics.process import read_process
from antiphon.service.platform import Platform
from antiphon.store.batches.open_batches import count_open_batches
from antiphon.store.database.database import in_time
from antiphon.store.database.errors import StoreError

DATABASE_S: Final = 2.0
"""How long the database may take: less than a reader of metrics waits, which is ten seconds."""

_ORDER: Final = {family.name: place for place, family in enumerate(FAMILIES)}


async def read_metrics(platform: Platform) -> list[Reading]:
    """Return all metrics in the order of the catalogue. What is not known has no series."""
    requests = () if platform.metrics is None else platform.metrics.readings()
    readings = [
        *requests,
        *read_models(platform.models),
        *_read_accounts(platform),
        await _read_ready(platform),
        *await _read_batches(platform),
        *read_process(),
    ]
    return sorted(readings, key=lambda one: _ORDER[one.family.name])


def _read_accounts(platform: Platform) -> Iterable[Reading]:
    ledger, counters, log = platform.ledger, platform.counters, platform.request_log
    behind = ledger.behind()
    return (
        Reading(
            CLAIM_MISMATCHES,
            {(reason,): platform.caching.shortfalls[reason] for reason in (HAD_LESS, KEPT_LESS)},
        ),
        Reading(LEDGER_PENDING, {(one.receiver,): one.entries for one in behind}),
        Reading(LEDGER_LAG, {(one.receiver,): one.lag_s for one in behind}),
        Reading(LEDGER_DAMAGED, {(): len(ledger.damaged)}),
        Reading(COUNTERS_UP, {(): int(counters.refused is None)}),
        Reading(COUNTERS_PENDING, {(): counters.pending}),
        Reading(RECORDS_PENDING, {(): log.pending}),
        Reading(RECORDS_DROPPED, {(): log.dropped_ever}),
    )


async def _read_ready(platform: Platform) -> Reading:
    admits = not platform.draining and await platform.refusal() is None
    return Reading(READY, {(): int(admits and platform.models.ready)})


async def _read_batches(platform: Platform) -> Iterable[Reading]:
    try:
        async with in_time(DATABASE_S), platform.database.read() as connection:
            found = await count_open_batches(connection, platform.now())
    except StoreError:
        return (Reading(DATABASE_UP, {(): 0}),)
    return (
        Reading(DATABASE_UP, {(): 1}),
        Reading(BATCHES, {(one.state,): one.batches for one in found}),
        Reading(BATCH_REQUESTS_LEFT, {(one.state,): one.requests_left for one in found}),
    )
