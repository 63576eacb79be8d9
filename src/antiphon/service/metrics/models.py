"""How models and their engines do, as they tell it when they are asked."""

from collections import defaultdict
from typing import TypeAlias

from antiphon.core.metrics.families import Labels, Reading, Value
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

# The series of each family, by its name.
_Found: TypeAlias = dict[str, dict[Labels, Value]]

# The kinds of errors that are an engine's fault. They are told from the start: a series that begins
# with its first error has not grown, to Prometheus.
_ERRORS = (EngineErrorKind.OVERLOADED, EngineErrorKind.TIMEOUT, EngineErrorKind.FAILED)

_FAMILIES = (
    RUNNING,
    WAITING,
    MODEL_READY,
    ENGINE_READY,
    ENGINE_RESTARTS,
    ENGINE_ERRORS,
    ENGINE_SLOTS,
    ENGINE_BUSY_SLOTS,
    ENGINE_WAITING,
    ENGINE_MEMORY,
    SNAPSHOT_BYTES,
    SNAPSHOT_LIMIT,
    SNAPSHOTS,
    EVICTIONS,
    SLOT_MISMATCHES,
)


def read_models(models: Models) -> tuple[Reading, ...]:
    """Return what the served models tell now. What an engine does not tell has no series."""
    found: _Found = defaultdict(dict)
    for model in models.served:
        _read_gates(found, model)
        _read_engines(found, model)
        _read_snapshots(found, model)
    return tuple(Reading(family, found[family.name]) for family in _FAMILIES)


def _read_gates(found: _Found, model: ServedModel) -> None:
    gate, batches = model.gate, model.gate.batches
    for tier, running, waiting in (
        ("standard", gate.running, gate.waiting),
        ("batch", batches.running, batches.waiting),
    ):
        found[RUNNING.name][model.id, tier] = running
        found[WAITING.name][model.id, tier] = waiting
    found[MODEL_READY.name][model.id,] = int(model.ready)
    for kind in _ERRORS:
        found[ENGINE_ERRORS.name][model.id, kind.value] = model.meter.errors[kind]


def _read_engines(found: _Found, model: ServedModel) -> None:
    opened = model.opened
    for index, runs_on in enumerate(model.settings.runs_on()):
        engine = opened[index] if index < len(opened) else None
        labels = (model.id, str(index + 1), runs_on.engine)
        found[ENGINE_READY.name][labels] = int(engine is not None and engine.ready)
        told = _told_by(engine)
        for family, value in (
            (ENGINE_RESTARTS, told.restarts),
            (ENGINE_SLOTS, told.slots),
            (ENGINE_BUSY_SLOTS, told.busy_slots),
            (ENGINE_WAITING, told.waiting),
        ):
            if value is not None:
                found[family.name][labels] = value
        if (memory := told.memory) is not None:
            for part in ("process", "batch_process", "weights", "kv"):
                if (size := getattr(memory, part)) is not None:
                    found[ENGINE_MEMORY.name][(*labels, part)] = size


def _read_snapshots(found: _Found, model: ServedModel) -> None:
    told = model.snapshot_reports()
    if not told:
        return
    labels = (model.id,)
    kept = [one for report in told for one in report.snapshots]
    found[SNAPSHOT_BYTES.name][labels] = sum(one.size for one in kept)
    found[SNAPSHOTS.name][labels] = len(kept)
    found[SNAPSHOT_LIMIT.name][labels] = sum(one.limit_bytes for one in told)
    found[EVICTIONS.name][labels] = sum(one.evictions for one in told)
    found[SLOT_MISMATCHES.name][labels] = sum(one.mismatches for one in told)


def _told_by(engine: object) -> EngineState:
    told = engine.state() if isinstance(engine, TellingEngine) else None
    return EngineState() if told is None else told
