"""How models and their engines do, as they tell it when they are asked."""

from collections import defaultdict
from collections.abc import Iterator
from itertools import chain
from typing import TypeAlias

from antiphon.core.metrics.families import Family, Labels, Reading, Value
from antiphon.engines.base import EngineErrorKind
from antiphon.engines.states import EngineState, TellingEngine
from antiphon.service.metrics.catalogue import (
    ENGINE_BUSY_SLOTS,
    ENGINE_ERRORS,
    ENGINE_MEMORY,
    ENGINE_READY,
    ENGINE_RESTARTS,
    ENGINE_SLOTS,
    ENGINE_WAITING,
    EVICTIONS,
    MODEL_READY,
    RUNNING,
    SLOT_MISMATCHES,
    SNAPSHOT_BYTES,
    SNAPSHOT_LIMIT,
    SNAPSHOTS,
    WAITING,
)
from antiphon.service.models import Models, ServedModel

_Told: TypeAlias = tuple[Family, Labels, Value | None]
"""One series of a family, or `None` for one that there is not."""

# The kinds of errors that are an engine's fault. They are told from the start: a series that begins
# with its first error has not grown, to Prometheus.
_ERRORS = (EngineErrorKind.OVERLOADED, EngineErrorKind.TIMEOUT, EngineErrorKind.FAILED)


def read_models(models: Models) -> tuple[Reading, ...]:
    """Return what the served models tell now. What an engine does not tell has no series."""
    found: defaultdict[Family, dict[Labels, Value]] = defaultdict(dict)
    for model in models.served:
        for family, labels, value in chain(_gates(model), _engines(model), _snapshots(model)):
            series = found[family]
            if value is not None:
                series[labels] = value
    return tuple(Reading(family, series) for family, series in found.items())


def _gates(model: ServedModel) -> Iterator[_Told]:
    gate, batches = model.gate, model.gate.batches
    for tier, lane in (("standard", gate), ("batch", batches)):
        yield RUNNING, (model.id, tier), lane.running
        yield WAITING, (model.id, tier), lane.waiting
    yield MODEL_READY, (model.id,), int(model.ready)
    for kind in _ERRORS:
        yield ENGINE_ERRORS, (model.id, kind.value), model.meter.errors[kind]


def _engines(model: ServedModel) -> Iterator[_Told]:
    opened = model.opened
    for index, runs_on in enumerate(model.settings.runs_on()):
        engine = opened[index] if index < len(opened) else None
        labels = (model.id, str(index + 1), runs_on.engine)
        told = _told_by(engine)
        yield ENGINE_READY, labels, int(engine is not None and engine.ready)
        yield ENGINE_RESTARTS, labels, told.restarts
        yield ENGINE_SLOTS, labels, told.slots
        yield ENGINE_BUSY_SLOTS, labels, told.busy_slots
        yield ENGINE_WAITING, labels, told.waiting
        for part in ("process", "batch_process", "weights", "kv"):
            yield ENGINE_MEMORY, (*labels, part), getattr(told.memory, part, None)


def _snapshots(model: ServedModel) -> Iterator[_Told]:
    told, labels = model.snapshot_reports(), (model.id,)
    kept = [one for report in told for one in report.snapshots]
    for family, value in (
        (SNAPSHOT_BYTES, sum(one.size for one in kept)),
        (SNAPSHOTS, len(kept)),
        (SNAPSHOT_LIMIT, sum(one.limit_bytes for one in told)),
        (EVICTIONS, sum(one.evictions for one in told)),
        (SLOT_MISMATCHES, sum(one.mismatches for one in told)),
    ):
        yield family, labels, value if told else None


def _told_by(engine: object) -> EngineState:
    told = engine.state() if isinstance(engine, TellingEngine) else None
    return EngineState() if told is None else told
